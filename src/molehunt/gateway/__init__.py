"""An OpenAI-compatible door that limits and records."""
