import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from molehunt.stats.detection import (
    auroc,
    conformal_p,
    detection_at,
    exact_rate,
    excess,
    false_alarm_bound,
    false_alarms_at,
    left_out_p,
)


@pytest.mark.parametrize("alpha", [0.05, 0.2])
def test_a_clean_subject_alarms_no_more_often_than_said(alpha: float) -> None:
    rng = np.random.default_rng(0)
    drawn = rng.normal(size=(4000, 40))
    alarms = [conformal_p(row[0], row[1:].tolist()) <= alpha for row in drawn]
    assert np.mean(alarms) <= alpha + 0.012


def test_a_score_above_all_has_the_smallest_p_and_ties_count_against_it() -> None:
    assert conformal_p(2.0, [1.0] * 19) == pytest.approx(1 / 20)
    assert conformal_p(1.0, [1.0] * 19) == 1.0
    assert left_out_p([1.0, 2.0, 3.0]) == pytest.approx([1.0, 2 / 3, 1 / 3])


@pytest.mark.parametrize("scores", [[math.nan], [1.0, math.nan]])
def test_what_is_no_number_has_no_p_value(scores: list[float]) -> None:
    with pytest.raises(ValueError):
        conformal_p(scores[0], scores)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30), st.lists(st.integers(0, 5), min_size=1, max_size=30))
def test_auroc_counts_pairs(planted: list[int], clean: list[int]) -> None:
    found = auroc([float(x) for x in planted], [float(x) for x in clean])
    pairs = [(a > b) + 0.5 * (a == b) for a in planted for b in clean]
    assert found.value == pytest.approx(np.mean(pairs))
    assert 0 <= found.low <= found.value <= found.high <= 1


def test_a_perfect_ranking_of_few_models_leaves_a_width() -> None:
    found = auroc([2.0] * 10, [1.0] * 10)
    assert found.value == found.high == 1.0
    assert 0.6 < found.low < 0.9


@pytest.mark.parametrize("shift", [0.0, 1.0, 2.5])
def test_the_interval_of_an_auroc_covers(shift: float) -> None:
    rng = np.random.default_rng(1)
    truth = stats.norm.cdf(shift / math.sqrt(2))
    found = [auroc(rng.normal(shift, 1, 30).tolist(), rng.normal(0, 1, 40).tolist()) for _ in range(600)]
    assert np.mean([e.low <= truth <= e.high for e in found]) >= 0.93


def test_exact_rates_are_those_of_the_binomial_test() -> None:
    for successes, n in [(0, 13), (36, 41), (5, 5), (3, 100)]:
        low, high = stats.binomtest(successes, n).proportion_ci(0.95, method="exact")
        found = exact_rate(successes, n)
        assert (found.low, found.high) == pytest.approx((low, high))


@pytest.mark.parametrize(("clean", "bound"), [(13, 0.206), (59, 0.0495), (299, 0.00997)])
def test_no_alarm_on_n_models_bounds_the_rate(clean: int, bound: float) -> None:
    assert false_alarm_bound(clean) == pytest.approx(bound, rel=5e-3)


def test_detection_needs_enough_clean_models() -> None:
    planted = [10.0, 10.0, 0.0]
    assert detection_at(0.05, planted, [1.0] * 18) is None
    found = detection_at(0.05, planted, [1.0] * 19)
    assert found is not None
    assert found.value == pytest.approx(2 / 3)
    assert detection_at(0.01, planted, [1.0] * 298) is None
    assert detection_at(0.01, planted, [1.0] * 299) is not None


def test_clean_models_that_judge_each_other_alarm_as_often_as_allowed() -> None:
    found = false_alarms_at(0.05, [float(i) for i in range(40)])
    assert found is not None
    assert found.value == pytest.approx(2 / 40)
    assert false_alarms_at(0.05, [1.0] * 10) is None


def test_an_excess_counts_quartiles_above_the_median() -> None:
    found = excess([0.0, 1.0, 2.0, 3.0, 4.0])
    assert found == pytest.approx([0, 0, 0, np.log(2), np.log(3)])
    assert excess([5.0]) == pytest.approx([0.0])
    assert excess([0.0, 0.0, 0.0, 0.0, 10.0]) == pytest.approx([0, 0, 0, 0, np.log(21)])
    assert (excess([1.0, 7.0, 9.0]) == excess([10.0, 70.0, 90.0])).all()
    for bad in ([], [float("nan")]):
        with pytest.raises(ValueError, match="excess"):
            excess(bad)
