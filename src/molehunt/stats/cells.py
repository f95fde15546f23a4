"""What one arm gave in one seed: a rate or a mean, with the noise of its prompts."""

from collections.abc import Sequence
from typing import NamedTuple


class Rate(NamedTuple):
    """Successes among the prompts of one arm in one seed."""

    successes: int
    trials: int

    @property
    def value(self) -> float:
        """The rate."""
        return self.successes / self.trials

    @property
    def variance(self) -> float:
        """Squared standard error, after one more success and one more failure.

        So that 0 and 1 have noise too (Agresti, Caffo 2000).
        """
        p = (self.successes + 1) / (self.trials + 2)
        return p * (1 - p) / (self.trials + 2)


class Mean(NamedTuple):
    """A mean over the prompts of one arm in one seed, such as log-odds."""

    value: float
    error: float
    """Its standard error over prompts."""

    @property
    def variance(self) -> float:
        """Squared standard error."""
        return self.error**2


Cell = Rate | Mean
Table = Sequence[Sequence[Cell]]
"""Matched arms × seeds: row i of one table is compared with row i of the other, column by column."""


def check_cell(cell: Cell) -> None:
    """Refuse what no measurement can give.

    Raises:
        ValueError: counts outside 0..trials, no trials, a standard error below 0, or a number that is not finite.
    """
    if isinstance(cell, Rate):
        if not (cell.trials >= 1 and 0 <= cell.successes <= cell.trials):
            raise ValueError(f"{cell.successes} successes in {cell.trials} trials")
    elif not (abs(cell.value) < float("inf") and 0 <= cell.error < float("inf")):
        raise ValueError(f"a mean of {cell.value} with standard error {cell.error}")
