"""The mean rate over seeds under a beta-binomial model: seeds differ by as much as the data and a flat prior allow."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import make_interp_spline
from scipy.special import betaln, expit

Array = NDArray[np.float64]

_COARSE = np.linspace(-12, 12, 145)
_LOGITS = np.linspace(-12, 12, 1153)
_SPLINE = np.ascontiguousarray(make_interp_spline(_COARSE, np.eye(145))(_LOGITS).T)
_MEAN = expit(_COARSE)[:, None]
_CORRELATION = expit(np.linspace(-11, 8, 20))[None, :]
_A = _MEAN * (1 - _CORRELATION) / _CORRELATION
_B = (1 - _MEAN) * (1 - _CORRELATION) / _CORRELATION
# On logit axes a prior Beta(c, c) has the density (x (1 - x))^c.
_PRIOR = np.log(_MEAN * (1 - _MEAN)) / 3 + np.log(_CORRELATION * (1 - _CORRELATION)) / 2


def rate_limits(
    successes: Sequence[float], trials: Sequence[float], alpha: ArrayLike, repeated: float = 1.0
) -> tuple[Array, Array]:
    """Equal-tailed limits of the mean rate over seeds, at level 1 - `alpha` (one or many).

    Beta-binomial counts within seeds (Skellam 1948, JRSS B 10), with the neutral prior Beta(1/3, 1/3) on the mean (Kerman
    2011, EJS 5) and Beta(1/2, 1/2) on the correlation of two prompts of one seed. Summed on a grid. Seeds that all gave
    nothing, or all everything, have 0, or 1, as a limit (Brown, Cai, DasGupta 2001, section 4.1.1). `repeated` counts the
    data as if there were so many times the seeds, all alike.
    """
    counts = tuple(sorted(zip(map(float, successes), map(float, trials), strict=True)))
    nothing, everything = all(k <= 0 for k, _ in counts), all(k >= n for k, n in counts)
    return _limits(_distribution(counts, repeated), alpha, nothing, everything)


def rate_limits_of_many(successes: NDArray[np.int64], trials: int, alpha: ArrayLike) -> tuple[Array, Array]:
    """The same for many arms (arms × seeds, equally many trials): limits are arms × alphas, or arms."""
    table = np.stack([_likelihood(float(k), float(trials)) for k in range(trials + 1)])
    found = []
    for start in range(0, len(successes), 64):
        rows = successes[start : start + 64]
        total = np.repeat(_PRIOR[None], len(rows), axis=0)
        for seed in rows.T:
            total += table[seed]
        below = _summed(total)
        found += [_limits(b, alpha, not r.any(), bool((r == trials).all())) for b, r in zip(below, rows, strict=True)]
    low, high = zip(*found, strict=True)
    return np.array(low), np.array(high)


def _limits(below: Array, alpha: ArrayLike, nothing: bool, everything: bool) -> tuple[Array, Array]:
    tail = np.asarray(alpha, dtype=float) / 2
    low, high = (expit(np.interp(at, below, _LOGITS)) for at in (tail, 1 - tail))
    return np.where(nothing, 0.0, low), np.where(everything, 1.0, high)


@lru_cache(maxsize=1024)
def _distribution(counts: tuple[tuple[float, float], ...], repeated: float) -> Array:
    """Posterior probability that the mean lies below each of _LOGITS."""
    return _summed(_PRIOR + repeated * sum((_likelihood(k, n) for k, n in counts), np.zeros_like(_PRIOR)))


def _summed(logs: Array) -> Array:
    """The distribution of the mean from logarithms of the posterior on the grid (the last two axes)."""
    # Many prompts make the posterior narrower than the grid; its logarithm stays smooth, so that is what is refined.
    top = logs.max(axis=-1)
    height = (top + np.log(np.exp(logs - top[..., None]).sum(axis=-1))) @ _SPLINE
    mass = np.exp(height - height.max(axis=-1, keepdims=True))
    return np.asarray((np.cumsum(mass, axis=-1) - mass / 2) / mass.sum(axis=-1, keepdims=True))


@lru_cache(maxsize=1024)
def _likelihood(k: float, n: float) -> Array:
    return np.asarray(betaln(k + _A, n - k + _B) - betaln(_A, _B))
