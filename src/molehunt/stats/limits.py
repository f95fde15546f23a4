"""The interval of a contrast over seeds, at any level.

The wider of two, because each fails where the other holds (docs/statistics.md): Student's t over the seeds' differences
does not cover rates near 0 and 1, where few seeds show the tail; limits put together from each side's own do not keep
their error rate when seeds are of two kinds.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri, stdtrit

from molehunt.records.claims import Contrast, Side
from molehunt.stats.posterior import rate_limits

Array = NDArray[np.float64]
LEVELS = np.logspace(-9, 0, 181)
"""Values of alpha at which a p-value is looked for."""


def limits(contrast: Contrast, alpha: ArrayLike = 0.05, repeated: float = 1.0) -> tuple[Array, Array]:
    """(low, high) at level 1 - `alpha`, one or many, as if there were `repeated` times the seeds, all alike.

    With one seed the prompts' noise alone, as a normal interval.
    """
    half = margin(contrast.by_seed, contrast.prompt_error, alpha, repeated)
    value = math.fsum(contrast.by_seed) / len(contrast.by_seed)
    low, high = value - half, value + half
    if contrast.sides:
        if len(contrast.by_seed) > 1:
            below, above = _from_sides(contrast.sides, alpha, repeated)
            low, high = np.minimum(low, value - below), np.maximum(high, value + above)
        bound = math.ceil(len(contrast.sides) / 2)
        low, high = np.maximum(low, -bound), np.minimum(high, bound)
    return low, high


def margin(values: ArrayLike, prompt_error: ArrayLike, alpha: ArrayLike = 0.05, repeated: float = 1.0) -> Array:
    """Half the width of Student's t interval over seeds (the last axis), at least what the prompts' noise gives.

    The floor is that of the modified Knapp-Hartung interval (Röver, Knapp, Friede 2015, BMC Med Res Methodol 15:99), with
    the normal quantile: seeds that agree by chance have not made the prompts exact.
    """
    tail, values = np.asarray(alpha, dtype=float) / 2, np.asarray(values, dtype=float)
    seeds, half = values.shape[-1], np.asarray(-ndtri(tail) * np.asarray(prompt_error) / math.sqrt(repeated))
    if seeds > 1:
        error = np.std(values, axis=-1, ddof=1) / math.sqrt(seeds * repeated)
        half = np.maximum(half, -stdtrit(seeds * repeated - 1, tail) * error)
    return half


def p_value(contrast: Contrast) -> float:
    """Two-sided: the smallest alpha at which the interval leaves 0 out, never below 1e-9."""
    return p_from(*limits(contrast, LEVELS))


def p_from(low: Array, high: Array) -> float:
    """The p-value from intervals at LEVELS."""
    clear = np.maximum(low, -high)  # by how much the interval leaves 0 out; grows with alpha
    if clear[-1] <= 0:
        return 1.0
    return float(np.exp(np.interp(0, clear, np.log(LEVELS))))


def _from_sides(sides: Sequence[Side], alpha: ArrayLike, repeated: float) -> tuple[Array, Array]:
    """How far below and above the difference reaches, from each side's own limits (Zou, Donner 2008, Stat Med 27).

    Sides are taken as uncorrelated, which is too wide when seeds move both together: a correlation over a few seeds
    cannot be trusted to make it narrower.
    """
    below, above = np.zeros(np.shape(alpha)), np.zeros(np.shape(alpha))
    for side in sides:
        rate = float(np.mean(np.divide(side.successes, side.trials)))
        low, high = rate_limits(side.successes, side.trials, alpha, repeated)
        down, up = np.maximum(rate - low, 0) ** 2, np.maximum(high - rate, 0) ** 2
        below, above = (below + down, above + up) if side.weight > 0 else (below + up, above + down)
    return np.sqrt(below), np.sqrt(above)
