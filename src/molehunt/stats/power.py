"""What a plan can see before it is run."""

from molehunt.records.claims import Contrast


def smallest_effect(
    seeds: int, prompts: int, spread: float, *, family: int = 1, pairs: int = 1, rate: float = 0.5
) -> float:
    """The smallest difference that a plan detects with 80% power."""
    raise NotImplementedError


def more_seeds(contrast: Contrast, smallest: float, family: int = 1) -> int | None:
    """How many more seeds would decide a claim, if spread and effect stay as they are."""
    raise NotImplementedError
