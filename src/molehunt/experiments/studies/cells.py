"""The steps of one arm on one seed, shared with every other cell that decides the same."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from molehunt.errors import StudyError
from molehunt.execution import Graph, Needs, Step, Store
from molehunt.experiments.recipes import (
    PlantSettings,
    base_step,
    data_step,
    examine_step,
    measure_step,
    plant_step,
    relearn_step,
    remove_step,
    reverse_step,
)
from molehunt.experiments.studies.design import StudyArm, arms
from molehunt.experiments.studies.setup import Setup, seeded
from molehunt.records.base import canonical_json
from molehunt.records.studies import Probes, Study
from molehunt.removal.procedures import get_procedure

DATA_LIMIT = 1_000_000


@dataclass(frozen=True)
class Branch:
    """One model (organism or its clean twin) through an arm."""

    planted: Step
    treated: Step
    measured: Step
    reversed: Step | None = None
    measured_reversed: Step | None = None
    relearned: Step | None = None

    def steps(self) -> Iterator[Step]:
        """Those that there are, in the order in which they need each other."""
        yield from filter(None, vars(self).values())


@dataclass(frozen=True)
class Cell:
    """One arm on one seed."""

    arm: StudyArm
    seed: int
    organism: Branch
    twin: Branch
    measured_before: Step
    """The organism before the removal."""
    teamed_before: Step | None = None
    teamed: Step | None = None

    def steps(self) -> Iterator[Step]:
        """All steps of the cell."""
        yield from (self.measured_before, *self.organism.steps(), *self.twin.steps())
        yield from filter(None, (self.teamed_before, self.teamed))

    def told(self) -> Iterator[Step]:
        """Those whose artifacts a result is made from: what was seen of the models, and what was counted in their training."""
        yield from (self.organism.planted, self.organism.treated)
        yield from filter(None, (self.measured_before, self.teamed_before, self.teamed))
        for branch in (self.organism, self.twin):
            yield from filter(None, (branch.measured, branch.measured_reversed, branch.relearned))


class Cells:
    """All cells of a study; equal steps are one object, so that planning thousands stays quick.

    Raises:
        StudyError: if two arms differ only in what no step of this study reads.
    """

    def __init__(self, study: Study, store: Store, needs: Needs | None = None) -> None:
        self.study, self.store, self.needs = study, store, needs
        self.arms = arms(study)
        self._known: dict[str, Step] = {}
        self._bases: dict[tuple[str, int], Step] = {}
        self._shared: dict[tuple[str, ...], Step] = {}
        self.cells = [self._cell(arm, seed) for arm in self.arms for seed in study.seeds]
        self._check_idle()

    def graph(self) -> Graph:
        """Every step; those that others wait for come first."""
        return Graph(step for cell in self.cells for step in cell.steps())

    def _check_idle(self) -> None:
        known: dict[frozenset[str], str] = {}
        for cell in self.cells:
            if cell.seed != self.study.seeds[0]:
                continue
            does, arm = frozenset(step.fingerprint for step in cell.steps()), cell.arm.id
            if does in known:
                raise StudyError(
                    f"study {self.study.name}", wanted="arms that do something different", got=f"the same for {known[does]} and {arm}",
                    do="add the probe that reads what the factor sets, or leave the factor out",
                )  # fmt: skip
            known[does] = arm

    def of(self, arm: StudyArm) -> list[Cell]:
        """An arm's cells, seed by seed."""
        return [cell for cell in self.cells if cell.arm is arm]

    def _cell(self, arm: StudyArm, seed: int) -> Cell:
        setup = seeded(arm.setup, seed)
        base = self._base(setup, self.study.seeds[0] if self.study.shared_base else seed)
        organism, twin = self._plant(base, setup, "organism"), self._plant(base, setup, "twin")
        asked = setup.measure.model_dump(mode="json")
        probes = self.study.probes
        branch = self._branch(setup, organism, organism, probes)
        return Cell(
            arm=arm,
            seed=seed,
            organism=branch,
            twin=self._branch(setup, twin, organism, probes),
            measured_before=self._measure_before(organism, asked),
            teamed_before=self._team(setup, organism, organism) if probes.red_team else None,
            teamed=self._team(setup, branch.treated, organism) if probes.red_team else None,
        )

    def _measure_before(self, organism: Step, asked: dict[str, Any]) -> Step:
        key = ("measured", organism.fingerprint, canonical_json(asked))
        if key not in self._shared:
            label = f"measure {organism.label}"
            self._shared[key] = self._one(measure_step(organism, organism, asked, label=label))
        return self._shared[key]

    def _team(self, setup: Setup, model: Step, organism: Step) -> Step:
        how = setup.red_team.model_dump(mode="json")
        return self._one(examine_step(model, organism, red_team=how, label=f"red team on {model.label}"))

    def _branch(self, setup: Setup, model: Step, organism: Step, probes: Probes) -> Branch:
        asked, treated = setup.measure.model_dump(mode="json"), self._treat(setup, model)
        training = setup.removal.training
        source = model if training.checkpoints and get_procedure(setup.removal.procedure).trains else None
        measured = self._measure(treated, organism, asked, source, setup)
        back = again = None
        if probes.reversal:
            steps = setup.reversal.steps
            settings = training.model_copy(update={"steps": steps, "tokens": None, "checkpoints": ()})
            back = reverse_step(
                treated, settings.model_dump(mode="json"), setup.removal.rows, f"reversal of {treated.label}"
            )
            back = self._one(back)
            again = self._measure(back, organism, asked, None, setup)
        relearned = None
        if probes.relearning:
            how = setup.relearning.model_dump(mode="json")
            relearned = self._one(relearn_step(treated, organism, how, f"relearning after {treated.label}"))
        return Branch(model, treated, measured, back, again, relearned)

    def _base(self, setup: Setup, seed: int) -> Step:
        key = (setup.base.model, seed)
        if key not in self._bases:
            self._bases[key] = self._one(base_step(key[0], self.store, seed).told(label=f"base {key[0]} {seed}"))
        return self._bases[key]

    def _plant(self, base: Step, setup: Setup, kind: Literal["organism", "twin"]) -> Step:
        made = setup.organism
        key = (base.fingerprint, kind, made.model_dump_json())
        if key in self._shared:
            return self._shared[key]
        settings = PlantSettings(**made.model_dump(mode="json", exclude={"data", "trigger"}), trigger=str(made.trigger))
        data = self._one(data_step(made.data, DATA_LIMIT)) if made.data else None
        step = plant_step(base, settings, kind, data)
        self._shared[key] = self._one(step.told(label=f"{kind} {step.fingerprint[:6]}"))
        return self._shared[key]

    def _treat(self, setup: Setup, model: Step) -> Step:
        budget = setup.removal.model_dump(mode="json", exclude={"procedure", "data"})
        needs = get_procedure(setup.removal.procedure).needs_score
        below = model.parents["base"] if setup.removal.attach != "merge" else None
        data = self._one(data_step(setup.removal.data, DATA_LIMIT)) if setup.removal.data else None
        behaviour = setup.organism.behaviour if needs else None
        label = f"{setup.removal.procedure} on {model.label}"
        return self._one(remove_step(model, setup.removal.procedure, budget, label, below, behaviour, data))

    def _measure(self, trained: Step, organism: Step, asked: dict[str, Any], source: Step | None, setup: Setup) -> Step:
        attach = setup.removal.attach
        return self._one(measure_step(trained, organism, asked, source, attach, f"measure {trained.label}"))

    def _one(self, step: Step) -> Step:
        known = self._known.get(step.fingerprint)
        if known is None:
            known = self._known[step.fingerprint] = step.told(needs=self.needs) if self.needs else step
        return known
