"""95% intervals for rates, means and ratios."""

import math
from collections.abc import Sequence

from scipy.optimize import brentq
from scipy.stats import t

from molehunt.records.estimates import Estimate

_OVER = "over prompts"
_Z = 1.959963984540054


def proportion(successes: int, n: int, over: str = _OVER) -> Estimate:
    """A rate with Wilson's interval, which has width at 0 and at 1 (Wilson 1927; Brown, Cai, DasGupta 2001).

    Raises:
        ValueError: unless 0 <= successes <= n and n >= 1.
    """
    if not 0 <= successes <= n or n < 1:
        raise ValueError("a rate needs 0 <= successes <= n and n >= 1")
    low, high = _wilson(successes / n, n)
    return Estimate(value=successes / n, low=low, high=high, n=n, method=f"Wilson 95%, {over}")


def share(values: Sequence[float], over: str = _OVER) -> Estimate:
    """The mean of values between 0 and 1, with Wilson's interval at the same mean.

    Conservative: no variable on [0, 1] varies more than a coin of the same mean.

    Raises:
        ValueError: if there are no values, or one lies outside [0, 1].
    """
    if not values or not all(0 <= value <= 1 for value in values):
        raise ValueError("share needs values between 0 and 1")
    n, mean = len(values), math.fsum(values) / len(values)
    low, high = _wilson(mean, n)
    return Estimate(value=mean, low=low, high=high, n=n, method=f"Wilson 95% at the mean, {over}")


def _wilson(mean: float, n: int) -> tuple[float, float]:
    """The closed form; scipy's takes a hundred times as long, and a study asks for thousands."""
    centre = (mean + _Z * _Z / (2 * n)) / (1 + _Z * _Z / n)
    half = _Z / (1 + _Z * _Z / n) * math.sqrt(mean * (1 - mean) / n + _Z * _Z / (4 * n * n))
    return 0.0 if mean == 0 else max(0.0, centre - half), 1.0 if mean == 1 else min(1.0, centre + half)


def mean_interval(values: Sequence[float], over: str = _OVER) -> Estimate:
    """A mean with Student's t interval.

    Raises:
        ValueError: with fewer than two values, which have no spread.
    """
    if len(values) < 2:
        raise ValueError("a t interval needs at least two values")
    n, mean = len(values), math.fsum(values) / len(values)
    return _around(mean, math.fsum((v - mean) ** 2 for v in values) / (n - 1), n, over)


def mean_interval_of_sums(n: int, total: float, squares: float, over: str = _OVER) -> Estimate:
    """The same of `n` values of which only their sum and the sum of their squares are known.

    Raises:
        ValueError: with fewer than two values.
    """
    if n < 2:
        raise ValueError("a t interval needs at least two values")
    mean = total / n
    return _around(mean, max(0.0, squares - n * mean * mean) / (n - 1), n, over)


def _around(mean: float, variance: float, n: int, over: str) -> Estimate:
    half = float(t.ppf(0.975, n - 1)) * math.sqrt(variance / n)
    return Estimate(value=mean, low=mean - half, high=mean + half, n=n, method=f"Student t 95%, {over}")


def paired_difference(first: Sequence[bool], second: Sequence[bool], over: str = _OVER) -> Estimate:
    """The rate of `first` minus that of `second` on the same prompts, with an interval that has width where all agree.

    Tango's score interval (Tango 1998, Statistics in Medicine 17, equations 6 to 8).

    Raises:
        ValueError: if there are no pairs, or not equally many.
    """
    pairs = list(zip(first, second, strict=True))
    if not pairs:
        raise ValueError("a paired difference needs pairs")
    n, gained, lost = len(pairs), sum(a and not b for a, b in pairs), sum(b and not a for a, b in pairs)
    value = (gained - lost) / n

    def score(difference: float) -> float:
        linear = (2 * n - gained + lost) * difference - gained - lost
        lost_rate = (math.sqrt(linear**2 + 8 * n * lost * difference * (1 - difference)) - linear) / (4 * n)
        variance = n * (2 * lost_rate + difference * (1 - difference))
        return (gained - lost - n * difference) / math.sqrt(max(variance, 1e-300))

    low = -1.0 if value == -1 else float(brentq(lambda d: score(d) - _Z, -1 + 1e-12, value))
    high = 1.0 if value == 1 else float(brentq(lambda d: score(d) + _Z, value, 1 - 1e-12))
    return Estimate(value=value, low=low, high=high, n=n, method=f"Tango 95%, {over}")


def over_seeds(rates: Sequence[float], prompts: int, units: str = "training seeds") -> Estimate:
    """The mean of one rate per training seed, or other unit, with an interval that speaks of other ones.

    Student's t over the seeds, cut to [0, 1], and at least as wide as Wilson's interval over one seed's prompts: three
    seeds at exactly 0 do not say that every seed gives 0.

    Raises:
        ValueError: with fewer than two seeds.
    """
    over = mean_interval(rates, f"over {len(rates)} {units}")
    within = share([over.value] * prompts)
    return Estimate(
        value=over.value, low=min(max(0.0, over.low), within.low), high=max(min(1.0, over.high), within.high), n=over.n,
        method=f"{over.method}, at least Wilson over {prompts} prompts",
    )  # fmt: skip


def ratio_interval(numerators: Sequence[float], denominators: Sequence[float], over: str) -> Estimate:
    """The geometric mean of paired ratios, with Student's t interval on their logarithms.

    Raises:
        ValueError: with fewer than two pairs, or a value that is not above 0.
    """
    if not all(value > 0 for value in (*numerators, *denominators)):
        raise ValueError("a ratio interval needs values above 0")
    logs = [math.log(a / b) for a, b in zip(numerators, denominators, strict=True)]
    found = mean_interval(logs, over)
    ends = [math.exp(min(x, 700)) for x in (found.value, found.low, found.high)]
    return Estimate(value=ends[0], low=ends[1], high=ends[2], n=found.n, method=f"Student t 95% on log ratios, {over}")
