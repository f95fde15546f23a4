import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import ConvexHull

from molehunt.stats import front, hull, optimism
from molehunt.stats.pareto import Point, area

POINTS = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=12)


@given(POINTS)
def test_nothing_beats_the_front_and_everything_else_is_beaten(points: list[Point]) -> None:
    found = front(points)
    for i, (x, y) in enumerate(points):
        beaten = any(u >= x and v <= y and (u, v) != (x, y) for u, v in points)
        assert beaten == (points[i] not in [points[j] for j in found])


@given(POINTS)
def test_corners_of_the_hull_are_on_the_front_and_no_point_lies_beyond(points: list[Point]) -> None:
    corners = hull(points)
    assert set(corners) <= set(front(points))
    xs, ys = zip(*(points[i] for i in corners), strict=True)
    assert all(y >= np.interp(x, xs, ys) - 1e-9 for x, y in points if xs[0] <= x <= xs[-1])


def test_the_hull_is_that_of_scipy() -> None:
    points = [(float(x), float(y)) for x, y in np.random.default_rng(0).random((200, 2))]
    whole = {int(i) for i in ConvexHull(np.array(points)).vertices}
    assert set(hull(points)) == whole & set(front(points))


def test_the_area_by_hand() -> None:
    assert area([(0.5, 0.0), (1.0, 0.5)]) == pytest.approx(0.5 + 0.5 * 0.75)
    with pytest.raises(ValueError):
        area([])


def test_a_hull_over_noise_is_optimistic_by_what_the_truth_says() -> None:
    truth, errors = [(0.8, 0.3)] * 12, [(0.05, 0.05)] * 12
    rng, true_excess = np.random.default_rng(1), []
    for _ in range(500):
        seen = [(float(x), float(y)) for x, y in np.array(truth) + 0.05 * rng.standard_normal((12, 2))]
        true_excess.append(area(seen) - area(seen, truth))
    found = optimism(truth, errors)
    assert found.value == pytest.approx(np.mean(true_excess), abs=0.01)
    assert found.value > 0.05
    assert optimism([(0.5, 0.2), (0.9, 0.8)], [(0.0, 0.0)] * 2).value == 0


@pytest.mark.parametrize(
    ("points", "errors"), [([], []), ([(0, 0)], []), ([(0, math.nan)], [(0, 0)]), ([(0, 0)], [(0, math.inf)])]
)
def test_points_without_errors_are_refused(points: list[Point], errors: list[Point]) -> None:
    with pytest.raises(ValueError):
        optimism(points, errors)
