"""Measure behaviour and capability, per sample."""
