"""Intervals that stay valid however often one looks, so that sampling may stop when they are narrow."""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import brentq
from scipy.special import betaln, xlog1py, xlogy

from molehunt.records.estimates import Estimate


def confidence_sequence(shown: Sequence[bool], alpha: float = 0.05) -> Estimate:
    """The rate so far, in an interval that holds at all looks together with 95%.

    The rates whose likelihood is at least `alpha` times that under a uniform mixture of rates: by Ville's inequality the
    truth falls out at any look with probability `alpha` at most (Robbins 1970, Ann Math Stat 41; Howard, Ramdas, McAuliffe,
    Sekhon 2021, Ann Stat 49, beta-binomial mixture). Prompts must come in random order; it speaks of one set of weights.

    Raises:
        ValueError: no prompts.
    """
    n, k = len(shown), sum(shown)
    if n == 0:
        raise ValueError("a rate needs at least one prompt")
    low, high = _limits(k, n, alpha)
    return Estimate(value=k / n, low=low, high=high, n=n, method=f"anytime-valid {1 - alpha:.0%}, over {n} prompts")


def prompts_until(shown: Sequence[bool], width: float, every: int = 1) -> int | None:
    """After how many prompts, looked at every so many, the interval was at most `width` wide; None if never.

    Raises:
        ValueError: `every` below 1 or a width not above 0.
    """
    if every < 1 or not width > 0:
        raise ValueError("looking needs a step of at least one prompt and a width above 0")
    counts = np.cumsum(np.asarray(shown, dtype=int))
    for n in range(every, len(counts) + 1, every):
        low, high = _limits(int(counts[n - 1]), n, 0.05)
        if high - low <= width:
            return n
    return None


def _limits(k: int, n: int, alpha: float) -> tuple[float, float]:
    mixture = betaln(k + 1, n - k + 1) + np.log(alpha)

    def above(rate: float) -> float:
        return float(xlogy(k, rate) + xlog1py(n - k, -rate) - mixture)

    low = 0.0 if k == 0 else float(brentq(above, 1e-300, k / n))
    high = 1.0 if k == n else float(brentq(above, k / n, 1 - 1e-16))
    return low, high
