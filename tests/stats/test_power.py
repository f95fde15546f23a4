import numpy as np
import pytest
from scipy import stats

from molehunt.stats import (
    Mean,
    Rate,
    Seeds,
    more_seeds,
    paired_contrast,
    power,
    smallest_mean_effect,
    smallest_rate_effect,
    unseen_share,
)


@pytest.mark.parametrize(("seeds", "family"), [(3, 1), (5, 1), (10, 12)])
def test_the_smallest_effect_on_a_mean_is_found_in_80_of_100_studies(seeds: int, family: int) -> None:
    effect = smallest_mean_effect(seeds, spread=2.0, prompt_error=1.0, family=family)
    studies = np.random.default_rng(0).normal(effect, np.sqrt(5), (20_000, seeds))
    assert np.mean(stats.ttest_1samp(studies, 0, axis=1).pvalue < 0.05 / family) == pytest.approx(0.8, abs=0.01)


def test_a_textbook_sample_size() -> None:
    # Cohen 1988: a paired difference of 0.5 standard deviations needs 34 pairs for 80% power.
    assert smallest_mean_effect(34, 1.0) == pytest.approx(0.5, abs=0.01)


def test_power_is_that_of_the_noncentral_t() -> None:
    shift = smallest_mean_effect(4, 1.0) * 2
    assert stats.nct.cdf(stats.t.isf(0.025, 3), 3, shift) == pytest.approx(0.2, abs=1e-3)


def test_more_seeds_or_less_spread_see_less() -> None:
    found = [
        smallest_rate_effect(Seeds(seeds, 64, spread), 0.1, draws=60)
        for seeds, spread in ((3, 0.5), (10, 0.5), (10, 2))
    ]
    assert None not in found
    assert found[1] < found[0]  # type: ignore[operator]
    assert found[1] < found[2]  # type: ignore[operator]


def test_the_smallest_rate_effect_is_found_in_80_of_100_fresh_studies() -> None:
    plan = Seeds(5, 128, 1.0)
    effect = smallest_rate_effect(plan, 0.02)
    assert effect is not None
    assert 0.7 <= power(plan, 0.02 + effect, 0.02, draws=300, seed=9) <= 0.95


@pytest.mark.parametrize(("rates", "against"), [(1, 0.0), (4, 0.5), (8, 0.5)])
def test_so_is_that_of_one_rate_and_of_differences_of_differences(rates: int, against: float) -> None:
    plan = Seeds(10, 128, 0.5)
    effect = smallest_rate_effect(plan, against, rates=rates)
    assert effect is not None
    assert 0.7 <= power(plan, against + effect, against, draws=300, seed=9, rates=rates) <= 0.98
    two = smallest_rate_effect(plan, 0.5)
    assert two is not None
    assert (effect > two) == (rates > 2)


def test_rates_that_do_not_cancel_out_are_refused() -> None:
    with pytest.raises(ValueError, match="added as taken away"):
        power(Seeds(5, 64), 0.5, 0.5, rates=3)


def test_a_plan_that_sees_nothing_says_so() -> None:
    assert smallest_rate_effect(Seeds(3, 32, two_kinds=True), 0.5, draws=40) is None


def test_more_seeds_decide_or_nothing_does() -> None:
    contrast = paired_contrast([[Rate(k, 128) for k in (128, 90, 20)]], [[Rate(0, 128)] * 3])
    more = more_seeds(contrast, 0.1)
    assert more is not None
    assert 1 <= more <= 20
    assert more_seeds(contrast, 0.1, family=12) > more  # type: ignore[operator]
    assert more_seeds(paired_contrast([[Rate(128, 128)] * 3], [[Rate(0, 128)] * 3]), 0.1) == 0
    assert more_seeds(paired_contrast([[Rate(128, 128)]], [[Rate(0, 128)]]), 0.1) is None
    assert more_seeds(paired_contrast([[Mean(0.1, 9), Mean(-0.1, 9)]], [[Mean(0, 9)] * 2]), 0.01) is None


def test_seeds_that_nobody_saw() -> None:
    assert unseen_share(3) == pytest.approx(0.632, abs=1e-3)
    assert (1 - unseen_share(10)) ** 10 == pytest.approx(0.05)


@pytest.mark.parametrize("seeds", [0, -1])
def test_no_seeds_are_refused(seeds: int) -> None:
    with pytest.raises(ValueError):
        unseen_share(seeds)
    with pytest.raises(ValueError):
        smallest_mean_effect(seeds, 1.0)
    with pytest.raises(ValueError):
        smallest_rate_effect(Seeds(seeds, 128), 0.5)


@pytest.mark.parametrize(("mean", "spread"), [(0.02, 2.0), (0.5, 4.0), (0.9, 0.5), (0.1, 0.0)])
def test_simulated_seeds_have_the_mean_they_should(mean: float, spread: float) -> None:
    counts = Seeds(10, 100, spread).draw(np.random.default_rng(0), 5000, mean)[0]
    assert counts.mean() / 100 == pytest.approx(mean, abs=0.006)


def test_shared_seeds_move_both_arms() -> None:
    a, b = Seeds(10, 100, 2.0, shared=0.9).draw(np.random.default_rng(0), 500, 0.5, 0.5)
    assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.8
