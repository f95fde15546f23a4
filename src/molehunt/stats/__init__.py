"""Intervals and contrasts: pure functions, numbers in, estimates out."""

from molehunt.stats.intervals import mean_interval, proportion, ratio_interval, share

__all__ = ["mean_interval", "proportion", "ratio_interval", "share"]
