"""A study's results arranged for plots: scales that are shared, rows, panels and the table of verdicts."""

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from markupsafe import Markup

from molehunt.records.estimates import Estimate
from molehunt.records.results import VerdictName
from molehunt.records.studies import ArmResult, CellResult, Factor, Missing, StudyResult
from molehunt.reports.marks import Scale, Series, Spot, around_zero, lines, scatter
from molehunt.reports.study_words import LETTERS, Unit, unit_of

PANEL, ODDS_PANEL = 92, 56
"""Heights of the panels along a removal, in pixels."""
_SHARES = Scale(0.0, 1.0)


@dataclass(frozen=True)
class ArmView:
    """One arm with its number on the page."""

    number: int
    result: ArmResult
    before: tuple[str, ...]
    """Levels of the organism's side."""
    after: tuple[str, ...]
    """Levels of the removal's side."""
    cells: tuple[CellResult, ...]
    missing: tuple[Missing, ...]

    @property
    def label(self) -> str:
        """The levels, the organism's side first."""
        return " → ".join(" · ".join(side) for side in (self.before, self.after) if side)

    @property
    def last_checkpoint(self) -> int:
        """Where the longest of its removals ended; 0 if none was looked at on its way."""
        return max((point.checkpoint for cell in self.cells for point in cell.trajectory), default=0)


class StudyView:
    """A result with what the page looks up again and again."""

    def __init__(self, result: StudyResult) -> None:
        self.result = result
        self.before, self.after = sides(result.study.factors)
        cells: dict[str, list[CellResult]] = {}
        missing: dict[str, list[Missing]] = {}
        for cell in result.cells:
            cells.setdefault(cell.arm, []).append(cell)
        for gone in result.missing:
            missing.setdefault(gone.arm, []).append(gone)
        self.arms = [
            ArmView(
                number, arm, self._levels(arm, self.before), self._levels(arm, self.after),
                tuple(sorted(cells.get(arm.id, ()), key=lambda cell: cell.seed)), tuple(missing.get(arm.id, ())),
            )
            for number, arm in enumerate(result.arms, 1)
        ]  # fmt: skip
        self.by_id = {arm.result.id: arm for arm in self.arms}
        self.contrasts = {contrast.claim: contrast for contrast in result.contrasts}
        self.effects = {
            (e.factor, e.outcome, frozenset((e.level, e.against))): i for i, e in enumerate(result.effects, 1)
        }
        self.strengths = {strength.claim: strength for strength in result.strengths}

    @staticmethod
    def _levels(arm: ArmResult, factors: Sequence[Factor]) -> tuple[str, ...]:
        return tuple(arm.levels[factor.name] for factor in factors if factor.name in arm.levels)

    @cached_property
    def outcomes(self) -> list[str]:
        """Of the study, then whatever else has an estimate, an effect or a claim."""
        estimated = (outcome for arm in self.result.arms for outcome in arm.estimates)
        named = (*(c.claim.outcome for c in self.result.claims), *(e.outcome for e in self.result.effects))
        return list(dict.fromkeys((*self.result.study.outcomes, *estimated, *named)))

    @cached_property
    def units(self) -> dict[str, Unit]:
        """How each outcome's numbers are written."""
        return {outcome: unit_of(outcome, self.result) for outcome in self.outcomes}

    @cached_property
    def effect_scales(self) -> dict[str, Scale]:
        """One for each outcome: all effects on it are drawn alike."""
        return {outcome: self._effect_scale(outcome) for outcome in self.outcomes}

    def _effect_scale(self, outcome: str) -> Scale:
        is_share = self.units[outcome].is_share
        claims = [finding for finding in self.result.claims if finding.claim.outcome == outcome]
        effects = [effect for effect in self.result.effects if effect.outcome == outcome]
        seen: list[Estimate | None] = [e for finding in claims for e in (finding.effect, finding.simultaneous)]
        seen += [effect.contrast.effect for effect in effects]
        flips = [finding.flips for finding in claims] + [effect.flips for effect in effects]
        seen += [cell.effect for one in flips if one for cell in one.cells]
        smallest = max((finding.claim.smallest for finding in claims), default=0.0)
        least = max(1.5 * smallest, 0.1 if is_share else 1.0)
        return around_zero([e for e in seen if e], least, 1.0 if is_share else math.inf)

    @cached_property
    def value_scales(self) -> dict[str, Scale]:
        """One for each outcome: all arms are drawn alike."""
        return {outcome: self._value_scale(outcome) for outcome in self.outcomes}

    def _value_scale(self, outcome: str) -> Scale:
        known = [e for arm in self.result.arms if (e := arm.estimates.get(outcome))]
        values = [value for e in known for value in (e.value, *e.by_seed)]
        fits = self.units[outcome].is_share and all(0 <= value <= 1 for value in values)
        return _SHARES if fits else _round(values)

    @cached_property
    def odds_scale(self) -> Scale | None:
        """Of the log-odds along all removals; none where none were measured."""
        seen = [p.log_odds for cell in self.result.cells for p in cell.trajectory if p.log_odds is not None]
        return _round(seen) if seen else None

    def trajectory(self, arm: ArmView) -> Markup:
        """ASR and capability, and under them the log-odds; x ends at the arm's own last checkpoint."""
        if not arm.last_checkpoint:
            return Markup("")
        x = Scale(0, arm.last_checkpoint)
        paths = [cell.trajectory for cell in arm.cells]
        asr = Series("asr", [[(p.checkpoint, p.asr) for p in path] for path in paths])
        capability = Series("capability", [[(p.checkpoint, p.capability) for p in path] for path in paths])
        drawn = lines([capability, asr], x, _SHARES, PANEL, Unit(True, "").tick, (0.0, 0.5, 1.0))
        odds = [[(p.checkpoint, p.log_odds) for p in path if p.log_odds is not None] for path in paths]
        if self.odds_scale and any(odds):
            ends = sorted({0.0, *(self.odds_scale.ticks(3)[i] for i in (0, -1))})
            drawn += lines([Series("odds", odds)], x, self.odds_scale, ODDS_PANEL, Unit(False, "").tick, ends)
        return drawn

    def pareto(self) -> Markup:
        """Capability to the right, what is left of the backdoor upwards: the best is at the foot, on the right."""
        points = [p for p in self.result.front if math.isfinite(p.capability) and math.isfinite(p.asr)]
        x, y = _round([p.capability for p in points], zero=False), _SHARES
        best = sorted((p for p in points if p.on_front), key=lambda p: (p.capability, p.asr))
        corners = [(p.capability, p.asr) for p in best]
        stairs = [
            (a[0], b[1]) if turn else a for a, b in itertools.pairwise(corners) for turn in (False, True)
        ] + corners[-1:]
        hull = [(p.capability, p.asr) for p in best if p.on_hull]
        spots = []
        for point in sorted(points, key=lambda p: p.on_front):
            arm = self.by_id[point.arm]
            wide = [arm.result.estimates.get(name) for name in ("capability", "asr")]
            kind = f"spot{' front' if point.on_front else ''}{' hull' if point.on_hull else ''}"
            spots.append(Spot(
                point.capability, point.asr, kind, str(arm.number) if point.on_front else "", f"#arm-{arm.number}",
                f"{arm.number}: {arm.label}", (wide[0], wide[1]) if point.on_front and wide[0] and wide[1] else None,
            ))  # fmt: skip
        return scatter(spots, x, y, [("stairs", stairs), ("hull-line", hull)], Unit(True, "").tick)


def sides(factors: Iterable[Factor]) -> tuple[list[Factor], list[Factor]]:
    """Factors of base and organism, and factors of the removal and what follows it, by the fields that their levels set."""
    before: list[Factor] = []
    after: list[Factor] = []
    for factor in factors:
        rooms = {field.partition(".")[0] for level in factor.levels for field in level.sets}
        (before if not rooms or rooms & {"base", "organism"} else after).append(factor)
    return before, after


@dataclass(frozen=True)
class Head:
    """A level as the heading of several columns or rows."""

    name: str
    span: int


@dataclass(frozen=True)
class HeatCell:
    """One place of the table."""

    arm: ArmView
    counts: tuple[tuple[VerdictName, int], ...]
    missing: int


@dataclass(frozen=True)
class Heat:
    """The table of verdicts."""

    columns: list[list[Head]]
    """A line of headings for each factor of the removal."""
    rows: list[tuple[list[Head], list[HeatCell | None]]]


def heat(view: StudyView) -> Heat:
    """Levels of the organism's side down, of the removal's side across, in the order of the study."""
    down = _combinations(view.before, [arm.before for arm in view.arms])
    across = _combinations(view.after, [arm.after for arm in view.arms])
    at = {(arm.before, arm.after): arm for arm in view.arms}
    heads = _heads(down)
    rows = [
        ([line[i] for line in heads if i in line], [_heat_cell(at.get((one, two))) for two in across])
        for i, one in enumerate(down)
    ]
    return Heat([list(line.values()) for line in _heads(across)], rows)


def _combinations(factors: Sequence[Factor], there: Iterable[tuple[str, ...]]) -> list[tuple[str, ...]]:
    order = [{level.name: i for i, level in enumerate(factor.levels)} for factor in factors]
    return sorted(
        set(there), key=lambda names: [rank.get(name, len(rank)) for rank, name in zip(order, names, strict=False)]
    )


def _heads(combinations: list[tuple[str, ...]]) -> list[dict[int, Head]]:
    """For each factor: where a heading begins, and how far it reaches."""
    depth = len(combinations[0]) if combinations else 0
    found: list[dict[int, Head]] = []
    for level in range(depth):
        line: dict[int, Head] = {}
        at = 0
        for names, run in itertools.groupby(combinations, key=lambda names: names[: level + 1]):
            span = len(list(run))
            line[at] = Head(names[-1], span)
            at += span
        found.append(line)
    return found


def _heat_cell(arm: ArmView | None) -> HeatCell | None:
    if arm is None:
        return None
    verdicts = arm.result.verdicts
    return HeatCell(arm, tuple((name, verdicts[name]) for name in LETTERS if verdicts.get(name)), len(arm.missing))


def _round(values: Iterable[float], zero: bool = True) -> Scale:
    """A scale over the values, and over 0 if wanted, with a little room."""
    finite = [v for v in values if math.isfinite(v)] + ([0.0] if zero else [])
    low, high = min(finite, default=0.0), max(finite, default=1.0)
    room = 0.06 * (high - low) or (0.05 if not zero else 1.0)
    return Scale(low - room, high + room)
