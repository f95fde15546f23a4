"""Procedures that try to train a backdoor away, one file each."""
