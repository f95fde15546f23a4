"""A number with its uncertainty."""

from molehunt.records.base import Record


class Estimate(Record):
    """A value with an interval."""

    value: float
    low: float
    """Lower end of the 95% interval."""
    high: float
    """Upper end."""
    n: int
    """Number of independent units behind the value."""
    method: str
    """How the interval was made, and over what: "Wilson 95%, over prompts" says nothing about other training seeds."""


class ArmEstimate(Estimate):
    """The mean of an arm over seeds; `n` counts the seeds."""

    by_seed: tuple[float, ...]
    """Rate or mean in each seed."""
    seed_share: float | None
    """Share of the variance between one seed's measured values that is seeds, not prompts; none with one seed."""
