"""Ablations: plant, remove, measure, compare."""
