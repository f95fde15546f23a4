"""What a plan can see before it is run, and how many seeds a claim still needs."""

import math
from collections.abc import Callable

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr
from scipy.stats import chi2, t

from molehunt.records.claims import Contrast
from molehunt.stats.limits import limits
from molehunt.stats.simulate import Seeds, power

MOST_SEEDS = 1000


def smallest_mean_effect(seeds: int, spread: float, prompt_error: float = 0.0, family: int = 1) -> float:
    """The smallest difference of means (log-odds) that a plan detects with 80% power.

    By the noncentral t distribution of the paired t test (Cohen 1988, Statistical Power Analysis, section 2.5), at the level that the first of `family`
    claims has to pass.

    Args:
        seeds: replicates, at least 2.
        spread: standard deviation between seeds of the paired difference, in the outcome's unit.
        prompt_error: standard error over prompts of one seed's difference.
        family: number of claims tested together.

    Raises:
        ValueError: fewer than two seeds, no claim, or a spread that is not above 0 together with the prompts' noise.
    """
    scale = math.hypot(spread, prompt_error) / math.sqrt(max(seeds, 1))
    if seeds < 2 or family < 1 or not scale > 0:
        raise ValueError("power needs at least two seeds, one claim, and some noise")
    # scipy's noncentral t gives NaN at the shifts that a search tries; the mean over the spreads that seeds can show does not.
    spreads = np.sqrt(chi2.ppf((np.arange(4000) + 0.5) / 4000, seeds - 1) / (seeds - 1))
    needed = float(t.isf(0.025 / family, seeds - 1)) * spreads
    return scale * float(brentq(lambda shift: float(ndtr(shift - needed).mean()) - 0.8, 0.0, needed[-1] + 3))


def smallest_rate_effect(
    plan: Seeds, against: float, family: int = 1, draws: int = 200, rates: int = 2
) -> float | None:
    """The smallest difference from the rate `against` that a plan detects with 80% power; None if not even the largest is.

    By simulating the plan with the interval that will judge it, upwards from a rate below one half and downwards from one
    above: no formula knows the interval near 0 and 1. Good to about 0.02.

    Args:
        rates: of how many rates the contrast is made, as for `simulate.power`; 1 asks how large a rate must be to be told from 0, and
            beyond 2 the difference may be larger than 1.

    Raises:
        ValueError: a rate outside 0..1, or fewer than two seeds.
    """
    against = 0.0 if rates == 1 else against
    if not 0 <= against <= 1 or plan.seeds < 2 or family < 1:
        raise ValueError("power needs a rate between 0 and 1, at least two seeds and one claim")
    room, sign = (1 - against, 1) if against <= 0.5 else (against, -1)
    if rates > 2:
        room, sign = rates * min(against, 1 - against), 1
    seen = _at_least(
        lambda step: power(plan, against + sign * room * step / 64, against, 0.05 / family, draws, rates=rates), 64
    )
    return None if seen is None else room * seen / 64


def seeds_for_rate_effect(
    effect: float, prompts: int, spread: float, against: float = 0.5, family: int = 1, most: int = 64, draws: int = 200,
    rates: int = 2,
) -> int | None:  # fmt: skip
    """The fewest seeds with which the rates `against` and `against` + `effect` are told apart with 80% power.

    By the simulation of `smallest_rate_effect`, of so many rates. None if `most` seeds are too few.

    Raises:
        ValueError: rates outside 0..1.
    """
    if not (0 <= against <= 1 and 0 <= against + effect <= 1):
        raise ValueError("power needs rates between 0 and 1")
    return _at_least(
        lambda seeds: (
            power(Seeds(seeds, prompts, spread), against + effect, against, 0.05 / family, draws, rates=rates)
            if seeds > 1
            else 0.0
        ),
        most,
    )


def _at_least(power_at: Callable[[int], float], last: int) -> int | None:
    """The first step with 80% power, by halving."""
    if power_at(last) < 0.8:
        return None
    low, high = 0, last
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power_at(middle) >= 0.8 else (middle, high)
    return high


def more_seeds(contrast: Contrast, smallest: float, family: int = 1) -> int | None:
    """How many more seeds would decide a claim; 0 if it is decided, None with one seed or above 1,000.

    As if the further seeds were like those at hand: same effect, same spread. With few seeds the spread itself is hardly
    known, so this is a guide for planning, not a promise. Intervals are those of the first claim of the `family`.
    """
    seeds = len(contrast.by_seed)
    if seeds < 2:
        return None
    alpha = 0.05 / family

    def decided(more: int) -> bool:
        low, high = limits(contrast, alpha, (seeds + more) / seeds)
        beyond = bool(low > 0 or high < 0) and abs(contrast.effect.value) >= smallest
        return beyond or bool(-smallest < low and high < smallest)

    tries = np.unique(np.geomspace(1, MOST_SEEDS, 60).astype(int)).tolist()
    return next((more for more in (0, *tries) if decided(more)), None)


def unseen_share(seeds: int) -> float:
    """Largest share of seeds of another kind that all of so many seeds would miss in 5% of studies.

    The rule of three, exact (Hanley, Lippman-Hand 1983, JAMA 249): 63% with 3 seeds, 26% with 10.

    Raises:
        ValueError: no seeds.
    """
    if seeds < 1:
        raise ValueError("no seeds")
    return float(1 - 0.05 ** (1 / seeds))
