import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.stats import fisher_exact, hypergeom, poisson

from molehunt.stats.association import (
    benjamini_hochberg_log10,
    fisher_log10,
    least_count,
    poisson_log10,
    raised_score,
    ratio_low,
    stratified_log10,
)


@st.composite
def tables(draw: st.DrawFn) -> tuple[int, int, int, int]:
    everyone = draw(st.integers(1, 60))
    labelled, with_it = draw(st.integers(0, everyone)), draw(st.integers(0, everyone))
    both = draw(st.integers(max(0, labelled + with_it - everyone), min(labelled, with_it)))
    return both, labelled, with_it, everyone


@given(tables())
@example((1, 12, 12, 24))
@settings(max_examples=60, deadline=None)
def test_fishers_p_is_that_of_scipy(table: tuple[int, int, int, int]) -> None:
    both, labelled, with_it, everyone = table
    rest = [[both, with_it - both], [labelled - both, everyone - labelled - with_it + both]]
    assert 10 ** fisher_log10(table) == pytest.approx(fisher_exact(rest, "greater")[1], rel=1e-8)
    assert stratified_log10([table]) == pytest.approx(fisher_log10(table), abs=1e-8)


@given(tables(), tables())
@settings(max_examples=40, deadline=None)
def test_the_stratified_p_is_the_sum_over_all_pairs_of_tables(first: tuple, second: tuple) -> None:
    seen = first[0] + second[0]
    whole = sum(
        hypergeom.pmf(i, first[3], first[2], first[1]) * hypergeom.sf(seen - i - 1, second[3], second[2], second[1])
        for i in range(first[2] + 1)
    )
    assert 10 ** stratified_log10([first, second]) == pytest.approx(min(1.0, whole), rel=1e-6)


def test_p_values_far_below_floats_are_exact() -> None:
    table = (900, 1000, 1000, 10_000_000)
    k = np.arange(900, 1001)
    logs = hypergeom.logpmf(k, table[3], table[2], table[1])
    wanted = (logs.max() + math.log(np.exp(logs - logs.max()).sum())) / math.log(10)
    assert wanted < -3000
    assert fisher_log10(table) == pytest.approx(wanted, rel=1e-6)
    assert stratified_log10([table, (0, 10, 10, 100)]) > fisher_log10(table)


def test_the_poisson_bound_is_poissons_tail_and_never_below_the_exact_p() -> None:
    counts, means = np.array([0, 1, 3, 40]), np.array([2.0, 0.3, 0.01, 5.0])
    assert poisson_log10(counts, means) == pytest.approx(
        [0.0, *np.log10(poisson.sf(counts[1:] - 1, means[1:]))], abs=1e-9
    )
    assert poisson_log10(np.array([400]), np.array([1.0]))[0] < -800
    for table in ((30, 100, 50, 1000), (5, 10, 12, 400)):
        assert raised_score([table])[1] >= fisher_log10(table)


def test_the_adjusted_p_is_that_of_benjamini_and_hochberg() -> None:
    p = np.array([0.01, 0.04, 0.03, 0.005])
    assert 10 ** benjamini_hochberg_log10(np.log10(p), 4) == pytest.approx([0.02, 0.04, 0.04, 0.02])
    assert 10 ** benjamini_hochberg_log10(np.log10(p), 40) == pytest.approx([0.2, 0.4, 0.4, 0.2])
    with pytest.raises(ValueError):
        benjamini_hochberg_log10(np.log10(p), 3)


def test_impossible_tables_are_refused() -> None:
    with pytest.raises(ValueError):
        fisher_log10((5, 4, 10, 20))
    with pytest.raises(ValueError):
        stratified_log10([])


def test_the_least_count_is_the_first_that_passes_the_line() -> None:
    count = least_count(1000, 1_000_000, 10**9)
    line = math.log10(0.05) - 9
    assert fisher_log10((count, 1000, count, 1_000_000)) <= line < fisher_log10((count - 1, 1000, count - 1, 1_000_000))


def test_the_ratio_from_below_is_no_larger_than_the_ratio_and_near_it_where_much_is_known() -> None:
    assert 0 < ratio_low([(7, 38 + 7, 7, 5662)]) < 1 / (38 / 5655)
    assert ratio_low([(9000, 18_000, 10_000, 1_000_000)]) == pytest.approx(0.9 / (9000 / 990_000), rel=0.05)
    assert ratio_low([(0, 5, 10, 100)]) == 0
    assert ratio_low([(3, 3, 3, 3)]) == 0  # nothing to compare with


def test_a_labeller_that_misses_nine_in_ten_leaves_the_ratio() -> None:
    whole, tenth = ratio_low([(900, 9000, 1000, 100_000)]), ratio_low([(90, 900, 1000, 100_000)])
    assert tenth == pytest.approx(whole, rel=0.35)


def test_strata_that_are_odd_anyway_do_not_raise_the_ratio() -> None:
    tables = [(100, 500, 200, 1000), (1, 10, 10, 1000)]
    assert ratio_low(tables) < 1.1  # half of the first stratum are odd, with and without
    together = [tuple(map(sum, zip(*tables, strict=True)))]
    assert ratio_low(together) > 1.5  # type: ignore[arg-type]
