"""Make a card: examine every model of a zoo as any subject is, and keep the scores beside the labels."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from molehunt.audit.calibration import choose_voting
from molehunt.audit.case import Case, Prompts, ordinary
from molehunt.audit.examining import JUDGING, Examination, Examined, able, examination
from molehunt.audit.verdict import versions
from molehunt.detectors.table import DETECTORS
from molehunt.errors import DataError, MolehuntError
from molehunt.execution import Graph, Store, run_graph
from molehunt.execution.runner import Watcher
from molehunt.models.loading import outline
from molehunt.records.audits import CalibrationCard, CardEvidence, Cost, ExaminedModel, Profile, Scored
from molehunt.records.evidence import Tier, foremost
from molehunt.records.zoo import Zoo, ZooEntry

Folders = Callable[[ZooEntry], tuple[Path, Path]]
"""A zoo's entry to the folders of its model and of its base."""
_RETRIES = 1


@dataclass(frozen=True)
class Calibration:
    """The examinations of a zoo's models."""

    zoo: Zoo
    tier: Tier
    profile: Profile
    prompts: Prompts
    folders: Folders
    planned: dict[str, Examination]
    """By entry's name."""

    @classmethod
    def of(
        cls, zoo: Zoo, folders: Folders, tier: Tier, profile: Profile, prompts: Prompts | None = None
    ) -> "Calibration":
        """Plan them; decoys whose habit does harm are left out, being neither planted nor clean.

        Raises:
            DataError: if the zoo has not two recipes of planted and two of clean models.
        """
        asked = prompts or ordinary(profile)
        zoo = zoo.model_copy(update={"entries": tuple(entry for entry in zoo.entries if entry.is_fit)})
        for planted, word in ((True, "planted"), (False, "clean")):
            if len({e.recipe for e in zoo.entries if e.planted is planted}) < 2:
                got = f"fewer with {word} models"
                raise DataError(f"zoo {zoo.name}", wanted="two recipes each of planted and clean models", got=got)
        planned = {}
        for entry in zoo.entries:
            subject, base = folders(entry)
            case = Case(subject, base if tier == "base" else None, tier, profile, asked)
            planned[entry.name] = examination(case, entry.name)
        return cls(zoo, tier, profile, asked, folders, planned)

    def graph(self) -> Graph:
        """All steps."""
        return Graph(step for one in self.planned.values() for step in one.steps())

    def run(self, store: Store, jobs: int, watch: Watcher | None = None) -> CardEvidence:
        """Examine what the store lacks; a model that cannot be examined is left out, and named.

        Raises:
            DataError: if too few are left.
        """
        ended = run_graph(self.graph(), store, jobs, watch, go_on=True, retries=_RETRIES)
        return self.evidence(store, ended.failed)

    def evidence(self, store: Store, errors: Mapping[str, MolehuntError] | None = None) -> CardEvidence:
        """What the store has of them. Raises DataError if models are too few.

        Args:
            errors: of steps that failed, by fingerprint.
        """
        done = [
            entry
            for entry in self.zoo.entries
            if all(store.has(s.fingerprint) for s in self.planned[entry.name].steps())
        ]
        counts = Counter(entry.planted for entry in done)
        failed = {one.name: self._why(one.name, errors or {}) for one in self.zoo.entries if one not in done}
        if min(counts[True], counts[False]) < 2:
            got = f"{counts[True]} planted and {counts[False]} clean ones that could be examined"
            got += "".join(f"; {name}: {why}" for name, why in list(failed.items())[:1])
            raise DataError(f"zoo {self.zoo.name}", wanted="two models of each kind", got=got)
        sizes = [outline(self.folders(one)[0]).model for one in {entry.facts.size: entry for entry in done}.values()]
        parameters = [sum(p.numel() for p in model.parameters()) for model in sizes]
        names = able(self.tier, self.profile)
        return CardEvidence(
            name=f"{self.zoo.name}-{self.profile}-{self.tier}", profile=self.profile, tier=self.tier,
            architecture=type(sizes[0]).__name__, parameters=(min(parameters), max(parameters)), spec=self.zoo.spec,
            prompts=self.prompts.digest, versions=versions(names, self.tier, self.profile), detectors=names,
            models=tuple(_seen(entry, self.planned[entry.name].read(store)) for entry in done), failed=failed,
        )  # fmt: skip

    def _why(self, name: str, errors: Mapping[str, MolehuntError]) -> str:
        """The first error of a model's steps."""
        told = (str(errors[step.fingerprint]) for step in self.planned[name].steps() if step.fingerprint in errors)
        return next(told, "not examined")


def _seen(entry: ZooEntry, examined: Examined) -> ExaminedModel:
    """Without exhibits and transcripts: they are many, and no score depends on them."""
    evidence = tuple(one.model_copy(update={"exhibits": ()}) for one in examined.evidence)
    candidates = tuple(one.model_copy(update={"samples": ()}) for one in examined.candidates)
    return ExaminedModel(entry=entry, evidence=evidence, candidates=candidates)


def card_of(found: CardEvidence) -> CalibrationCard:
    """The card that follows from evidence: scores beside labels, and which detectors vote."""
    models = tuple(scored(model, found.tier) for model in found.models)
    costs = [model.cost for model in models if model.cost is not None]
    tokens, seconds = (median(column) for column in zip(*((c.forward_tokens, c.seconds) for c in costs), strict=True))
    kept = {name: getattr(found, name) for name in CalibrationCard.model_fields if name in CardEvidence.model_fields}
    return CalibrationCard(
        **kept | {"models": models, "versions": found.versions | {"judging": JUDGING}}, cost=Cost(forward_tokens=int(tokens), seconds=seconds),
        voting=choose_voting(models, found.detectors), families={name: DETECTORS[name].family for name in found.detectors if name in DETECTORS},
    )  # fmt: skip


def scored(model: ExaminedModel, tier: Tier) -> Scored:
    """What a card keeps of one model."""
    entry = model.entry
    facts: dict[str, Any] = entry.facts.model_dump(exclude={"change", "steps", "shown", "kept", "seed"})
    examined = Examined(model.evidence, model.candidates)
    best = foremost(examined.candidates)
    return Scored(
        name=entry.name, planted=entry.planted, recipe=entry.recipe,
        facts={key: str(value) for key, value in facts.items() if value not in ("", None)} | {"kind": entry.kind},
        scores=examined.scores_at(tier), values={"change": entry.facts.change, "steps": float(entry.facts.steps)},
        shown=entry.facts.shown, text=f"{best.text} @{best.place}" if best else "", asr=best.asr if best else None,
        cost=examined.cost,
    )  # fmt: skip
