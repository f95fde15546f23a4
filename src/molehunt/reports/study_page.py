"""A study's report: one self-contained HTML file."""

import json
import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from markupsafe import Markup

from molehunt.records.claims import Claim, ClaimFinding, Flips
from molehunt.records.estimates import Estimate
from molehunt.records.studies import ContrastPlan, EffectResult, Strength, StudyResult
from molehunt.reports.marks import SIGNS, Sign, arm_strip, axis, effect_strip, sign_of
from molehunt.reports.study_plots import ArmView, StudyView, heat
from molehunt.reports.study_words import (
    ABOUT,
    CLAIM_SIGNS,
    FLIP_SIGNS,
    LETTERS,
    MEANINGS,
    Unit,
    in_short,
    label,
    more_seeds,
    p_value,
    together,
)
from molehunt.reports.templating import templates
from molehunt.reports.text import visible

FIRST_ROWS = 40
"""Arms and missing cells that are shown before the rest is folded."""
FIRST_PANELS = 24
"""Trajectories that are shown before the rest is folded."""
FIRST_CELLS = 12
"""Combinations of levels that are shown of one effect; of more, the highest and the lowest."""
FIRST_FLIPS = 6
"""Flips that are shown unfolded."""

T = TypeVar("T")


def study_page(result: StudyResult) -> str:
    """The page as HTML text. No script, nothing fetched; the content-security policy forbids both."""
    view = StudyView(result)
    environment = templates()
    environment.filters.update(
        turns=lambda cells: _turns(view, cells),
        label=label,
        p=p_value,
        more_seeds=more_seeds,
        together=together,
        fold=fold,
        derived=_derived,
    )
    environment.globals.update(
        kinds=SIGNS, claim_signs=CLAIM_SIGNS, flip_signs=FLIP_SIGNS, letters=LETTERS, meanings=MEANINGS, about=ABOUT, sign_of=sign_of,
        first_rows=FIRST_ROWS, first_panels=FIRST_PANELS, first_cells=FIRST_CELLS,
    )  # fmt: skip
    return environment.get_template("study.html").render(
        result=result,
        study=result.study,
        view=view,
        short=in_short(result),
        claims=[_claim(view, number, finding) for number, finding in enumerate(result.claims, 1)],
        effects=_effects(view),
        axes={o: axis(scale, view.units[o].step) for o, scale in view.effect_scales.items()},
        arm_axes={o: axis(scale, view.units[o].tick) for o, scale in view.value_scales.items()},
        arm_strip=lambda arm, outcome: arm_strip(view.value_scales[outcome], arm.result.estimates[outcome]),
        seed_shares={o: share for o in view.outcomes if (share := _seed_share(view, o)) is not None},
        heat=heat(view),
        oracle=_oracle(view.arms),
        settings=_settings(view.arms),
    )


@dataclass(frozen=True)
class ClaimView:
    """A claim on the page."""

    number: int
    finding: ClaimFinding
    contrast: ContrastPlan | None
    strength: Strength | None
    unit: Unit
    strip: Markup
    cells: "list[CellView]"
    crossed: "tuple[int, Flips] | None"
    """The effect that it speaks of, over all arms, with its number on the page."""


@dataclass(frozen=True)
class EffectView:
    """A factor's effect on the page."""

    number: int
    result: EffectResult
    unit: Unit
    strip: Markup
    cells: "list[CellView]"
    is_open: bool = False


@dataclass(frozen=True)
class CellView:
    """An effect at one combination of the other factors' levels."""

    levels: Mapping[str, str]
    effect: Estimate
    strip: Markup


def _claim(view: StudyView, number: int, finding: ClaimFinding) -> ClaimView:
    claim = finding.claim
    scale = view.effect_scales[claim.outcome]
    strip = effect_strip(
        scale,
        finding.effect,
        together(finding),
        seeds=finding.by_seed,
        smallest=claim.smallest,
        claimed=claim.direction,
    )
    return ClaimView(
        number, finding, view.contrasts.get(claim.id), view.strengths.get(claim.id), view.units[claim.outcome], strip,
        _cells(view, claim.outcome, finding.flips), _crossed(view, claim),
    )  # fmt: skip


def _crossed(view: StudyView, claim: Claim) -> tuple[int, Flips] | None:
    number = view.effects.get((claim.factor, claim.outcome, frozenset((claim.level, claim.against))))
    flips = view.result.effects[number - 1].flips if number else None
    return (number, flips) if number and flips else None


def _effects(view: StudyView) -> list[EffectView]:
    """In the order of the record; the first flips unfolded, by the order of the outcomes."""
    rank = {outcome: i for i, outcome in enumerate(view.outcomes)}
    numbered = list(enumerate(view.result.effects, 1))
    turned = [(rank[e.outcome], number) for number, e in numbered if e.flips and e.flips.verdict == "flips"]
    unfolded = {number for _, number in sorted(turned)[:FIRST_FLIPS]}
    return [_effect(view, number, effect, number in unfolded) for number, effect in numbered]


def _effect(view: StudyView, number: int, effect: EffectResult, is_open: bool) -> EffectView:
    scale = view.effect_scales[effect.outcome]
    strip = effect_strip(scale, effect.contrast.effect, seeds=effect.contrast.by_seed, sign=True)
    return EffectView(
        number, effect, view.units[effect.outcome], strip, _cells(view, effect.outcome, effect.flips), is_open
    )


def _cells(view: StudyView, outcome: str, flips: Flips | None) -> list[CellView]:
    """From the highest to the lowest, so that a change of sign is a line across the rows."""
    if flips is None:
        return []
    scale = view.effect_scales[outcome]
    ordered = sorted(flips.cells, key=lambda cell: -cell.effect.value)
    return [CellView(cell.levels, cell.effect, effect_strip(scale, cell.effect, sign=True)) for cell in ordered]


def fold(rows: Sequence[T], first: int, last: int = 0) -> tuple[Sequence[T], Sequence[T], Sequence[T]]:
    """Rows to show, rows to fold, rows to show after them; two or three are not worth folding."""
    if len(rows) <= first + last + 3:
        return rows, (), ()
    return rows[:first], rows[first : len(rows) - last], rows[len(rows) - last :]


def _turns(view: StudyView, cells: Sequence[CellView]) -> list[tuple[str, list[tuple[str, dict[Sign, int]]]]]:
    """For each other factor and each of its levels: at how many combinations the effect is up, down or straddles 0."""
    found: Counter[tuple[str, str, str]] = Counter()
    for cell in cells:
        found.update((factor, level, sign_of(cell.effect)) for factor, level in cell.levels.items())
    there = {(factor, level) for factor, level, _ in found}
    return [
        (
            f.name,
            [
                (one.name, {kind: found[f.name, one.name, kind] for kind in SIGNS})
                for one in f.levels
                if (f.name, one.name) in there
            ],
        )
        for f in view.result.study.factors
    ]


def _seed_share(view: StudyView, outcome: str) -> float | None:
    """Median over arms."""
    shares = [
        e.seed_share for arm in view.result.arms if (e := arm.estimates.get(outcome)) and e.seed_share is not None
    ]
    return statistics.median(shares) if shares else None


@dataclass(frozen=True)
class Oracle:
    """How much better than the last checkpoint one could have stopped with the trigger in hand."""

    mean: float
    largest: float
    arm: ArmView
    among: int


def _oracle(arms: Sequence[ArmView]) -> Oracle | None:
    known = [(arm.result.oracle_gap, arm) for arm in arms if arm.result.oracle_gap is not None]
    known = [(gap, arm) for gap, arm in known if math.isfinite(gap)]
    if not known:
        return None
    largest, arm = max(known, key=lambda one: one[0])
    return Oracle(statistics.fmean(gap for gap, _ in known), largest, arm, len(known))


def _settings(arms: Sequence[ArmView]) -> dict[int, list[tuple[str, Markup]]]:
    """Arm to groups of its resolved fields; those in which arms differ are marked."""
    values: dict[str, set[str]] = {}
    written = {arm.number: {field: _json(value) for field, value in arm.result.config.items()} for arm in arms}
    for config in written.values():
        for field, value in config.items():
            values.setdefault(field, set()).add(value)
    differing = {
        field for field, seen in values.items() if len(seen) > 1 or any(field not in c for c in written.values())
    }
    return {number: _groups(config, differing) for number, config in written.items()}


def _groups(config: Mapping[str, str], differing: set[str]) -> list[tuple[str, Markup]]:
    groups: dict[str, list[Markup]] = {}
    for field, value in config.items():
        group, _, name = field.rpartition(".")
        line = Markup("<b>{}  {}</b>" if field in differing else "{}  {}")
        groups.setdefault(group, []).append(line.format(visible(name), visible(value)))
    return [(group or "study", Markup("\n").join(found)) for group, found in groups.items()]


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _derived(value: Any) -> str:
    """A quantity; a list has one value a seed."""
    if isinstance(value, list | tuple) and value and all(one == value[0] for one in value):
        return f"{_json(value[0])} (every seed)"
    return ", ".join(map(_json, value)) if isinstance(value, list | tuple) else _json(value)
