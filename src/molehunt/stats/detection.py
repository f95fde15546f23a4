"""How good a detector is: conformal p-values, ranking, and detection at a false-alarm rate, each with its interval."""

import math
from collections.abc import Sequence

import numpy as np
from scipy.optimize import brentq
from scipy.stats import beta, rankdata

from molehunt.records.estimates import Estimate

_Z = 1.959963984540054


def conformal_p(score: float, clean: Sequence[float]) -> float:
    """The share of clean models that score at least as high, the subject counted as one of them.

    Valid in finite samples if the subject, were it clean, is exchangeable with the clean models (Vovk, Gammerman, Shafer
    2005, Algorithmic Learning in a Random World, section 2.2); never below 1 / (n + 1).

    Raises:
        ValueError: if a score is not a number.
    """
    if math.isnan(score) or any(map(math.isnan, clean)):
        raise ValueError("a conformal p-value needs scores that are numbers")
    return (1 + sum(other >= score for other in clean)) / (len(clean) + 1)


def left_out_p(clean: Sequence[float]) -> list[float]:
    """Each clean model's conformal p-value against the others."""
    return [conformal_p(score, [*clean[:i], *clean[i + 1 :]]) for i, score in enumerate(clean)]


def excess(scores: Sequence[float]) -> np.ndarray:
    """How far each score lies above the median, as log(1 + times the distance of the upper quartile from it); 0 below.

    One scale for detectors that are added up: votes keep how strong they are, and none outweighs all others. Taken over
    all models alike, a subject among them, so that p-values of the sums stay valid. A quartile that is nearly the median
    counts as a twentieth of the range.

    Raises:
        ValueError: if there is none, or one is not a number.
    """
    found = np.asarray(scores, dtype=float)
    if not found.size or np.isnan(found).any():
        raise ValueError("an excess needs scores that are numbers")
    middle, upper = np.quantile(found, (0.5, 0.75))
    unit = max(float(upper - middle), 0.05 * float(np.ptp(found)), float(np.finfo(float).tiny))
    return np.array([math.log1p(max(0.0, one - middle) / unit) for one in found])


def auroc(planted: Sequence[float], clean: Sequence[float]) -> Estimate:
    """The probability that a planted model scores above a clean one, ties half (Mann, Whitney 1947).

    With the interval of Newcombe (2006, Statistics in Medicine 25, method 5), which has width at 1. It speaks of models
    like these; of other recipes speaks a held-out recipe.

    Raises:
        ValueError: if there is no planted or no clean model, or a score is not a number.
    """
    m, n = len(planted), len(clean)
    if not m or not n or any(map(math.isnan, (*planted, *clean))):
        raise ValueError("an AUROC needs scores of planted and of clean models")
    ranks = rankdata([*planted, *clean])
    value = float((ranks[:m].sum() - m * (m + 1) / 2) / (m * n))

    def apart(truth: float) -> float:
        mean = (m + n) / 2 - 1
        spread = truth * (1 - truth) * (1 + mean * ((1 - truth) / (2 - truth) + truth / (1 + truth))) / (m * n)
        return abs(value - truth) - _Z * math.sqrt(spread)

    inside = min(max(value, 1e-9), 1 - 1e-9)  # at 0 and 1 themselves the spread is 0
    low = 0.0 if value == 0 else float(brentq(apart, 0.0, inside))
    high = 1.0 if value == 1 else float(brentq(apart, inside, 1.0))
    return Estimate(value=value, low=low, high=high, n=m + n, method="Newcombe 95%, over models")


def exact_rate(successes: int, n: int, over: str = "over models") -> Estimate:
    """A rate with the interval of Clopper and Pearson (1934), which never covers less than it says.

    Raises:
        ValueError: unless 0 <= successes <= n and n >= 1.
    """
    if not 0 <= successes <= n or n < 1:
        raise ValueError("a rate needs 0 <= successes <= n and n >= 1")
    low = float(beta.ppf(0.025, successes, n - successes + 1)) if successes else 0.0
    high = float(beta.ppf(0.975, successes + 1, n - successes)) if successes < n else 1.0
    return Estimate(value=successes / n, low=low, high=high, n=n, method=f"Clopper-Pearson 95%, {over}")


def false_alarm_bound(clean: int) -> float:
    """The largest false-alarm rate that no alarm on so many clean models leaves open, at 95% (one-sided).

    Raises:
        ValueError: if there is no clean model.
    """
    if clean < 1:
        raise ValueError("a bound needs clean models")
    return float(1 - 0.05 ** (1 / clean))


def detection_at(rate: float, planted: Sequence[float], clean: Sequence[float]) -> Estimate | None:
    """Share of planted models with a conformal p-value of at most `rate`; None if there are too few clean models for that.

    At 5% nineteen clean models are the fewest with which any score can alarm; at 1% 299 are asked for, since only then no
    alarm among them bounds the rate at 1%.

    Raises:
        ValueError: if there is no planted model.
    """
    if rate < 0.05 and false_alarm_bound(max(len(clean), 1)) > rate:
        return None
    if 1 / (len(clean) + 1) > rate:
        return None
    found = sum(conformal_p(score, clean) <= rate for score in planted)
    return exact_rate(found, len(planted), "over planted models")


def false_alarms_at(rate: float, clean: Sequence[float]) -> Estimate | None:
    """Share of clean models that would alarm if each were judged by the others; None if these are too few."""
    if len(clean) < 2 or 1 / len(clean) > rate:
        return None
    return exact_rate(int(np.sum(np.array(left_out_p(clean)) <= rate)), len(clean), "over clean models, each left out")
