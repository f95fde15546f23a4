"""What a study's cells say of contrasts: matched arms, on the seeds at which all of them were measured."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Literal

from molehunt.experiments.studies.design import StudyArm, matched
from molehunt.experiments.studies.outcomes import DIFFERENCES
from molehunt.records.claims import Claim, ClaimFinding, Contrast, Flips
from molehunt.records.studies import CellResult, EffectResult, Strength, Study
from molehunt.stats import contrasts, families
from molehunt.stats.cells import Cell as Counted
from molehunt.stats.cells import Mean, Rate, Table

_STRENGTH_MARGIN = 0.05
_EFFECT_ON = ("survival", "log_odds")
"""Outcomes of which every factor's effect is told, claimed or not."""


class Found:
    """Results of cells, by arm and seed."""

    def __init__(self, study: Study, arms: list[StudyArm], results: Sequence[CellResult]) -> None:
        self.study, self.arms = study, arms
        self.cells = {(result.arm, result.seed): result for result in results}

    def of(self, arm: StudyArm) -> list[CellResult]:
        """An arm's results, seed by seed."""
        return [self.cells[arm.id, seed] for seed in self.study.seeds if (arm.id, seed) in self.cells]

    def contrast(self, claim: Claim) -> Contrast | None:
        """Over the matched pairs, on the seeds at which every one of them was measured."""
        return self._paired(list(matched(self.study, claim, self.arms)), claim.outcome, not claim.against)

    def reason(self, finding: ClaimFinding) -> str:
        """Why the verdict is what it is, and which seeds it does not rest on."""
        claim = finding.claim
        among = {arm.id: arm for pair in matched(self.study, claim, self.arms) for arm in pair}
        parts = [part for _, part in DIFFERENCES.get(claim.outcome, ((1, claim.outcome),))]
        gone = [(name, seed) for name in among for seed in self.study.seeds if (name, seed) not in self.cells]
        bare = [
            (name, seed)
            for name, arm in among.items() for seed in self.study.seeds
            if (name, seed) in self.cells and not all(self._counted(arm, seed, part) for part in parts)
        ]  # fmt: skip
        if not gone and not bare:
            return finding.reason
        nothing = "nothing fired before the removal" if claim.outcome == "survival" else "there is no such number"
        why = {"missing cells": len(gone), f"cells where {nothing}": len(bare)}
        cells = " and ".join(f"{name} ({count})" for name, count in why.items() if count)
        told = f"{len({seed for _, seed in gone + bare})} of {len(self.study.seeds)} seeds left out, for {cells}"
        return f"{finding.reason}; {told}" if finding.effect else told

    def strength(self, claim: Claim) -> Strength | None:
        """How strongly the two sides were planted."""
        pairs = list(matched(self.study, claim, self.arms))
        found = self._paired(pairs, "asr_before")
        if found is None or not claim.against:
            return None
        sides = [
            [_value(cell, "asr_before") for arm in side for cell in self.of(arm)] for side in zip(*pairs, strict=True)
        ]
        level, against = (sum(side) / len(side) for side in sides)
        apart = found.effect.low > 0 or found.effect.high < 0
        return Strength(
            claim=claim.id, level=level, against=against, differs=apart or abs(level - against) > _STRENGTH_MARGIN
        )

    def effects(self) -> list[EffectResult]:
        """Each level of each factor against the first one, over all matched arms, and whether that keeps its sign; of all together."""
        found = list(self._effects())
        together = families.flips_together([effect.flips for effect in found])
        return [one.model_copy(update={"flips": flips}) for one, flips in zip(found, together, strict=True)]

    def _effects(self) -> Iterator[EffectResult]:
        for factor, outcome in itertools.product(self.study.factors, _EFFECT_ON):
            for level in factor.levels[1:]:
                claim = _any_claim(factor.name, level.name, factor.levels[0].name, outcome)
                whole = self.contrast(claim)
                if whole is not None:
                    yield EffectResult(
                        factor=factor.name, level=level.name, against=claim.against, outcome=outcome, contrast=whole,
                        flips=self.flips(claim),
                    )  # fmt: skip

    def flips(self, claim: Claim) -> Flips | None:
        """Whether the contrast of a claim keeps its sign across the other factors' levels; None if there is nothing to cross.

        Effects smaller than the claim's smallest that matters neither turn it nor stand against its sign.
        """
        known = []
        for one, two in matched(self.study, claim, self.arms):
            alone = self._paired([(one, two)], claim.outcome, not claim.against)
            if alone is not None and len(alone.by_seed) > 1:
                known.append(({f: level for f, level in one.levels.items() if f != claim.factor}, alone))
        return families.flips(known, claim.smallest) if len(known) > 1 else None

    def _paired(
        self, pairs: Sequence[tuple[StudyArm, StudyArm]], outcome: str, against_zero: bool = False
    ) -> Contrast | None:
        parts = DIFFERENCES.get(outcome, ((1, outcome),))
        among = {arm.id: arm for pair in pairs for arm in pair}.values()
        seeds = [s for s in self.study.seeds if all(self._counted(arm, s, part) for arm in among for _, part in parts)]
        if not pairs or not seeds:
            return None
        sides = list(zip((1, -1), zip(*pairs, strict=True), strict=True))[: 1 if against_zero else 2]
        terms: list[tuple[Literal[-1, 1], Table]] = [
            (1 if side == sign else -1, [[self._must(arm, seed, part) for seed in seeds] for arm in arms])
            for side, arms in sides for sign, part in parts
        ]  # fmt: skip
        return contrasts.combined_contrast(terms)

    def _counted(self, arm: StudyArm, seed: int, outcome: str) -> Counted | None:
        cell = self.cells.get((arm.id, seed))
        if cell is None:
            return None
        if outcome in cell.rates:
            return Rate(*cell.rates[outcome])
        return Mean(*cell.means[outcome]) if outcome in cell.means else None

    def _must(self, arm: StudyArm, seed: int, outcome: str) -> Counted:
        found = self._counted(arm, seed, outcome)
        assert found is not None
        return found


def _any_claim(factor: str, level: str, against: str, outcome: str) -> Claim:
    return Claim(
        id=factor, says="", source="", factor=factor, level=level, against=against, outcome=outcome, direction="greater",
        smallest=1e-9,
    )  # fmt: skip


def _value(cell: CellResult, outcome: str) -> float:
    hits, trials = cell.rates[outcome]
    return hits / trials
