"""The simulations of docs/statistics.md, small: every promise that the page makes, in a few cells where it is hardest."""

from types import ModuleType

import numpy as np
import pytest

from molehunt.stats import Seeds, arm_estimate
from test_docs import ROOT, script

STUDIES = 300
"""With 300 studies, coverage of 95% is measured as below 91.5% once in 200 times."""


@pytest.fixture(scope="module")
def page() -> ModuleType:
    return script(ROOT / "docs" / "write_statistics.py")


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("spread", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("mean", [0.0, 0.02, 0.5, 0.98])
def test_intervals_of_arms_cover(page: ModuleType, seeds: int, spread: float, mean: float) -> None:
    assert page.arm_coverage(Seeds(seeds, 128, spread), mean, STUDIES)[0] >= 0.915


def test_the_simulation_tries_the_intervals_that_we_give(page: ModuleType) -> None:
    counts = np.array([[0, 0, 0], [128, 128, 128], [3, 90, 128], [64, 60, 70]])
    found = [arm_estimate(row, [128] * 3) for row in counts.tolist()]
    low, high = page.taken(counts)
    assert low == pytest.approx([e.low for e in found])
    assert high == pytest.approx([e.high for e in found])


@pytest.mark.parametrize("spread", [0.0, 1.0, 5.0])
@pytest.mark.parametrize("seeds", [3, 10])
def test_intervals_of_means_cover(page: ModuleType, seeds: int, spread: float) -> None:
    assert page.mean_coverage(seeds, spread, STUDIES) >= 0.915


@pytest.mark.parametrize("plan", [Seeds(3, 128, 2.0), Seeds(5, 128, 1.0, shared=0.8), Seeds(10, 128, 2.0)])
@pytest.mark.parametrize("pair", [(0.98, 0.02), (0.5, 0.02), (0.02, 0.02)])
def test_intervals_of_contrasts_cover(page: ModuleType, plan: Seeds, pair: tuple[float, float]) -> None:
    assert page.contrast_results(plan, pair, STUDIES)["**the wider**"][0] >= 0.915


@pytest.mark.parametrize("plan", [Seeds(3, 128, 1.0), Seeds(5, 128, two_kinds=True)])
def test_null_claims_and_wrong_signs_are_rarely_called(page: ModuleType, plan: Seeds) -> None:
    assert page.family_errors(plan, page.NULL_FAMILY, 100)[0] <= 0.05
    wrong, right = page.family_errors(plan, page.MIXED_FAMILY, 100)
    assert wrong <= 0.05
    assert right > 0.1


def test_flips_are_found_at_the_stated_power_and_not_where_there_is_none(page: ModuleType) -> None:
    plan = Seeds(5, 128, 1.0)
    found, _ = page.flip_results(plan, page.FLIPPING, STUDIES)
    assert found == pytest.approx(page.stated_flip_power(plan, page.FLIPPING), abs=0.08)
    assert page.flip_results(plan, ((0.5, 0.5),) * 3, STUDIES)[0] <= 0.05


def test_a_stopped_interval_misses_rarely(page: ModuleType) -> None:
    missed, prompts = page.stopping(0.1, STUDIES)
    assert missed <= 0.05
    assert 100 < prompts < 1000
