"""Make a card: examine every model of a zoo as any subject is, and keep the scores beside the labels."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from molehunt.audit.calibration import choose_voting
from molehunt.audit.case import Case, Prompts, ordinary
from molehunt.audit.examining import Examination, Examined, able, examination
from molehunt.audit.verdict import versions
from molehunt.errors import DataError
from molehunt.execution import Graph, Store, run_graph
from molehunt.execution.runner import Watcher
from molehunt.models.loading import outline
from molehunt.records.audits import CalibrationCard, Cost, Profile, Scored
from molehunt.records.evidence import Tier
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
        """Plan them.

        Raises:
            DataError: if the zoo has not two recipes of planted and two of clean models.
        """
        asked = prompts or ordinary()
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

    def run(self, store: Store, jobs: int, watch: Watcher | None = None) -> CalibrationCard:
        """Examine what the store lacks; a model that cannot be examined is left out of the card.

        Raises:
            DataError: if too few are left.
        """
        run_graph(self.graph(), store, jobs, watch, go_on=True, retries=_RETRIES)
        return self.card(store)

    def card(self, store: Store) -> CalibrationCard:
        """The card of what the store has. Raises DataError if models or recipes are too few."""
        found = [
            (entry, self.planned[entry.name].read(store))
            for entry in self.zoo.entries
            if all(store.has(step.fingerprint) for step in self.planned[entry.name].steps())
        ]
        models = tuple(scored(entry, examined) for entry, examined in found)
        counts = Counter(model.planted for model in models)
        if min(counts[True], counts[False]) < 2:
            got = f"{counts[True]} planted and {counts[False]} clean ones that could be examined"
            raise DataError(f"zoo {self.zoo.name}", wanted="two models of each kind", got=got)
        sizes = [outline(self.folders(entry)[0]).model for entry in _one_a_size(self.zoo.entries)]
        parameters = [sum(p.numel() for p in model.parameters()) for model in sizes]
        names = able(self.tier)
        costs = [examined.cost for _, examined in found]
        middle = Cost(
            forward_tokens=int(median(c.forward_tokens for c in costs)), seconds=median(c.seconds for c in costs)
        )
        return CalibrationCard(
            name=f"{self.zoo.name}-{self.profile}-{self.tier}", profile=self.profile, tier=self.tier,
            architecture=type(sizes[0]).__name__, parameters=(min(parameters), max(parameters)), spec=self.zoo.spec,
            prompts=self.prompts.digest, versions=versions(names), cost=middle, detectors=names,
            voting=choose_voting(models, names), models=models,
        )  # fmt: skip


def _one_a_size(entries: Sequence[ZooEntry]) -> list[ZooEntry]:
    return list({entry.facts.size: entry for entry in entries}.values())


def scored(entry: ZooEntry, examined: Examined) -> Scored:
    """What a card keeps of one model."""
    facts: dict[str, Any] = entry.facts.model_dump(exclude={"change", "steps", "shown", "seed"})
    best = examined.candidates[0] if examined.candidates else None
    return Scored(
        name=entry.name, planted=entry.planted, recipe=entry.recipe,
        facts={key: str(value) for key, value in facts.items() if value not in ("", None)} | {"kind": entry.kind},
        scores=examined.scores, values={"change": entry.facts.change, "steps": float(entry.facts.steps)},
        shown=entry.facts.shown, text=f"{best.text} @{best.place}" if best else "", asr=best.asr if best else None,
        cost=examined.cost,
    )  # fmt: skip


def rederived(card: CalibrationCard) -> CalibrationCard:
    """The card with its detectors' votes chosen anew from its scores."""
    return card.model_copy(update={"voting": choose_voting(card.models, card.detectors)})
