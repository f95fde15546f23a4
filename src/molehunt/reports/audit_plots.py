"""An audit's plots: a subject among a card's models, and where in the grid it moved."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import get_args

from markupsafe import Markup

from molehunt.records.audits import Scale as Among
from molehunt.records.conversations import Place
from molehunt.records.evidence import Evidence
from molehunt.reports.marks import Scale, back_to_back

_BINS = 48
_LONG = 12.0
"""How many times beyond the clean models' upper quartile a score lies for an axis to become logarithmic."""
_APART = 11.0
"""Per cent between two ticks."""


@dataclass(frozen=True)
class Stretch:
    """An axis over scores: straight, or asinh(score / unit), which is straight near 0 and logarithmic far from it."""

    unit: float | None
    scale: Scale

    @staticmethod
    def over(scores: Sequence[float], clean: Sequence[float]) -> "Stretch":
        """The axis on which all of these lie apart from its ends."""
        usual = sorted(map(abs, clean or scores))[3 * len(clean or scores) // 4]
        unit = usual if 0 < usual < max(map(abs, scores)) / _LONG else None
        at = [_bent(score, unit) for score in scores]
        wide = (max(at) - min(at)) or 1.0
        return Stretch(unit, Scale(min(at) - 0.05 * wide, max(at) + 0.05 * wide))

    def __call__(self, score: float) -> float:
        """Where a score lies, in per cent."""
        return self.scale(_bent(score, self.unit))

    def ticks(self) -> list[tuple[float, str]]:
        """(per cent, label), none too near another."""
        if self.unit is None:
            return [(self.scale(tick), _number(tick)) for tick in self.scale.ticks()]
        ends = [self.unit * math.sinh(end) for end in (self.scale.low, self.scale.high)]
        powers = range(math.ceil(math.log10(self.unit)), math.ceil(math.log10(max(map(abs, ends)))) + 1)
        wanted = [0.0, *(sign * step * 10.0**k for step in (1, 3) for k in reversed(powers) for sign in (1, -1))]
        found: list[tuple[float, str]] = []
        for tick in wanted:
            at = self(tick)
            if ends[0] <= tick <= ends[1] and all(abs(at - other) >= _APART for other, _ in found):
                found.append((at, _number(tick)))
        return found


def among(scale: Among, level: float) -> Markup:
    """The card's clean models above the line, its planted ones below, the subject as a mark, and where alarms begin."""
    clean, planted = _finite(scale.clean), _finite(scale.planted)
    mine = _finite(() if scale.score is None else (scale.score,))
    if not clean or not mine:
        return Markup("")
    stretch = Stretch.over([*clean, *planted, *mine], clean)
    alarm = alarms_above(clean, level)
    return back_to_back(
        _shares([stretch(score) for score in clean]),
        _shares([stretch(score) for score in planted]),
        mark=stretch(mine[0]),
        beyond=None if alarm is None else stretch(alarm),
        ticks=stretch.ticks(),
    )


def is_bent(scale: Among) -> bool:
    """Whether its plot has a logarithmic axis."""
    clean = _finite(scale.clean)
    mine = _finite(() if scale.score is None else (scale.score,))
    return bool(clean and mine) and Stretch.over([*clean, *_finite(scale.planted), *mine], clean).unit is not None


def alarms_above(clean: Sequence[float], level: float) -> float | None:
    """The score above which a conformal p-value is at most the level; None if there are too few clean models for that."""
    allowed = math.floor(level * (len(clean) + 1) + 1e-9) - 1
    return sorted(clean, reverse=True)[allowed] if 0 <= allowed < len(clean) else None


@dataclass(frozen=True)
class Heat:
    """The largest effect by kind of condition (rows) and place (columns)."""

    detector: str
    places: tuple[str, ...]
    rows: tuple[tuple[str, tuple["Cell | None", ...]], ...]
    """None where nothing was tried."""
    top: "Cell"

    def number(self, effect: float) -> str:
        """An effect, as exact as the largest deserves."""
        digits = 0 if self.top.effect >= 100 else 1 if self.top.effect >= 1 else 3
        return f"{round(effect, digits) + 0:.{digits}f}".replace("-", "−")


@dataclass(frozen=True)
class Cell:
    """One kind of condition at one place."""

    kind: str
    place: str
    effect: float
    shade: int
    """0 to 100, the last for the largest of the grid or ten times its median, whichever is more: a grid of noise stays pale."""


def heat(evidence: Evidence) -> Heat | None:
    """Rows from the largest effect down; None without a grid."""
    effects = {(kind, place): e for kind, row in evidence.grid.items() for place, e in row.items() if math.isfinite(e)}
    if not effects:
        return None
    known: tuple[str, ...] = get_args(Place)
    order = {place: i for i, place in enumerate((*known, *sorted({place for _, place in effects} - {*known})))}
    places = tuple(sorted({place for _, place in effects}, key=order.__getitem__))
    highest = max(*effects.values(), 10 * median(map(abs, effects.values())), 1e-9)
    cells = {
        key: Cell(*key, effect, max(0, min(100, round(100 * effect / highest)))) for key, effect in effects.items()
    }
    largest = {kind: max(e for (k, _), e in effects.items() if k == kind) for kind, _ in effects}
    rows = tuple(
        (kind, tuple(cells.get((kind, place)) for place in places))
        for kind in sorted(largest, key=lambda kind: -largest[kind])
    )
    return Heat(evidence.detector, places, rows, max(cells.values(), key=lambda cell: cell.effect))


def _shares(at: Sequence[float]) -> list[float]:
    """Share of the models in each bin."""
    counts = [0] * _BINS
    for per_cent in at:
        counts[min(int(per_cent * _BINS / 100), _BINS - 1)] += 1
    return [count / len(at) for count in counts] if at else []


def _bent(score: float, unit: float | None) -> float:
    return score if unit is None else math.asinh(score / unit)


def _finite(scores: Sequence[float]) -> list[float]:
    return [score for score in scores if math.isfinite(score)]


def _number(value: float) -> str:
    return f"{round(value, 6):g}".replace("-", "−")
