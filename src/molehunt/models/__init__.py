"""Load a model, sample it, read its insides."""
