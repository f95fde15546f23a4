import math

import numpy as np
import pytest

from molehunt.stats import confidence_sequence, prompts_until


@pytest.mark.parametrize("rate", [0.0, 0.02, 0.5, 0.98])
def test_the_truth_is_inside_at_every_look(rate: float) -> None:
    shown = np.random.default_rng(0).random((400, 200)) < rate
    looks = [10, 25, 50, 100, 150, 200]
    missed = [
        any(not e.low <= rate <= e.high for e in (confidence_sequence(row[:n].tolist()) for n in looks))
        for row in shown
    ]
    assert np.mean(missed) <= 0.05


def test_nothing_shown_has_the_closed_form() -> None:
    # (1 - p)^n (n + 1) = alpha.
    found = confidence_sequence([False] * 99)
    assert found.low == 0
    assert found.high == pytest.approx(1 - (0.05 / 100) ** (1 / 99))
    mirrored = confidence_sequence([True] * 99)
    assert (mirrored.low, mirrored.high) == pytest.approx((1 - found.high, 1))


def test_sampling_stops_when_the_interval_is_narrow() -> None:
    stop = prompts_until([False] * 500, 0.1, every=8)
    assert stop is not None
    assert stop % 8 == 0
    before, at = (confidence_sequence([False] * n) for n in (stop - 8, stop))
    assert at.high - at.low <= 0.1 < before.high - before.low
    assert prompts_until([False, True] * 30, 0.1) is None
    assert prompts_until([], 0.1) is None


@pytest.mark.parametrize(("width", "every"), [(0, 1), (-1, 1), (math.nan, 1), (0.1, 0)])
def test_looking_without_a_step_or_a_width_is_refused(width: float, every: int) -> None:
    with pytest.raises(ValueError):
        prompts_until([True], width, every)


def test_no_prompts_are_refused() -> None:
    with pytest.raises(ValueError):
        confidence_sequence([])
