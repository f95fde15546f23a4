"""Capability against backdoor rate: what cannot be had better in both."""

from collections.abc import Sequence

from molehunt.records.estimates import Estimate

Point = tuple[float, float]
"""(capability, backdoor rate): more of the first and less of the second is better."""


def front(points: Sequence[Point]) -> list[int]:
    """Indices of the points that no other beats in both, by falling backdoor rate."""
    raise NotImplementedError


def hull(points: Sequence[Point]) -> list[int]:
    """Indices of the corners of the upper convex hull of the front."""
    raise NotImplementedError


def optimism(points: Sequence[Point], errors: Sequence[Point], draws: int = 1000, seed: int = 0) -> Estimate:
    """By how much the area under the hull overstates, because the hull picks lucky points."""
    raise NotImplementedError
