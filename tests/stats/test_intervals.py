import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.optimize import minimize_scalar
from scipy.special import xlogy

from molehunt.stats import (
    mean_interval,
    mean_interval_of_sums,
    over_seeds,
    paired_difference,
    proportion,
    ratio_interval,
    share,
)

FINITE = st.floats(-1e6, 1e6)


def wilson(p: float, n: int) -> tuple[float, float]:
    """Wilson (1927): the roots in q of (p - q)² = z² q (1 - q) / n."""
    z2 = 1.959963984540054**2
    a, b, c = 1 + z2 / n, -(2 * p + z2 / n), p * p
    root = math.sqrt(b * b - 4 * a * c)
    return (-b - root) / (2 * a), (-b + root) / (2 * a)


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_a_proportion_has_wilsons_interval(case: tuple[int, int]) -> None:
    k, n = case
    found = proportion(k, n)
    assert (found.low, found.high) == pytest.approx(wilson(k / n, n), abs=1e-9)
    assert (found.value, found.n) == (k / n, n)
    assert 0 <= found.low <= found.value <= found.high <= 1


def test_a_proportion_from_the_literature() -> None:
    found = proportion(81, 263)  # Newcombe 1998, table I, method 3
    assert (round(found.low, 4), round(found.high, 4)) == (0.2553, 0.3662)


@pytest.mark.parametrize("n", [1, 2, 16, 128, 10_000])
def test_nothing_and_everything_have_width(n: int) -> None:
    none, all_ = proportion(0, n), proportion(n, n)
    assert none.low == 0
    assert none.high > 0
    assert all_.high == 1
    assert all_.low < 1
    assert none.high == pytest.approx(1 - all_.low)


@pytest.mark.parametrize(("k", "n"), [(0, 0), (-1, 5), (6, 5)])
def test_impossible_counts_are_refused(k: int, n: int) -> None:
    with pytest.raises(ValueError):
        proportion(k, n)


@pytest.mark.parametrize("p", [0.02, 0.5, 0.98])
def test_the_interval_of_a_proportion_covers(p: float) -> None:
    intervals = [proportion(k, 128) for k in range(129)]
    counts = np.random.default_rng(0).binomial(128, p, 20_000)
    assert np.mean([intervals[k].low <= p <= intervals[k].high for k in counts]) >= 0.93


@given(st.lists(st.sampled_from([0.0, 1.0]), min_size=1, max_size=300))
def test_a_share_of_zeros_and_ones_is_a_proportion(values: list[float]) -> None:
    found, wanted = share(values), proportion(int(sum(values)), len(values))
    assert (found.value, found.low, found.high) == pytest.approx((wanted.value, wanted.low, wanted.high), abs=1e-9)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=50))
def test_a_share_lies_in_its_interval(values: list[float]) -> None:
    found = share(values)
    assert 0 <= found.low <= found.value + 1e-12
    assert found.value - 1e-12 <= found.high <= 1


@pytest.mark.parametrize(("a", "b"), [(1.0, 1.0), (0.2, 0.2), (0.5, 9.5), (9.5, 0.5)])
def test_the_interval_of_a_share_covers(a: float, b: float) -> None:
    samples = np.random.default_rng(1).beta(a, b, (2000, 128))
    found = [share(row.tolist()) for row in samples]
    assert np.mean([e.low <= a / (a + b) <= e.high for e in found]) >= 0.93


@pytest.mark.parametrize("values", [[], [-0.1], [0.5, 1.1], [0.5, math.nan]])
def test_a_share_outside_0_and_1_is_refused(values: list[float]) -> None:
    with pytest.raises(ValueError):
        share(values)


@pytest.mark.parametrize(
    "cells", [(0.97, 0.01, 0.01, 0.01), (0.9, 0.0, 0.02, 0.08), (0.4, 0.2, 0.1, 0.3), (0.5, 0.0, 0.0, 0.5)]
)
def test_the_interval_of_a_paired_difference_covers(cells: tuple[float, ...]) -> None:
    drawn = np.random.default_rng(2).choice(4, (1000, 128), p=cells)  # both, first alone, second alone, neither
    found = [paired_difference((row <= 1).tolist(), (row % 2 == 0).tolist()) for row in drawn]
    assert np.mean([e.low <= cells[1] - cells[2] <= e.high for e in found]) >= 0.93


def test_pairs_that_all_agree_leave_a_width() -> None:
    found = paired_difference([True] * 128, [True] * 128)
    assert (found.value, found.n) == (0.0, 128)
    assert -0.03 < found.low < -0.02 < 0.02 < found.high < 0.03


@pytest.mark.parametrize(
    ("gained", "lost", "n"), [(0, 0, 50), (9, 2, 60), (1, 14, 40), (30, 30, 60), (50, 0, 50), (0, 7, 7)]
)
def test_the_ends_of_a_paired_difference_are_where_the_constrained_score_is_at_its_quantile(
    gained: int, lost: int, n: int
) -> None:
    found = paired_difference(
        [True] * gained + [False] * (n - gained), [False] * gained + [True] * lost + [False] * (n - gained - lost)
    )
    for end in (found.low, found.high):
        if abs(end) < 1:
            assert abs(constrained_score(gained, lost, n, end)) == pytest.approx(1.96, abs=0.01)


def constrained_score(gained: int, lost: int, n: int, difference: float) -> float:
    """By a search for the likeliest rates of which one exceeds the other by `difference`."""

    def unlikely(rate: float) -> float:
        cells = np.array([rate + difference, rate, 1 - 2 * rate - difference])
        return -float(np.sum(xlogy([gained, lost, n - gained - lost], np.maximum(cells, 1e-300))))

    bounds = (max(0.0, -difference), (1 - difference) / 2)
    rate = minimize_scalar(unlikely, bounds=bounds, method="bounded", options={"xatol": 1e-12}).x
    return (gained - lost - n * difference) / math.sqrt(n * (2 * rate + difference - difference**2))


@pytest.mark.parametrize(("first", "second"), [([], []), ([True], [True, False])])
def test_a_paired_difference_needs_pairs(first: list[bool], second: list[bool]) -> None:
    with pytest.raises(ValueError):
        paired_difference(first, second)


@given(st.lists(FINITE, min_size=2, max_size=40))
def test_a_mean_has_students_interval(values: list[float]) -> None:
    found = mean_interval(values)
    spread = stats.sem(values)
    low, high = stats.t.interval(0.95, len(values) - 1, np.mean(values), spread) if spread else (found.value,) * 2
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-6, abs=1e-6)
    assert found.value == pytest.approx(np.mean(values), rel=1e-9, abs=1e-9)


@given(st.lists(st.floats(-1000, 1000), min_size=2, max_size=40))
def test_sums_alone_give_the_same_interval(values: list[float]) -> None:
    found = mean_interval_of_sums(len(values), math.fsum(values), math.fsum(v * v for v in values))
    wanted = mean_interval(values)
    assert (found.value, found.low, found.high) == pytest.approx(
        (wanted.value, wanted.low, wanted.high), rel=1e-5, abs=1e-3
    )
    assert (found.n, found.method) == (wanted.n, wanted.method)


@pytest.mark.parametrize("values", [[], [1.0]])
def test_a_mean_of_fewer_than_two_has_no_interval(values: list[float]) -> None:
    with pytest.raises(ValueError):
        mean_interval(values)
    with pytest.raises(ValueError):
        mean_interval_of_sums(len(values), sum(values), sum(values))


def test_a_ratio_is_the_geometric_mean_with_students_interval_on_logarithms() -> None:
    found = ratio_interval([2.0, 8.0, 4.0], [1.0, 2.0, 2.0], "over seeds")
    logs = np.log([2.0, 4.0, 2.0])
    ends = np.exp(stats.t.interval(0.95, 2, logs.mean(), stats.sem(logs)))
    assert found.value == pytest.approx(16 ** (1 / 3))
    assert (found.low, found.high) == pytest.approx(tuple(ends))
    assert found.n == 3
    assert "over seeds" in found.method


@given(st.lists(st.tuples(st.floats(0.01, 100), st.floats(0.01, 100)), min_size=2, max_size=8))
def test_swapping_the_sides_of_a_ratio_inverts_it(pairs: list[tuple[float, float]]) -> None:
    tops, bottoms = zip(*pairs, strict=True)
    there, back = ratio_interval(tops, bottoms, ""), ratio_interval(bottoms, tops, "")
    assert there.value * back.value == pytest.approx(1)
    if max(there.high, back.high) < 1e100:
        assert there.low * back.high == pytest.approx(1)


@pytest.mark.parametrize(
    ("tops", "bottoms"),
    [([1], [1]), ([], []), ([1, 0], [1, 1]), ([1, 1], [1, 0]), ([-1, -2], [-1, -1]), ([1, -1], [1, 1]), ([1, 2], [1])],
)
def test_ratios_that_have_no_logarithm_are_refused(tops: list[float], bottoms: list[float]) -> None:
    with pytest.raises(ValueError):
        ratio_interval(tops, bottoms, "")


def test_seeds_that_agree_leave_the_width_of_the_prompts() -> None:
    found = over_seeds([0.0, 0.0, 0.0], 128)
    assert found.value == found.low == 0
    assert found.high == pytest.approx(wilson(0.0, 128)[1])


def test_seeds_that_differ_widen_the_interval_beyond_the_prompts() -> None:
    found = over_seeds([0.0, 0.5, 1.0], 1000)
    assert (found.low, found.high) == (0, 1)
    narrow = over_seeds([0.50, 0.51, 0.49], 1000)
    assert narrow.low == pytest.approx(wilson(0.5, 1000)[0], abs=0.01)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=9), st.integers(1, 500))
def test_an_interval_over_seeds_holds_its_mean_and_stays_a_rate(rates: list[float], prompts: int) -> None:
    found = over_seeds(rates, prompts)
    assert 0 <= found.low <= found.value + 1e-9
    assert found.value - 1e-9 <= found.high <= 1
