import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from molehunt.stats import arm_estimate, mean_estimate, proportion
from molehunt.stats.posterior import rate_limits


@given(st.lists(st.integers(0, 64), min_size=1, max_size=8))
def test_an_arm_lies_in_its_interval_and_mirrors(successes: list[int]) -> None:
    found = arm_estimate(successes, [64] * len(successes))
    mirrored = arm_estimate([64 - k for k in successes], [64] * len(successes))
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert (found.low, found.high) == pytest.approx((1 - mirrored.high, 1 - mirrored.low), abs=1e-6)


def test_seeds_that_all_gave_nothing_leave_room_for_other_seeds() -> None:
    three, ten = arm_estimate([0] * 3, [128] * 3), arm_estimate([0] * 10, [128] * 10)
    assert three.low == ten.low == 0
    assert 0.25 < three.high < 0.45
    assert 0.08 < ten.high < 0.15
    assert three.seed_share == 0


def test_seeds_of_one_rate_agree_with_all_prompts_pooled() -> None:
    found, pooled = rate_limits([26] * 40, [128] * 40, 0.05), proportion(26 * 40, 128 * 40)
    assert (float(found[0]), float(found[1])) == pytest.approx((pooled.low, pooled.high), abs=0.005)


def test_seeds_of_two_kinds_agree_with_a_proportion_of_seeds() -> None:
    low, high = rate_limits([0] * 10 + [1000] * 10, [1000] * 20, 0.05)
    exact = stats.beta(10 + 1 / 3, 10 + 1 / 3).interval(0.95)
    assert (float(low), float(high)) == pytest.approx(exact, abs=0.02)


def test_the_share_of_seeds_is_that_of_a_mixed_model() -> None:
    # statsmodels 0.15.0, MixedLM("shown ~ 1", groups=seed), REML: 0.101543 between, 0.175151 within seeds.
    found = arm_estimate([4, 20, 11, 28], [32] * 4)
    assert found.seed_share == pytest.approx(0.101543 / (0.101543 + 0.175151 / 32), abs=1e-4)
    assert arm_estimate([16, 16, 16], [32] * 3).seed_share == 0
    assert arm_estimate([1, 0], [1, 1]).seed_share == 1


def test_one_seed_speaks_of_its_prompts_alone() -> None:
    rate, mean = arm_estimate([3], [128]), mean_estimate([2.0], [0.5])
    assert (rate.low, rate.high) == (proportion(3, 128).low, proportion(3, 128).high)
    assert (mean.low, mean.high) == pytest.approx((2 - 0.98, 2 + 0.98), abs=1e-3)
    for found in (rate, mean):
        assert "nothing about other seeds" in found.method
        assert found.seed_share is None


def test_means_have_students_interval_and_at_least_their_prompts_noise() -> None:
    wide = mean_estimate([1.0, 5.0, 9.0], [0.1] * 3)
    assert (wide.low, wide.high) == pytest.approx(stats.t.interval(0.95, 2, 5, stats.sem([1, 5, 9])))
    narrow = mean_estimate([1.0, 1.0, 1.0], [0.6] * 3)
    assert narrow.high - 1 == pytest.approx(1.96 * 0.6 / math.sqrt(3), abs=1e-3)
    assert narrow.seed_share == 0
    assert wide.seed_share == pytest.approx(1 - 0.01 / 16)


@pytest.mark.parametrize(("k", "n"), [([], []), ([1], [1, 2]), ([3], [2]), ([-1], [2]), ([0], [0])])
def test_impossible_arms_are_refused(k: list[int], n: list[int]) -> None:
    with pytest.raises(ValueError):
        arm_estimate(k, n)


@pytest.mark.parametrize(("v", "e"), [([], []), ([1.0], []), ([math.inf], [1.0]), ([1.0], [-1.0]), ([1.0], [math.nan])])
def test_impossible_means_are_refused(v: list[float], e: list[float]) -> None:
    with pytest.raises(ValueError):
        mean_estimate(v, e)
