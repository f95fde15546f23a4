"""Intervals and contrasts: pure functions, numbers in, estimates out."""

from molehunt.stats.intervals import mean_interval, over_seeds, proportion, ratio_interval, share

__all__ = ["mean_interval", "over_seeds", "proportion", "ratio_interval", "share"]
