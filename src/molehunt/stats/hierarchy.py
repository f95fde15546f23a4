"""The mean of one arm over seeds: prompts lie within seeds, and seeds are what is independent."""

import math
from collections.abc import Sequence

import numpy as np

from molehunt.records.estimates import ArmEstimate
from molehunt.stats.cells import Mean, Rate, check_cell
from molehunt.stats.intervals import proportion
from molehunt.stats.limits import margin
from molehunt.stats.posterior import rate_limits

_ONE = "over the prompts of one seed: says nothing about other seeds"


def arm_estimate(successes: Sequence[int], trials: Sequence[int]) -> ArmEstimate:
    """The mean rate over seeds, with a 95% interval that speaks of other seeds.

    The wider of Student's t over the seeds' rates and of beta-binomial limits (`rate_limits`); Wilson's over prompts with
    one seed.

    Raises:
        ValueError: no seeds, lists of different lengths, counts outside 0..trials.
    """
    cells = [Rate(k, n) for k, n in zip(successes, trials, strict=True)]
    values = _values(cells)
    mean = math.fsum(values) / len(values)
    if len(cells) == 1:
        alone = proportion(successes[0], trials[0])
        low, high, how = alone.low, alone.high, f"Wilson 95%, {_ONE}"
    else:
        half = float(margin(values, 0.0))
        below, above = rate_limits(successes, trials, 0.05)
        low, high = max(0.0, min(mean - half, float(below))), min(1.0, max(mean + half, float(above)))
        how = f"Student t 95%, over {len(cells)} seeds, or beta-binomial limits if wider"
    # One prompt has no spread of its own to tell from the seeds'.
    share = seed_share(values, [v * (1 - v) / max(n - 1, 1) for v, n in zip(values, trials, strict=True)])
    return ArmEstimate(value=mean, low=low, high=high, n=len(cells), method=how, by_seed=tuple(values), seed_share=share)


def mean_estimate(values: Sequence[float], errors: Sequence[float]) -> ArmEstimate:
    """The mean over seeds of means (log-odds), each with its standard error over prompts; interval as `margin`.

    Raises:
        ValueError: no seeds, lists of different lengths, numbers that are not finite, errors below 0.
    """
    cells = [Mean(value, error) for value, error in zip(values, errors, strict=True)]
    found, seeds = _values(cells), len(cells)
    mean = math.fsum(found) / seeds
    half = float(margin(found, math.hypot(*errors) / seeds))
    how = f"normal 95%, {_ONE}" if seeds == 1 else f"Student t 95%, over {seeds} seeds, at least the prompts' noise"
    return ArmEstimate(
        value=mean, low=mean - half, high=mean + half, n=seeds, method=how,
        by_seed=tuple(found), seed_share=seed_share(found, [cell.variance for cell in cells]),
    )  # fmt: skip


def seed_share(values: Sequence[float], prompt_variances: Sequence[float]) -> float | None:
    """Share of the variance between seeds' values that is seeds and not prompts; None with one seed.

    By the analysis of variance: what is left of the variance when the prompts' is taken away, at least 0 (Searle, Casella,
    McCulloch 1992, Variance Components, section 3.5; equal to REML when seeds have equally many prompts).
    """
    if len(values) < 2:
        return None
    total = float(np.var(values, ddof=1))
    return max(0.0, 1 - float(np.mean(prompt_variances)) / total) if total > 0 else 0.0


def _values(cells: Sequence[Rate | Mean]) -> list[float]:
    if not cells:
        raise ValueError("an arm needs at least one seed")
    for cell in cells:
        check_cell(cell)
    return [cell.value for cell in cells]
