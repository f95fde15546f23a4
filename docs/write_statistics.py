"""Write docs/statistics.md: the statistics of studies tried on simulated studies whose truth is known (a quarter of an hour)."""

import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from molehunt.stats import (
    Seeds,
    over_seeds,
    power,
    prompts_until,
    smallest_rate_effect,
)
from molehunt.stats.families import holm
from molehunt.stats.hierarchy import mean_estimate
from molehunt.stats.limits import LEVELS, margin, p_from
from molehunt.stats.posterior import rate_limits_of_many
from molehunt.stats.sequential import confidence_sequence
from molehunt.stats.simulate import contrast_limits

PROMPTS = 128
SEEDS = (3, 5, 10)
RATES = (0.0, 0.02, 0.1, 0.5, 0.9, 0.98, 1.0)
SPREADS = (0.0, 0.5, 1.0, 2.0)
PAIRS = ((0.0, 0.0), (0.02, 0.02), (0.1, 0.1), (0.5, 0.5), (0.1, 0.02), (0.5, 0.02), (0.9, 0.5), (0.98, 0.02))
Array = NDArray[np.float64]
Counts = NDArray[np.int64]
Intervals = tuple[Array, Array]
Row = Sequence[object]


def plans(seeds: int, spreads: Sequence[float] = SPREADS, shared: Sequence[float] = (0.0,)) -> list[Seeds]:
    """The hierarchical models tried at so many seeds; the last ones are of two kinds."""
    found = [Seeds(seeds, PROMPTS, s, r) for s in spreads for r in shared if s > 0 or r == 0]
    return found + [Seeds(seeds, PROMPTS, shared=r, two_kinds=True) for r in shared]


def kind(plan: Seeds) -> str:
    """How the seeds of a plan differ, in words."""
    return "two kinds" if plan.two_kinds else f"{plan.spread:g}"


# ---- one arm


def student(counts: Counts) -> Intervals:
    """Student's t alone."""
    rates = counts / PROMPTS
    half, mean = margin(rates, 0.0), rates.mean(axis=1)
    return np.maximum(mean - half, 0), np.minimum(mean + half, 1)


def wilson_floor(counts: Counts) -> Intervals:
    """Student's t, at least as wide as Wilson's interval over one seed's prompts."""
    found = [over_seeds([k / PROMPTS for k in row], PROMPTS) for row in counts.tolist()]
    return np.array([e.low for e in found]), np.array([e.high for e in found])


def transformed(counts: Counts) -> Intervals:
    """Student's t on the logits of (k + ½) / (n + 1)."""
    logits = np.log((counts + 0.5) / (PROMPTS - counts + 0.5))
    half, mean = margin(logits, 0.0), logits.mean(axis=1)
    return expit(mean - half), expit(mean + half)


def beta_binomial(counts: Counts) -> Intervals:
    """Beta-binomial limits alone."""
    return rate_limits_of_many(counts, PROMPTS, 0.05)


def taken(counts: Counts) -> Intervals:
    """What `arm_estimate` gives."""
    (a, b), (c, d) = student(counts), beta_binomial(counts)
    return np.minimum(a, c), np.maximum(b, d)


ARM_METHODS: dict[str, Callable[[Counts], Intervals]] = {
    "Student t": student, "t, at least Wilson over one seed": wilson_floor, "t on logits": transformed,
    "beta-binomial": beta_binomial, "**the wider of t and beta-binomial**": taken,
}  # fmt: skip


def arm_coverage(
    plan: Seeds, mean: float, studies: int, method: Callable[[Counts], Intervals] = taken
) -> tuple[float, float]:
    """(share of intervals that hold the true mean, mean width)."""
    drawn = plan.draw(np.random.default_rng(1), studies, mean)[0]
    # Simulated studies repeat themselves near 0 and 1, and an interval does not know the order of seeds.
    counts, times = np.unique(np.sort(drawn, axis=1), axis=0, return_counts=True)
    low, high = method(counts)
    holds = (low - 1e-9 <= mean) & (mean <= high + 1e-9)
    return float(np.average(holds, weights=times)), float(np.average(high - low, weights=times))


def mean_coverage(seeds: int, spread: float, studies: int) -> float:
    """Coverage of `mean_estimate` for normal seeds with prompts' standard error 1."""
    values = np.random.default_rng(2).normal(0, np.hypot(spread, 1), (studies, seeds))
    found = [mean_estimate(row, [1.0] * seeds) for row in values.tolist()]
    return float(np.mean([e.low <= 0 <= e.high for e in found]))


# ---- contrasts


def contrast_results(plan: Seeds, pair: tuple[float, float], studies: int) -> dict[str, tuple[float, float, float]]:
    """Method to (coverage, mean width, share that calls a sign); the two that were not taken on a quarter of the studies."""
    a, b = plan.draw(np.random.default_rng(3), studies, *pair)
    legs: dict[str, Intervals] = {"**the wider**": tuple(x[:, 0] for x in contrast_limits(a, b, PROMPTS, 0.05))}
    a, b = a[: studies // 4], b[: studies // 4]
    p, q = a.mean(axis=1) / PROMPTS, b.mean(axis=1) / PROMPTS
    half = margin((a - b) / PROMPTS, 0.0)
    legs["paired Student t"] = (p - q - half, p - q + half)
    (a_low, a_high), (b_low, b_high) = (rate_limits_of_many(side, PROMPTS, 0.05) for side in (a, b))
    legs["limits of both sides"] = (p - q - np.hypot(p - a_low, b_high - q), p - q + np.hypot(a_high - p, q - b_low))
    return {name: _scored(*leg, pair[0] - pair[1]) for name, leg in legs.items()}


def _scored(low: Array, high: Array, truth: float) -> tuple[float, float, float]:
    holds = (low - 1e-9 <= truth) & (truth <= high + 1e-9)
    return float(holds.mean()), float((high - low).mean()), float(((low > 0) | (high < 0)).mean())


# ---- families and flips


def called(plan: Seeds, pairs: Sequence[tuple[float, float]], studies: int, alpha: float, seed: int) -> Array:
    """Signs that the interval of each pair calls: studies × pairs."""
    signs = []
    for i, pair in enumerate(pairs):
        low, high = contrast_limits(*plan.draw(np.random.default_rng(seed + i), studies, *pair), PROMPTS, alpha)
        signs.append((low > 0)[:, 0].astype(int) - (high < 0)[:, 0])
    return np.array(signs, dtype=float).T


def family_errors(plan: Seeds, pairs: Sequence[tuple[float, float]], studies: int) -> tuple[float, float]:
    """(share of studies in which any claim's sign is called wrongly, share of the true effects called rightly)."""
    truth = np.sign([a - b for a, b in pairs])
    p_values, signs = [], []
    for i, pair in enumerate(pairs):
        a, b = plan.draw(np.random.default_rng(100 + i), studies, *pair)
        p_values.append([p_from(*row) for row in zip(*contrast_limits(a, b, PROMPTS, LEVELS), strict=True)])
        signs.append(np.sign((a - b).sum(axis=1)))
    adjusted = np.array([holm(row) for row in zip(*p_values, strict=True)])
    calls = np.where(adjusted <= 0.05, np.array(signs).T, 0)
    wrong = ((calls != 0) & (calls != truth)).any(axis=1)
    return float(wrong.mean()), float((calls == truth)[:, truth != 0].mean()) if truth.any() else 0.0


def flip_results(plan: Seeds, pairs: Sequence[tuple[float, float]], studies: int) -> tuple[float, float]:
    """(share of studies that find a flip, share that find the same sign), for cells whose arms have these mean rates."""
    together = called(plan, pairs, studies, 0.05 / (len(pairs) - 1), 200)
    alone = called(plan, pairs, studies, 0.05, 200)
    flip = (together > 0).any(axis=1) & (together < 0).any(axis=1)
    same = np.abs(alone.sum(axis=1)) == len(pairs)
    return float(flip.mean()), float((same & ~flip).mean())


def stated_flip_power(plan: Seeds, pairs: Sequence[tuple[float, float]]) -> float:
    """Power to find the flip of the first cell against all others alike, from the power of each cell alone."""
    alpha = 0.05 / (len(pairs) - 1)
    first, *others = (power(plan, a, b, alpha, draws=1000, seed=7) for a, b in pairs)
    return float(first * (1 - np.prod([1 - p for p in others])))


# ---- stopping


def stopping(rate: float, studies: int, most: int = 1500) -> tuple[float, float]:
    """(share of sequences whose interval at the stop misses the rate, mean prompts until it is 0.1 wide)."""
    shown = np.random.default_rng(4).random((studies, most)) < rate
    stops = [prompts_until(row, 0.1, every=16) or most for row in shown]
    ends = [confidence_sequence(row[:n].tolist()) for row, n in zip(shown, stops, strict=True)]
    return float(np.mean([not e.low <= rate <= e.high for e in ends])), float(np.mean(stops))


# ---- the page


def table(head: Row, rows: Iterable[Row]) -> list[str]:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(str(cell) for cell in line) + " |" for line in lines] + [""]


def arms_part(studies: int) -> list[str]:
    """Coverage of one arm's mean, and of the methods that were not taken."""
    found = {
        (name, plan, rate): arm_coverage(plan, rate, 5 * studies if method is taken else studies // 4, method)
        for seeds in SEEDS for plan in plans(seeds) for rate in RATES for name, method in ARM_METHODS.items()
    }  # fmt: skip
    name = list(ARM_METHODS)[-1]
    rows = [
        [seeds, kind(plan), *("{:.1%} ({:.2f})".format(*found[name, plan, rate]) for rate in RATES)]
        for seeds in SEEDS for plan in plans(seeds)
    ]  # fmt: skip
    lines = table(("seeds", "spread", *(f"mean {r:g}" for r in RATES)), rows)
    summary = []
    for method in ARM_METHODS:
        row: list[object] = [method]
        for seeds in SEEDS:
            cells = [c for (m, p, _), c in found.items() if m == method and p.seeds == seeds and not p.two_kinds]
            row.append(f"{min(c for c, _ in cells):.1%} ({np.mean([w for _, w in cells]):.2f})")
        kinds = [c for (m, p, _), (c, _) in found.items() if m == method and p.two_kinds]
        summary.append([*row, f"{min(kinds):.1%}"])
    head = ("method", *(f"worst, {s} seeds (mean width)" for s in SEEDS), "worst, seeds of two kinds")
    return [
        *lines,
        f"What else was tried, over the same cells ({studies // 4:,} studies each):",
        "",
        *table(head, summary),
    ]


def means_part(studies: int) -> list[str]:
    """Coverage of the mean of log-odds."""
    rows = [[f"{spread:g}", *(f"{mean_coverage(s, spread, studies):.1%}" for s in SEEDS)] for spread in (0, 0.5, 2, 10)]
    return table(("spread, in the prompts' standard error", *(f"{s} seeds" for s in SEEDS)), rows)


def contrasts_part(studies: int) -> list[str]:
    """Coverage and false alarms of differences."""
    found = {
        (plan, pair): contrast_results(plan, pair, studies)
        for seeds in SEEDS for plan in plans(seeds, (0.0, 1.0, 2.0), (0.0, 0.8)) for pair in PAIRS
    }  # fmt: skip
    name, lines = "**the wider**", []
    for seeds in SEEDS:
        rows = []
        for plan in plans(seeds, (0.0, 1.0, 2.0), (0.0, 0.8)):
            cells = [found[plan, pair][name] for pair in PAIRS]
            rows.append([kind(plan), f"{plan.shared:g}", *(f"{c:.1%} ({w:.2f}) {s:.0%}" for c, w, s in cells)])
        head = ("spread", "shared", *(f"{a:g} − {b:g}" for a, b in PAIRS))
        lines += [f"{seeds} seeds:", "", *table(head, rows)]
    summary = []
    for method in found[next(iter(found))]:
        smooth = [(c, w) for (plan, _), x in found.items() if not plan.two_kinds for c, w, _ in [x[method]]]
        kinds = [x[method][0] for (plan, _), x in found.items() if plan.two_kinds]
        null = [x[method][2] for (_, (a, b)), x in found.items() if a == b]
        summary.append([
            method, f"{min(c for c, _ in smooth):.1%}", f"{np.mean([w for _, w in smooth]):.2f}", f"{min(kinds):.1%}",
            f"{max(null):.1%}",
        ])  # fmt: skip
    head = ("method", "worst coverage", "mean width", "worst, two kinds", "most null effects called")
    return [
        *lines,
        f"The two that it is the wider of, alone ({studies // 4:,} studies each):",
        "",
        *table(head, summary),
    ]


NULL_FAMILY = ((0.0, 0.0), (0.1, 0.1), (0.5, 0.5), (0.9, 0.9)) * 3
MIXED_FAMILY = (*NULL_FAMILY[:8], (0.98, 0.02), (0.9, 0.1), (0.02, 0.98), (0.5, 0.1))


def families_part(studies: int) -> list[str]:
    """Wrong calls in a family of twelve claims."""
    rows = []
    for plan in (p for s in SEEDS for p in plans(s, (1.0,))):
        null, mixed = family_errors(plan, NULL_FAMILY, studies), family_errors(plan, MIXED_FAMILY, studies)
        rows.append([plan.seeds, kind(plan), f"{null[0]:.1%}", f"{mixed[0]:.1%}", f"{mixed[1]:.0%}"])
    head = (
        "seeds",
        "spread",
        "twelve null claims: any called",
        "eight null, four true: any called wrongly",
        "true ones called",
    )
    return table(head, rows)


FLIPPING = ((0.9, 0.1), (0.1, 0.9))
FLIP_CASES = {
    "one of two cells turned": FLIPPING,
    "one of four turned": (*FLIPPING, (0.1, 0.9), (0.1, 0.9)),
    "no effect in any of four": ((0.5, 0.5),) * 4,
    "one effect, three none": ((0.98, 0.02), (0.5, 0.5), (0.5, 0.5), (0.5, 0.5)),
    "the same in two": ((0.9, 0.1), (0.9, 0.1)),
}


def flips_part(studies: int) -> list[str]:
    """Flips found, and flips that are none."""
    rows = []
    for plan in (Seeds(s, PROMPTS, spread) for s in SEEDS for spread in (1.0, 2.0)):
        for name, pairs in FLIP_CASES.items():
            found = flip_results(plan, pairs, studies)
            stated = f"{stated_flip_power(plan, pairs):.0%}" if "turned" in name else "≤ 5%"
            rows.append([plan.seeds, kind(plan), name, stated, *(f"{share:.1%}" for share in found)])
    return table(("seeds", "spread", "truth", "flips stated", "found", "same sign found"), rows)


def power_part(studies: int) -> list[str]:
    """The smallest effect that a plan sees, and the power found at it in fresh studies."""
    rows = []
    for plan in (Seeds(s, PROMPTS, spread) for s in SEEDS for spread in (0.0, 1.0, 2.0)):
        row: list[object] = [plan.seeds, kind(plan)]
        for against, family in ((0.0, 1), (0.5, 1), (0.0, 12)):
            found = smallest_rate_effect(plan, against, family)
            fresh = found and power(plan, against + found, against, 0.05 / family, studies, seed=8)
            row.append("none" if found is None else f"{found:.2f} ({fresh:.0%})")
        rows.append(row)
    head = ("seeds", "spread", "from rate 0", "from rate 0.5", "from rate 0, one of twelve claims")
    return table(head, rows)


def stopping_part(studies: int) -> list[str]:
    """Stopping when narrow."""
    rows = []
    for rate in (0.0, 0.02, 0.1, 0.5):
        missed, prompts = stopping(rate, studies)
        rows.append([f"{rate:g}", f"{missed:.1%}", f"{prompts:.0f}"])
    return table(("rate", "intervals at the stop that miss it", "prompts until 0.1 wide"), rows)


def page(studies: int) -> str:
    """The page in Markdown."""
    parts = {
        "{arms}": arms_part, "{means}": means_part, "{contrasts}": contrasts_part, "{families}": families_part,
        "{flips}": flips_part, "{power}": power_part, "{stopping}": stopping_part,
    }  # fmt: skip
    text = _PAGE.replace("{studies}", f"{studies:,}").replace("{prompts}", str(PROMPTS))
    for place, part in parts.items():
        print(place, flush=True)
        text = text.replace(place, "\n".join(part(studies)).rstrip())
    return text


_PAGE = """# The statistics of studies, tried on known truth

Made by `python docs/write_statistics.py`; do not edit. {studies} simulated studies a cell, {prompts} prompts a seed; a share
near 95% is known to ±1.4% (twice its standard error). `tests/stats/test_coverage.py` repeats the hardest cells, smaller.

**The truth.** Each seed of an arm has a rate of its own, logit-normal: the logit of the rate is normal between seeds with the
standard deviation called *spread*, around the point that makes the mean rate what the column says. Prompts are coins of that
rate. Two arms share a part of their seeds' draw: *shared* is its correlation. *Two kinds* is the stress test: every seed is 0
or 1 outright. What an interval must hold is the mean rate over all seeds, not the middle one.

**The intervals.** Of an arm: the wider of Student's t over the seeds' rates and of limits from a beta-binomial model
(`stats/posterior.py`). Of a contrast: the wider of a paired Student t and of limits put together from both sides' own
(`stats/limits.py`). Of log-odds: Student's t, at least the prompts' noise.

## One arm: coverage (mean width)

Five times as many studies, so that coverage is known to ±0.6%.

{arms}

The worst is a mean of 0.5 at 3 seeds and a spread of 2, where most seeds are near 0 or near 1; with a spread of 2.5 it is 92%,
and in the limit seeds are of two kinds. Those at a mean of 0.5 cannot be covered with 3 seeds: one study in four shows one kind only, and then nothing in
the data speaks of the other. A finding therefore says how many seeds could be of a kind that none of its seeds shows
(`unseen_share`: up to 63% with 3 seeds, 26% with 10).

The price of covering near 0 and 1: three seeds at 0 of 128 give an interval up to about 0.33 (ten: 0.11), where Student's t
with Wilson's floor stops at 0.03.

## Log-odds: coverage

{means}

## Contrasts: coverage (mean width), and share that calls a sign

"Shared" as above. In the first four columns there is no effect: what is called is an error.

{contrasts}

Sides are taken as uncorrelated. Where seeds move both arms alike the interval is wider than it needs to be, and "no meaningful
effect" between two arms near 0 asks for more seeds than a paired t would: a correlation over three seeds is not to be trusted.

## The claims ledger: wrong calls in a family of twelve

A claim is called when the interval over the family lies beyond 0: supported if that is the claimed direction and the effect
is large enough, else contradicted. Right and wrong below are about the sign alone, so the ledger errs less often than this.
The null pairs are 0, 0.1, 0.5 and 0.9 against themselves, three times each.

{families}

Three seeds of two kinds break the promise for a family: at a rate of one half, three seeds all at 0 against three all at 1
happen by chance in 3% of studies, and three such pairs are among the twelve. Nothing in three seeds tells this from an effect;
five seeds do. One null claim by itself is called in at most 4% (the table above).

## Flips

*Stated*: from the power of each cell alone at the level that the flip needs. Cells have rates 0.9 and 0.1, or as named. One effect is
looked at; a study's report looks at several, and adjusts over them (Holm), so that its flips are rarer than these.

{flips}

## Power: the smallest effect that a plan sees (and the share of fresh studies that saw it; 80% is stated)

{power}

## Stopping when the interval is 0.1 wide, looking every 16 prompts

{stopping}

A fixed number of prompts, chosen in advance, gives Wilson's interval that width with about 35 at a rate of 0 and 380 at 0.5: the
right to look at any time costs two to three times the prompts.

## What did not work

The first four are in the tables; the next two are from a trial of 200 studies a cell.

- **Student's t over few seeds**, also with Wilson's interval as a floor: near 0 and 1 the tail of the seeds is not in the
  sample, and the interval stops short of it. So does a contrast by paired t.
- **Student's t on logits**: covers the middle seed, not the mean, and has no width when all seeds show nothing.
- **Beta-binomial limits alone**: with a mean of a few in a thousand the prior on the seeds' correlation lifts the lower limit
  above the truth, and a tighter prior misses seeds of two kinds. Student's t repairs the first.
- **Limits of both sides alone** as a contrast: too many null effects called when seeds are of two kinds.
- **A correlation between the sides, estimated from the seeds**: at 3 seeds up to 14% of null effects were called.
- **A beta-binomial model of the difference itself**, moved to 0..1: covers no better and calls fewer true effects.
- **A bootstrap over seeds** was not tried in this table: three seeds have ten distinct resamples.
"""

if __name__ == "__main__":
    studies = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    Path(__file__).with_name("statistics.md").write_text(page(studies), encoding="utf-8")
