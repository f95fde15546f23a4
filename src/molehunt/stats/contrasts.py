"""Differences between matched arms, paired within seeds."""

from collections.abc import Sequence

from molehunt.records.claims import Contrast, Flips
from molehunt.records.estimates import Estimate
from molehunt.stats.cells import Table


def paired_contrast(a: Table, b: Table) -> Contrast:
    """Mean of `a` minus mean of `b` over matched arms and seeds (arms × seeds each)."""
    raise NotImplementedError


def triggered_contrast(triggered: Sequence[Sequence[bool]], clean: Sequence[Sequence[bool]]) -> Contrast:
    """Rate with the trigger minus rate without it in one arm: seeds × the same prompts, paired by prompt."""
    raise NotImplementedError


def interaction(first: Contrast, second: Contrast) -> Contrast:
    """The first effect minus the second, paired by seed."""
    raise NotImplementedError


def simultaneous(contrasts: Sequence[Contrast]) -> list[tuple[Estimate, float]]:
    """Intervals that hold together at 95%, and Holm's adjusted p-values, in the order given."""
    raise NotImplementedError


def flips(cells: Sequence[tuple[dict[str, str], Contrast]], smallest: float = 0.0) -> Flips:
    """Whether an effect keeps its sign: `cells` are (levels of the other factors, effect there)."""
    raise NotImplementedError
