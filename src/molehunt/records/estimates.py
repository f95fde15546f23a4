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
