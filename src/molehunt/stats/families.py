"""Many effects at once: intervals that hold together, and effects that flip."""

from collections.abc import Sequence

import numpy as np

from molehunt.records.claims import CellEffect, Contrast, Flips, FlipVerdict
from molehunt.records.estimates import Estimate
from molehunt.stats.limits import limits

ALPHA = 0.05


def simultaneous(contrasts: Sequence[Contrast]) -> list[tuple[Estimate, float]]:
    """Intervals that hold together at 95%, and p-values adjusted to match, in the order given.

    Holm (1979) over the two one-sided hypotheses of every contrast, so that the sign is part of what is protected; bounds
    as Strassburger and Bretz (2008, Stat Med 27) and Guilbaud (2008, Biom J 50): an effect whose sign is certain is bounded
    by 0 on that side, and spends nothing of the error on how far from 0 it is; the other bounds share what is left.
    """
    found = holm([c.p_value for c in contrasts])
    certain = sum(p <= ALPHA for p in found)
    tails = 2 * ALPHA / max(2 * len(contrasts) - certain, 1)
    return [(_together(c, tails, p <= ALPHA, len(contrasts)), p) for c, p in zip(contrasts, found, strict=True)]


def holm(p_values: Sequence[float]) -> list[float]:
    """Two-sided p-values adjusted over both one-sided hypotheses of each, by stepping down from the smallest."""
    return _stepped_down([p / 2 for p in p_values], 2 * len(p_values))


def _stepped_down(p_values: Sequence[float], hypotheses: int) -> list[float]:
    found, largest = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (hypotheses - rank) * p_values[i]))
        found[i] = largest
    return found


def _together(contrast: Contrast, alpha: float, certain: bool, family: int) -> Estimate:
    low, high = (float(x) for x in limits(contrast, alpha))
    value = contrast.effect.value
    if certain:
        low, high = (0.0, high) if value > 0 else (low, 0.0)
    how = f"{contrast.effect.method}; Holm over {family}"
    return Estimate(value=value, low=low, high=high, n=contrast.effect.n, method=how)


def flips(cells: Sequence[tuple[dict[str, str], Contrast]], smallest: float = 0.0) -> Flips:
    """Whether an effect keeps its sign: `cells` are (levels of the other factors, effect there), at least two.

    "flips": one cell is surely above 0 and another surely below, each at 95% over one cell fewer than there are (Piantadosi
    and Gail 1993, Stat Med 12, the range test for qualitative interaction), and both are at least `smallest` in size.
    "same sign": some cell's effect is sure, and no cell's own 95% interval reaches `smallest` or more to the other side; a
    claim about all cells needs no correction (Berger 1982, Technometrics 24).

    Raises:
        ValueError: fewer than two cells, or a cell with one seed, which says nothing about seeds.
    """
    if len(cells) < 2 or any(len(c.by_seed) < 2 for _, c in cells):
        raise ValueError("a flip needs at least two cells of at least two seeds")
    effects = [(levels, c, *limits(c, ALPHA / (len(cells) - 1))) for levels, c in cells]
    up = [levels for levels, c, low, _ in effects if low > 0 and c.effect.value >= smallest]
    down = [levels for levels, c, _, high in effects if high < 0 and -c.effect.value >= smallest]
    how = f"simultaneous over {len(cells)} cells"
    shown = tuple(
        CellEffect(levels=levels, effect=Estimate(
            value=c.effect.value, low=float(low), high=float(high), n=c.effect.n, method=f"{c.effect.method}; {how}"))
        for levels, c, low, high in effects
    )  # fmt: skip
    verdict, reason = _flip_verdict(up, down, [c for _, c in cells], smallest)
    return Flips(verdict=verdict, p_value=_flip_p([c for _, c in cells], smallest), cells=shown, reason=reason)


def flips_together(found: Sequence[Flips | None]) -> list[Flips | None]:
    """The same flips, judged over all effects that were looked at for one (Holm 1979): what flips by itself alone is undecided.

    A family is what is passed: a study's claims are one, the effects of all its factors another."""
    known = [one for one in found if one is not None]
    adjusted = iter(_stepped_down([one.p_value for one in known], len(known)))
    return [one and _within(one, next(adjusted), len(known)) for one in found]


def _within(one: Flips, p: float, family: int) -> Flips:
    if one.verdict != "flips" or family == 1 or p <= ALPHA:
        return one.model_copy(update={"p_adjusted": p})
    reason = f"{one.reason}; by itself alone, not over the {family} effects looked at (p = {p:.2g})"
    return one.model_copy(update={"p_adjusted": p, "verdict": "undecided", "reason": reason})


def _flip_p(contrasts: Sequence[Contrast], smallest: float) -> float:
    """Of what the verdict asks: a sure effect above 0 and one below, both at least `smallest` in size."""
    above, below = (
        min((c.p_value for c in contrasts if sign * c.effect.value >= smallest), default=1.0) for sign in (1, -1)
    )
    return min(1.0, (len(contrasts) - 1) * max(above, below))


def _flip_verdict(
    up: list[dict[str, str]], down: list[dict[str, str]], cells: list[Contrast], smallest: float
) -> tuple[FlipVerdict, str]:
    if up and down:
        return "flips", f"positive at {_where(up)}; negative at {_where(down)}"
    sign = 1 if np.mean([c.effect.value for c in cells]) > 0 else -1
    opposite = [-c.effect.low if sign > 0 else c.effect.high for c in cells]
    word = "positive" if sign > 0 else "negative"
    if (up if sign > 0 else down) and all(x < smallest or x < 0 for x in opposite):
        return "same sign", f"{word}, or smaller than matters, in all {len(cells)} cells"
    sure = f"{word} at {_where(up or down)}" if up or down else "sure in no cell"
    return "undecided", f"{sure}; {sum(x >= smallest for x in opposite)} of {len(cells)} cells may go the other way"


def _where(cells: list[dict[str, str]]) -> str:
    return "; ".join(", ".join(f"{k}={v}" for k, v in levels.items()) for levels in cells)
