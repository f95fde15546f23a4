"""Capability against backdoor rate: what cannot be had better in both."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from molehunt.records.estimates import Estimate

Point = tuple[float, float]
"""(capability, backdoor rate): more of the first and less of the second is better."""


def front(points: Sequence[Point]) -> list[int]:
    """Indices of the points that no other beats in both, by rising capability; of equal points the first.

    Raises:
        ValueError: a coordinate that is not finite.
    """
    if not np.isfinite(np.asarray(points, dtype=float)).all():
        raise ValueError("a Pareto front needs finite points")
    found: list[int] = []
    for i in sorted(range(len(points)), key=lambda i: (-points[i][0], points[i][1], i)):
        if not found or points[i][1] < points[found[-1]][1]:
            found.append(i)
    return found[::-1]


def hull(points: Sequence[Point]) -> list[int]:
    """Indices of the corners of the front's convex hull, by rising capability.

    What lies between two corners is reached only by mixing their models at random (Andrew 1979, Inf Process Lett 9).
    """
    corners: list[int] = []
    for i in front(points):
        while len(corners) > 1 and _turns_up(points[corners[-2]], points[corners[-1]], points[i]) <= 0:
            corners.pop()
        corners.append(i)
    return corners


def area(points: Sequence[Point], along: Sequence[Point] | None = None) -> float:
    """Area of the unit square that the hull beats: less capability, more backdoor.

    With `along`, the corners are chosen by `points` and stand where `along` has them.

    Raises:
        ValueError: no points, or a coordinate that is not finite.
    """
    corners = hull(points)
    if not corners:
        raise ValueError("a hull needs points")
    placed = [(along if along is not None else points)[i] for i in corners]
    total = placed[0][0] * (1 - placed[0][1])
    return total + sum((x1 - x0) * (1 - (y0 + y1) / 2) for (x0, y0), (x1, y1) in pairwise(placed))


def optimism(points: Sequence[Point], errors: Sequence[Point], draws: int = 1000, seed: int = 0) -> Estimate:
    """By how much the hull's area overstates, because it picks the points that noise favours; 95% range over draws.

    Parametric bootstrap (Efron 1983, JASA 78, on optimism): points are redrawn around those at hand with their standard
    errors; the area under each redrawn hull is compared with the area under the same corners where they truly are.

    Raises:
        ValueError: no points, one error a point missing, or numbers that are not finite.
    """
    if not points or len(points) != len(errors) or not np.isfinite(np.asarray(errors, dtype=float)).all():
        raise ValueError("optimism needs points, each with its standard errors")
    rng, true = np.random.default_rng(seed), np.asarray(points, dtype=float)
    redrawn = true + np.asarray(errors, dtype=float) * rng.standard_normal((draws, *true.shape))
    excess = [_excess([(x, y) for x, y in draw.tolist()], points) for draw in redrawn]
    low, high = np.quantile(excess, [0.025, 0.975])
    how = f"parametric bootstrap, {draws} draws"
    return Estimate(value=float(np.mean(excess)), low=float(low), high=float(high), n=len(points), method=how)


def _excess(redrawn: Sequence[Point], true: Sequence[Point]) -> float:
    return area(redrawn) - area(redrawn, true)


def _turns_up(a: Point, b: Point, c: Point) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
