"""Find a trigger in logs or training data, after the fact."""
