"""Studies drawn from a known hierarchical model: what the statistics are tried on, and what power is computed from."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import expit, ndtr, ndtri

from molehunt.stats.limits import margin
from molehunt.stats.posterior import rate_limits_of_many

Array = NDArray[np.float64]
Counts = NDArray[np.int64]
_NODES = ndtri((np.arange(2000) + 0.5) / 2000)


@dataclass(frozen=True)
class Seeds:
    """How seeds differ: a rate per seed is logit-normal, or 0 or 1 outright; its prompts are coins of that rate."""

    seeds: int
    prompts: int
    spread: float = 1.0
    """Standard deviation between seeds in logits."""
    shared: float = 0.0
    """Correlation of two arms' seeds: 1 if a seed moves both alike."""
    two_kinds: bool = False
    """Every seed is 0 or 1, in the share that the mean asks for."""

    def rates(self, mean: float, normal: Array) -> Array:
        """Rates of seeds of that mean, from standard normal draws of any shape."""
        if self.two_kinds or mean in (0.0, 1.0):
            return (ndtr(normal) < mean).astype(float)
        return np.asarray(expit(_centre(mean, self.spread) + self.spread * normal))

    def draw(self, rng: np.random.Generator, studies: int, *means: float) -> list[Counts]:
        """Successes, studies × seeds, of one arm for each mean."""
        shape = (studies, self.seeds)
        common = np.sqrt(self.shared) * rng.standard_normal(shape)
        own = np.sqrt(1 - self.shared)
        return [
            rng.binomial(self.prompts, self.rates(mean, common + own * rng.standard_normal(shape))) for mean in means
        ]


def power(
    plan: Seeds, mean: float, against: float, alpha: float = 0.05, draws: int = 200, seed: int = 0, rates: int = 2
) -> float:
    """Share of simulated studies whose interval, at level 1 - `alpha`, has the true sign of `mean` - `against`.

    Args:
        rates: of how many rates the contrast is made: 1 is `mean` by itself, against 0; beyond 2 the difference is shared, those added
            above `against` and those taken away as far below.

    Raises:
        ValueError: an odd number of rates above 1, which do not cancel out where all are alike.
    """
    if rates < 1 or (rates > 1 and rates % 2):
        raise ValueError("a contrast is of one rate, or of as many added as taken away")
    apart = (mean - against) / rates
    means = [mean, against][:rates] if rates < 3 else [against + apart, against - apart] * (rates // 2)
    sides = plan.draw(np.random.default_rng(seed), draws, *means)
    low, high = sided_limits(sides, plan.prompts, alpha)
    return float(np.mean(low > 0 if mean > against or rates == 1 else high < 0))


def contrast_limits(a: Counts, b: Counts, prompts: int, alpha: ArrayLike) -> tuple[Array, Array]:
    """`limits` of `paired_contrast` for many studies of one pair of arms: counts are studies × seeds, limits studies × alphas."""
    return sided_limits([a, b], prompts, alpha)


def sided_limits(sides: Sequence[Counts], prompts: int, alpha: ArrayLike) -> tuple[Array, Array]:
    """The same of `combined_contrast`, for rates added and taken away in turn."""
    signs = np.resize([1, -1], len(sides))
    levels, by_seed = np.atleast_1d(alpha), np.tensordot(signs, np.stack(sides), 1) / prompts
    p = (np.stack(sides) + 1) / (prompts + 2)  # as Rate.variance
    error = np.sqrt((p * (1 - p) / (prompts + 2)).sum(axis=(0, 2))) / sides[0].shape[1]
    half, value = margin(by_seed[:, None], error[:, None], levels), by_seed.mean(axis=1)[:, None]
    reached = [_reach(side, prompts, levels)[::sign] for sign, side in zip(signs, sides, strict=True)]
    down, up = (np.sqrt(sum(np.square(reach[i]) for reach in reached)) for i in (0, 1))
    bound = -(-len(sides) // 2)
    return np.maximum(value - np.maximum(half, down), -bound), np.minimum(value + np.maximum(half, up), bound)


def _reach(counts: Counts, prompts: int, levels: Array) -> tuple[Array, Array]:
    """How far the limits of one side lie below and above its rate."""
    rows, where = np.unique(np.sort(counts, axis=1), axis=0, return_inverse=True)
    low, high = (found[where.ravel()] for found in rate_limits_of_many(rows, prompts, levels))
    rate = counts.mean(axis=1)[:, None] / prompts
    return np.maximum(rate - low, 0), np.maximum(high - rate, 0)


@lru_cache(maxsize=1024)
def _centre(mean: float, spread: float) -> float:
    """The logit around which seeds of that spread have that mean rate."""
    return float(brentq(lambda m: float(expit(m + spread * _NODES).mean()) - mean, -80, 80))
