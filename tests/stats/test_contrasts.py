import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from molehunt.stats import Cell, Mean, Rate, combined_contrast, paired_contrast
from molehunt.stats.limits import limits, p_value
from molehunt.stats.simulate import contrast_limits, sided_limits

COUNTS = st.integers(2, 6).flatmap(lambda n: st.lists(st.tuples(*[st.integers(0, 64)] * 2), min_size=n, max_size=n))


def rates(*counts: int, n: int = 128) -> list[Cell]:
    return [Rate(k, n) for k in counts]


def test_means_have_the_paired_t_interval() -> None:
    a, b = [3.0, 5.5, 4.0, 6.0], [1.0, 4.0, 3.5, 2.0]
    found = paired_contrast([[Mean(x, 0.0) for x in a]], [[Mean(x, 0.0) for x in b]])
    wanted = stats.ttest_rel(a, b)
    assert found.p_value == pytest.approx(wanted.pvalue, rel=0.01)
    assert (found.effect.low, found.effect.high) == pytest.approx(tuple(wanted.confidence_interval()))
    assert found.effect.n == 4


def test_a_mixed_model_gives_the_same_mean_and_standard_error() -> None:
    # statsmodels 0.15.0, MixedLM("y ~ level + C(pair)", groups=seed, re_formula="~level"), REML: 0.684875, 0.389318.
    a = [
        [1.393, 1.573, 0.954, -0.422, -0.967, 1.606], [2.761, 2.204, 1.513, 0.628, -1.027, 1.94],
        [3.007, 1.73, 1.205, -0.516, -0.923, 1.875], [2.051, 1.578, 1.497, 0.215, -0.587, 1.942],
    ]  # fmt: skip
    b = [
        [-0.075, -0.329, 1.673, 0.957, -1.701, 1.48], [0.924, 0.126, 1.413, 0.053, -0.342, 1.703],
        [1.152, 0.393, 1.46, -0.394, -1.074, 1.051], [-0.393, -0.067, 1.496, 0.558, -1.663, 0.392],
    ]  # fmt: skip
    found = paired_contrast(*([[Mean(x, 0.0) for x in row] for row in table] for table in (a, b)))
    assert found.effect.value == pytest.approx(0.684875, abs=1e-5)
    assert (found.effect.high - found.effect.low) / 2 / stats.t.ppf(0.975, 5) == pytest.approx(0.389318, abs=1e-5)
    assert found.pairs == 4


def test_means_that_agree_keep_the_noise_of_their_prompts() -> None:
    found = paired_contrast([[Mean(2.0, 0.3)] * 3], [[Mean(1.0, 0.4)] * 3])
    half = 1.96 * math.hypot(0.3, 0.4) / math.sqrt(3)
    assert (found.effect.low, found.effect.high) == pytest.approx((1 - half, 1 + half), abs=1e-4)


@pytest.mark.parametrize(("a", "b"), [(0, 0), (128, 128), (128, 0), (64, 64)])
def test_rates_that_agree_have_width(a: int, b: int) -> None:
    found = paired_contrast([rates(a, a, a)], [rates(b, b, b)]).effect
    assert found.high - found.low > 0.1
    assert found.low <= found.value <= found.high


def test_three_seeds_of_all_against_none_are_told_apart() -> None:
    found = paired_contrast([rates(128, 128, 128)], [rates(0, 0, 0)])
    assert found.effect.low > 0.5
    assert found.p_value < 0.01


@given(COUNTS)
def test_swapping_the_sides_turns_the_contrast(counts: list[tuple[int, int]]) -> None:
    a, b = ([rates(*side, n=64)] for side in zip(*counts, strict=True))
    there, back = paired_contrast(a, b), paired_contrast(b, a)
    assert there.effect.value == pytest.approx(-back.effect.value, abs=1e-9)
    assert (there.effect.low, there.effect.high) == pytest.approx((-back.effect.high, -back.effect.low), abs=1e-9)
    assert -1 <= there.effect.low <= there.effect.value + 1e-9
    assert there.p_value == pytest.approx(back.p_value)


@given(COUNTS)
def test_the_p_value_and_the_interval_say_the_same(counts: list[tuple[int, int]]) -> None:
    found = paired_contrast(*([rates(*side, n=64)] for side in zip(*counts, strict=True)))
    for alpha in (0.2, 0.05, 0.002):
        low, high = limits(found, alpha)
        if abs(math.log(found.p_value / alpha)) > 0.05:
            assert (low > 0 or high < 0) == (found.p_value < alpha)
    assert p_value(found) == found.p_value


def test_many_studies_at_once_have_the_limits_of_each() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 65, (20, 4)), rng.integers(0, 9, (20, 4))
    low, high = contrast_limits(a, b, 64, [0.05, 0.01])
    for i in range(20):
        found = paired_contrast([rates(*a[i].tolist(), n=64)], [rates(*b[i].tolist(), n=64)])
        for j, alpha in enumerate((0.05, 0.01)):
            assert (low[i, j], high[i, j]) == pytest.approx(tuple(map(float, limits(found, alpha))))


@pytest.mark.parametrize("sides", [1, 3, 4, 8])
def test_many_studies_of_more_rates_have_the_limits_of_each(sides: int) -> None:
    drawn = np.random.default_rng(sides).integers(0, 65, (sides, 10, 4))
    low, high = sided_limits(list(drawn), 64, 0.01)
    for i in range(10):
        terms = [(1 if k % 2 == 0 else -1, [rates(*drawn[k, i].tolist(), n=64)]) for k in range(sides)]
        found = limits(combined_contrast(terms), 0.01)
        assert (low[i, 0], high[i, 0]) == pytest.approx(tuple(map(float, found)))


def test_one_seed_speaks_of_its_prompts_alone() -> None:
    found = paired_contrast([rates(100)], [rates(20)])
    assert "nothing about other seeds" in found.effect.method
    assert found.effect.high - found.effect.low < 0.2


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ([], []), ([[]], [[]]), ([rates(1, 2)], [rates(1)]), ([rates(1), rates(1, 2)], [rates(1), rates(1, 2)]),
        ([rates(1, 2)], [[Mean(1, 1), Mean(1, 1)]]), ([rates(129)], [rates(1)]), ([[Rate(0, 0)]], [rates(1)]),
        ([[Mean(math.nan, 1)]], [[Mean(1, 1)]]), ([[Mean(1, -1)]], [[Mean(1, 1)]]), ([rates(-1)], [rates(1)]),
    ],
)  # fmt: skip
def test_tables_that_do_not_match_are_refused(a: list[list[Cell]], b: list[list[Cell]]) -> None:
    with pytest.raises(ValueError):
        paired_contrast(a, b)


def test_one_table_is_held_against_zero() -> None:
    means = combined_contrast([(1, [[Mean(x, 0.0) for x in (1.0, 2.0, 4.0)]])])
    assert (means.effect.low, means.effect.high) == pytest.approx(
        tuple(stats.ttest_1samp([1, 2, 4], 0).confidence_interval())
    )
    none = combined_contrast([(1, [rates(0, 0, 0)])])
    assert none.effect.value == 0
    assert none.effect.high > 0.3  # three seeds say little of seeds that they do not show
    assert none.p_value == 1
    some = combined_contrast([(1, [rates(0, 128, 0)])])
    assert some.effect.low < 0 < some.effect.high <= 1


def test_a_difference_of_differences_is_that_of_two_contrasts() -> None:
    a, b, c, d = ([rates(*counts)] for counts in ((90, 80, 70), (10, 20, 30), (50, 60, 40), (5, 6, 9)))
    whole = combined_contrast([(1, a), (-1, b), (-1, c), (1, d)])
    one, two = paired_contrast(a, b), paired_contrast(c, d)
    assert whole.by_seed == pytest.approx([x - y for x, y in zip(one.by_seed, two.by_seed, strict=True)])
    assert whole.prompt_error == pytest.approx(math.hypot(one.prompt_error, two.prompt_error))


def test_an_arm_of_few_prompts_is_not_taken_for_one_of_many() -> None:
    """It weighs as much as the others, so their prompts do not make its rate known."""
    few = combined_contrast([(1, [rates(0, 0, 0), rates(0, 0, 0, n=2)])])
    assert few.sides[0].trials == pytest.approx([4 / (1 / 128 + 1 / 2)] * 3)
    assert combined_contrast([(1, [rates(0, 0, 0), rates(0, 0, 0)])]).sides[0].trials == (256, 256, 256)
