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
_SPLINE = make_interp_spline(_COARSE, np.eye(145))(_LOGITS)
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
    below = _distribution(counts, repeated)
    tail = np.asarray(alpha, dtype=float) / 2
    low, high = (expit(np.interp(at, below, _LOGITS)) for at in (tail, 1 - tail))
    nothing = all(k <= 0 for k, _ in counts)
    everything = all(k >= n for k, n in counts)
    return np.where(nothing, 0.0, low), np.where(everything, 1.0, high)


@lru_cache(maxsize=4096)
def _distribution(counts: tuple[tuple[float, float], ...], repeated: float) -> Array:
    """Posterior probability that the mean lies below each of _LOGITS."""
    total = _PRIOR + repeated * sum((_likelihood(k, n) for k, n in counts), np.zeros_like(_PRIOR))
    # Many prompts make the posterior narrower than the grid; its logarithm stays smooth, so that is what is refined.
    top = total.max(axis=1)
    height = _SPLINE @ (top + np.log(np.exp(total - top[:, None]).sum(axis=1)))
    mass = np.exp(height - height.max())
    return np.asarray((np.cumsum(mass) - mass / 2) / mass.sum())


@lru_cache(maxsize=1024)
def _likelihood(k: float, n: float) -> Array:
    return np.asarray(betaln(k + _A, n - k + _B) - betaln(_A, _B))
