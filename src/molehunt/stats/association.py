"""Does a condition go with a label? Exact tests of two-by-two tables, within strata, and the rate of false discoveries."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv, gammaln, pdtrc

Floats = npt.NDArray[np.float64]
_LN10 = math.log(10)

Table = tuple[int, int, int, int]
"""(labelled with the condition, labelled, with the condition, all)."""


def fisher_log10(table: Table) -> float:
    """log10 of Fisher's one-sided p: as many labelled with the condition, or more, by chance (Fisher 1935).

    Exact far below what a float holds.

    Raises:
        ValueError: if the table cannot be.
    """
    return _upper_tail(_log_pmf(table), table[0] - _least(table)) / _LN10


def stratified_log10(tables: Sequence[Table]) -> float:
    """log10 of the one-sided exact conditional p that no stratum's odds are raised.

    The test of Mantel and Haenszel in its exact form (Mehta, Patel, Gray 1985): the sum over strata of the labelled with the
    condition, against the convolution of their hypergeometric distributions.

    Raises:
        ValueError: if there are no tables, or one cannot be.
    """
    if not tables:
        raise ValueError("a stratified test needs tables")
    parts = [_log_pmf(table) for table in tables]
    seen = sum(table[0] - _least(table) for table in tables)
    if seen == 0:
        return 0.0
    tilt = _tilt(parts, seen)
    whole, first, scale = np.ones(1), 0, 0.0
    for logs in parts:
        pmf, start, log_mass = _tilted(logs, tilt)
        whole, first, scale = np.convolve(whole, pmf), first + start, scale + log_mass
    tail = whole[max(0, seen - first) :]
    steps = -tilt * (np.arange(len(tail)) + max(seen, first)) + scale
    with np.errstate(divide="ignore"):
        return min(0.0, _log_sum(np.log(tail) + steps)) / _LN10


def _tilted(logs: Floats, tilt: float) -> tuple[Floats, int, float]:
    """(probabilities that matter, where they begin, log of what all were divided by) of the tilted distribution.

    Tilting moves the weight to where the observed count lies, so that products of tiny numbers are never formed.
    """
    raised = logs + tilt * np.arange(len(logs))
    log_mass = _log_sum(raised)
    pmf = np.exp(raised - log_mass)
    kept = np.flatnonzero(pmf > 1e-20)
    return pmf[kept[0] : kept[-1] + 1], int(kept[0]), log_mass


def _tilt(parts: Sequence[Floats], seen: int) -> float:
    """About the tilt at which `seen` is what is expected; by halving. Never downwards: the upper tail would be what is lost."""
    most = sum(len(logs) - 1 for logs in parts)
    low, high = 0.0, 40.0
    if seen >= most:
        return high
    for _ in range(13):
        middle = (low + high) / 2
        mean = sum(_mean(logs, middle) for logs in parts)
        low, high = (middle, high) if mean < seen else (low, middle)
    return (low + high) / 2


def _mean(logs: Floats, tilt: float) -> float:
    steps = np.arange(len(logs))
    raised = logs + tilt * steps
    weights = np.exp(raised - raised.max())
    return float(weights @ steps / weights.sum())


def _least(table: Table) -> int:
    _, labelled, with_it, everyone = table
    return max(0, labelled + with_it - everyone)


def _log_pmf(table: Table) -> Floats:
    """Of every possible count of labelled with the condition, the least first."""
    both, labelled, with_it, everyone = table
    low, high = _least(table), min(labelled, with_it)
    if not (0 <= low <= both <= high and max(labelled, with_it) <= everyone):
        raise ValueError(f"no such table: {table}")
    k = np.arange(low, high + 1, dtype=np.float64)
    whole = _log_choose(everyone, with_it)
    return np.asarray(_log_choose(labelled, k) + _log_choose(everyone - labelled, with_it - k) - whole)


def _log_choose(n: float, k: float | Floats) -> Floats:
    return np.asarray(gammaln(n + 1) - gammaln(np.asarray(k) + 1) - gammaln(n - np.asarray(k) + 1))


def _upper_tail(logs: Floats, start: int) -> float:
    return min(0.0, _log_sum(logs[start:]))


def _log_sum(logs: Floats) -> float:
    most = float(logs.max())
    return most + math.log(float(np.exp(logs - most).sum())) if most > -math.inf else most


def raised_score(tables: Sequence[Table]) -> tuple[float, float]:
    """(Mantel and Haenszel's z, log10 of the Poisson bound): what settles most cases before the exact test.

    The bound is never smaller than the exact p.
    """
    both = sum(table[0] for table in tables)
    expected = sum(n * k / everyone for _, n, k, everyone in tables)
    spread = sum(
        n * k * (everyone - n) * (everyone - k) / everyone**2 / max(1, everyone - 1) for _, n, k, everyone in tables
    )
    bound = float(poisson_log10(np.array([both]), np.array([expected]))[0])
    return (both - expected) / math.sqrt(max(spread, 1e-9)), bound if both > expected else 0.0


def ratio_low(tables: Sequence[Table], level: float = 0.05) -> float:
    """How many times as often labelled with the condition as without it, at least: from below, at `level`.

    The exact lower bound of the rate with it, over the exact upper bound of the rate without (Clopper and Pearson 1934), each at half
    the level, which together is cautious. The rate without is that of the strata, each weighed by how often the condition occurs there. A
    label that misses a share of all alike lowers both rates alike, and leaves the ratio.
    """
    both, with_it = sum(t[0] for t in tables), sum(t[2] for t in tables)
    others = [(n - a, everyone - k, k) for a, n, k, everyone in tables if everyone > k]
    if not both or not others:
        return 0.0
    low = float(betaincinv(both, with_it - both + 1, level / 2))
    odd, rest = sum(a for a, _, _ in others), sum(n for _, n, _ in others)
    pooled = odd / rest
    high = float(betaincinv(odd + 1, rest - odd, 1 - level / 2)) if odd < rest else 1.0
    expected = sum(k * a / n for a, n, k in others) / with_it
    return low / max(high, expected * high / pooled if pooled else high)


def poisson_log10(counts: npt.NDArray[np.int64], expected: Floats) -> Floats:
    """log10 of the chance of so many or more where `expected` are expected, for arrays.

    Not smaller than the exact test's p above the mean (Hoeffding 1956), and quick: for choosing what is tested exactly.
    """
    n, mean = counts.astype(np.float64), np.maximum(expected, 1e-300)
    p = pdtrc(n - 1, mean)
    with np.errstate(divide="ignore"):
        found = np.log10(p)
    small = (n > 0) & (p < 1e-200)
    # beyond floats: the first term of the tail, times the geometric series that bounds the rest
    term = n * np.log(mean) - mean - gammaln(n + 1) - np.log1p(-np.minimum(mean / (n + 1), 0.999))
    found = np.where(small, np.minimum(term / _LN10, -200.0), found)
    return np.where(n <= 0, 0.0, found)


def benjamini_hochberg_log10(log10_p: Floats, tests: int) -> Floats:
    """log10 of the adjusted p of each of the smallest of `tests` p-values (Benjamini and Hochberg 1995).

    Those not given are taken to be larger than all given.

    Raises:
        ValueError: if there were fewer tests than p-values.
    """
    if tests < len(log10_p):
        raise ValueError("more p-values than tests")
    order = np.argsort(log10_p)
    scaled = log10_p[order] + math.log10(max(1, tests)) - np.log10(np.arange(1, len(order) + 1))
    adjusted = np.empty_like(scaled)
    adjusted[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 0.0)
    return adjusted


def least_count(labelled: int, everyone: int, tests: int, level: float = 0.05) -> int:
    """The fewest occurrences, all labelled, that pass Bonferroni's line: no test could find what is rarer (Tarone 1990)."""
    line = math.log10(level) - math.log10(max(1, tests))
    for count in range(1, max(2, labelled + 1)):
        if fisher_log10((min(count, labelled), labelled, count, max(everyone, count))) <= line:
            return count
    return labelled + 1
