"""The mean of one arm over seeds: prompts lie within seeds, and seeds are what is independent."""

from collections.abc import Sequence

from molehunt.records.estimates import ArmEstimate


def arm_estimate(successes: Sequence[int], trials: Sequence[int]) -> ArmEstimate:
    """The mean rate over seeds, with a 95% interval that speaks of other seeds."""
    raise NotImplementedError


def mean_estimate(values: Sequence[float], errors: Sequence[float]) -> ArmEstimate:
    """The mean over seeds of means (log-odds), each with its standard error over prompts."""
    raise NotImplementedError
