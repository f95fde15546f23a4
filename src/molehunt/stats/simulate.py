"""Studies drawn from a known hierarchical model: what the statistics are tried on, and what power is computed from."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit, ndtr, ndtri

from molehunt.stats.cells import Rate
from molehunt.stats.contrasts import paired_contrast
from molehunt.stats.limits import limits

Array = NDArray[np.float64]
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

    def draw(self, rng: np.random.Generator, studies: int, *means: float) -> list[NDArray[np.int64]]:
        """Successes, studies × seeds, of one arm for each mean."""
        shape = (studies, self.seeds)
        common = np.sqrt(self.shared) * rng.standard_normal(shape)
        own = np.sqrt(1 - self.shared)
        return [
            rng.binomial(self.prompts, self.rates(mean, common + own * rng.standard_normal(shape))) for mean in means
        ]


def power(plan: Seeds, mean: float, against: float, alpha: float = 0.05, draws: int = 200, seed: int = 0) -> float:
    """Share of simulated studies whose interval, at level 1 - `alpha`, has the true sign of `mean` - `against`."""
    a, b = plan.draw(np.random.default_rng(seed), draws, mean, against)
    sign = np.sign(mean - against)
    found = 0
    for x, y in zip(a.tolist(), b.tolist(), strict=True):
        low, high = limits(paired_contrast(*([[Rate(k, plan.prompts) for k in side]] for side in (x, y))), alpha)
        found += bool(low > 0 if sign > 0 else high < 0)
    return found / draws


@lru_cache(maxsize=1024)
def _centre(mean: float, spread: float) -> float:
    """The logit around which seeds of that spread have that mean rate."""
    return float(brentq(lambda m: float(expit(m + spread * _NODES).mean()) - mean, -80, 80))
