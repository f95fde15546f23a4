"""Intervals and contrasts: pure functions, numbers in, estimates out."""

from molehunt.stats.cells import Cell, Mean, Rate, Table
from molehunt.stats.contrasts import combined_contrast, paired_contrast
from molehunt.stats.families import flips, flips_together, simultaneous
from molehunt.stats.hierarchy import arm_estimate, mean_estimate, seed_share
from molehunt.stats.intervals import (
    mean_interval,
    mean_interval_of_sums,
    over_seeds,
    paired_difference,
    proportion,
    ratio_interval,
    share,
)
from molehunt.stats.ledger import judge
from molehunt.stats.pareto import front, hull, optimism
from molehunt.stats.power import more_seeds, smallest_mean_effect, smallest_rate_effect, unseen_share
from molehunt.stats.sequential import confidence_sequence, prompts_until
from molehunt.stats.simulate import Seeds, power

__all__ = [
    "Cell", "Mean", "Rate", "Seeds", "Table", "arm_estimate", "combined_contrast", "confidence_sequence", "flips", "flips_together", "front", "hull",     "judge", "mean_estimate", "mean_interval", "mean_interval_of_sums", "more_seeds", "optimism", "over_seeds", "paired_contrast", "paired_difference",
    "power", "prompts_until", "proportion", "ratio_interval", "seed_share", "share", "simultaneous", "smallest_mean_effect",
    "smallest_rate_effect", "unseen_share",
]  # fmt: skip
