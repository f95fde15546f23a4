"""Plant a known backdoor in a model."""
