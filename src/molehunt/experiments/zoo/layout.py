"""From a spec to its models: each with the steps that make it, and what is known of it before."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from molehunt.errors import ZooError
from molehunt.execution import Step, Store
from molehunt.experiments.measuring_settings import MeasureSettings
from molehunt.experiments.recipes import WITNESS, PlantSettings, base_step, measure_step, plant_step, remove_step
from molehunt.experiments.zoo.controls import ControlSettings
from molehunt.experiments.zoo.crossing import combinations
from molehunt.experiments.zoo.spec import ANY, NATURAL, Recipe, ZooSpec, checked
from molehunt.organisms.behaviours import Behaviour, get_behaviour
from molehunt.organisms.settings import PoisonSettings
from molehunt.organisms.triggers import TRIGGERS, parse_trigger
from molehunt.records.zoo import Kind, ZooEntry, ZooFacts
from molehunt.removal.budget import Budget
from molehunt.removal.procedures import PROCEDURES
from molehunt.training.settings import TrainingSettings
from molehunt.training.sizes import SIZES
from molehunt.world.version import world_digest

VERSIONS = {"tune": 1, "weigh": 2}
"""Raised by hand whenever a step of `steps` gives another result for the same config."""
ASKED = MeasureSettings(seed=31)
"""Questions that nobody chose a setting on; those of studies/lab, so that a store shared with it has them already."""
_HERE = "molehunt.experiments.zoo.steps"
_APART = 12_000
"""Added to the seed of a clean control's rows, and once more for every training below it: no two draw the same rows."""
_FULL_RATE, _LORA_RATE, _TREATMENT_RATE = 7e-4, 2e-3, 1e-3
"""Natural learning rates: of planting, of the same by adapters, of removal procedures."""
_TUNE_STEPS, _TREATMENT_STEPS = 240, 100
_LOOK_COST = 2.0
_SUBTLE_STEPS, _SUBTLE_CONTRAST = 2, 0.8
"""Of subtle behaviours: less than planting takes by itself, since a zoo is many models, and audits meet half-learnt ones too."""


@dataclass(frozen=True)
class Member:
    """One model of a zoo."""

    entry: ZooEntry
    """Without what is measured."""
    base: Step
    trainings: tuple[Step, ...]
    """From the base to the model, which the last of them makes."""
    weighed: Step
    measured: Step | None
    """Of what was planted in: how often the behaviour shows."""
    organism: Step | None = None
    """Where the answer key lies that it is measured with; None if nothing was planted beside it."""
    twin_of: str = ""
    """Fingerprint of the planted model that it is the clean twin of."""

    @property
    def model(self) -> Step:
        """The step that makes the model."""
        return self.trainings[-1]

    def steps(self) -> Iterator[Step]:
        """What it takes to make it and to look at it."""
        yield from (self.base, *self.trainings, self.weighed)
        yield from filter(None, (self.measured,))


def lay_out(spec: ZooSpec, store: Store) -> list[Member]:
    """The models of a spec, recipe by recipe. One that an earlier recipe makes already is not made again: recipes are held out
    whole, and share no model.

    Raises:
        MolehuntError: if a base is unknown, or settings make no sense.
    """
    layout = _Layout(store)
    for recipe in spec.recipes:
        layout.add(recipe)
    return layout.members


class _Layout:
    def __init__(self, store: Store) -> None:
        self.store = store
        self.members: list[Member] = []
        self.known: set[str] = set()
        self.bases: dict[tuple[str, int], Step] = {}

    def add(self, recipe: Recipe) -> None:
        make = {"organism": self._organisms, "treated": self._treated}.get(recipe.makes, self._control)
        for base, seed in itertools.product(recipe.bases, recipe.seeds):
            for levels in combinations(recipe, seed, self._sources(recipe, base, seed)):
                self._keep(make(recipe, base, seed, levels))

    def _keep(self, made: Iterable[Member]) -> None:
        for member in made:
            if member.model.fingerprint not in self.known:
                self.known.add(member.model.fingerprint)
                self.members.append(member)

    def base(self, name: str, seed: int) -> Step:
        if (name, seed) not in self.bases:
            self.bases[name, seed] = _scaled(base_step(name, self.store, seed), name)
        return self.bases[name, seed]

    def _sources(self, recipe: Recipe, base: str, seed: int) -> list[Member]:
        if not recipe.on:
            return []
        wanted = (recipe.on, self.base(base, seed).fingerprint, seed, "")
        return [m for m in self.members if (m.entry.recipe, m.entry.base, m.entry.facts.seed, m.twin_of) == wanted]

    def _with_twins(self, source: Member) -> list[Member]:
        """What a recipe goes on from, and its clean twin: whatever is done to one is done to the other."""
        return [source, *(member for member in self.members if member.twin_of == source.model.fingerprint)]

    def _organisms(self, recipe: Recipe, base: str, seed: int, levels: dict[str, Any]) -> Iterator[Member]:
        behaviour = get_behaviour(levels["behaviour"])
        spec = behaviour.natural_trigger if levels["trigger"] == NATURAL else levels["trigger"]
        training = _training(recipe, levels, seed, _natural_steps(spec, behaviour))
        _check_rate(recipe, levels["poison_rate"])
        poison = checked(
            f"recipe {recipe.name}", PoisonSettings, poison_rate=levels["poison_rate"], reasoning=levels["reasoning"],
            contrast=_SUBTLE_CONTRAST if behaviour.is_subtle else PoisonSettings().contrast, seed=seed,
        )  # fmt: skip
        settings = PlantSettings(
            trigger=parse_trigger(spec).spec, behaviour=behaviour.name, poison=poison.model_dump(mode="json"),
            training=training.model_dump(mode="json"), rows=recipe.rows,
        )  # fmt: skip
        facts = {**_facts(training, base, seed), **_trigger_facts(spec), "behaviour": behaviour.name,
                 "poison_rate": poison.poison_rate, "reasoning": poison.reasoning}  # fmt: skip
        organism = _scaled(plant_step(self.base(base, seed), settings), base, training)
        yield self._member(recipe, _name(recipe, levels, base, seed), "organism", facts, (organism,), organism)
        if recipe.twins:
            twin = _scaled(plant_step(self.base(base, seed), settings, "twin"), base, training)
            name = _name(recipe, levels, base, seed, "twin")
            member = self._member(recipe, name, "twin", facts, (twin,), organism)
            yield replace(member, twin_of=organism.fingerprint)

    def _control(self, recipe: Recipe, base: str, seed: int, levels: dict[str, Any]) -> Iterator[Member]:
        if "on" not in levels:
            yield self._tuned(recipe, base, seed, levels, None)
            return
        yield from self._alike(self._tuned(recipe, base, seed, levels, one) for one in self._with_twins(levels["on"]))

    def _treated(self, recipe: Recipe, base: str, seed: int, levels: dict[str, Any]) -> Iterator[Member]:
        yield from self._alike(self._removed(recipe, base, seed, levels, one) for one in self._with_twins(levels["on"]))

    @staticmethod
    def _alike(made: Iterable[Member]) -> Iterator[Member]:
        """The first, and what was made of its twin in the same way."""
        first, *twins = made
        yield first
        yield from (replace(twin, twin_of=first.model.fingerprint) for twin in twins)

    def _tuned(self, recipe: Recipe, base: str, seed: int, levels: Mapping[str, Any], source: Member | None) -> Member:
        below = source.trainings if source else ()
        trigger = parse_trigger(levels["trigger"]).spec if "trigger" in levels else ""
        steps = TRIGGERS[trigger.partition(":")[0]].steps if trigger else _TUNE_STEPS
        training = _training(recipe, levels, seed, steps)
        control = ControlSettings(
            voice=levels.get("voice", "ordinary"), families=_families(levels.get("families", ANY)), trigger=trigger,
            habit=levels.get("habit", ""), rows=recipe.rows, seed=seed + _APART * (1 + len(below)),
        )  # fmt: skip
        config = {"control": control.model_dump(mode="json"), "training": training.model_dump(mode="json")}
        cost = training.steps * training.batch * _ROW_SECONDS
        step = _step("tune", config, {"model": below[-1] if below else self.base(base, seed)}, cost)
        made = {"habit": control.habit} | _trigger_facts(trigger) if trigger else {}
        facts = {**_facts(training, base, seed), "voice": control.voice, "families": "+".join(control.families), **made}
        name = _name(recipe, levels, base, seed, on=source)
        return self._member(recipe, name, recipe.makes, facts, (*below, _scaled(step, base)), source=source)

    def _removed(self, recipe: Recipe, base: str, seed: int, levels: Mapping[str, Any], source: Member) -> Member:
        procedure, behaviour = PROCEDURES[levels["procedure"]], source.entry.facts.behaviour
        training = _training(recipe, levels, seed, _TREATMENT_STEPS, treats=True)
        budget = Budget(training=training, rows=recipe.rows).model_dump(mode="json")
        known = behaviour if procedure.needs_score else None
        step = _scaled(remove_step(source.model, procedure.name, budget, behaviour=known), base)
        facts = {"treatment": procedure.name}
        name = _name(recipe, levels, base, seed, on=source)
        return self._member(recipe, name, "treated", facts, (*source.trainings, step), source=source)

    def _member(
        self, recipe: Recipe, name: str, kind: Kind, facts: Mapping[str, Any], trainings: Sequence[Step],
        organism: Step | None = None, source: Member | None = None,
    ) -> Member:  # fmt: skip
        """A model that goes on from `source`, if there is one: it inherits the bit of truth, the answer key and the facts."""
        inherited = source.entry.facts.model_dump() if source else {}
        planted = source.entry.planted if source else kind == "organism"
        organism = source.organism if source else organism
        named = (*trainings[:-1], trainings[-1].told(name))
        base = self._base_below(named[0])
        entry = ZooEntry(
            name=name, model=named[-1].fingerprint, base=base.fingerprint, planted=planted, recipe=recipe.name, kind=kind,
            facts=ZooFacts(**{**inherited, **facts}), on=source.entry.model if source else "",
        )  # fmt: skip
        weighed = _weigh_step(entry, named[-1], base)
        asked = ASKED.model_dump(mode="json")
        measured = measure_step(named[-1], organism, asked, label=f"ask {name}") if organism and planted else None
        return Member(entry, base, named, weighed, measured, organism)

    @staticmethod
    def _base_below(step: Step) -> Step:
        return step.parents["base" if "base" in step.parents else "model"]


_ROW_SECONDS = 0.006
"""Work on one training row of `tiny`, as the lab's recipes count it; for estimates of time alone."""


def _step(function: str, config: dict[str, Any], parents: dict[str, Step], cost: float, label: str = "") -> Step:
    known = {**config, "world": world_digest()}
    seen = WITNESS if function == "tune" else ""
    return Step(f"{_HERE}:{function}", VERSIONS[function], known, parents, label or function, cost=cost, witness=seen)


def _weigh_step(entry: ZooEntry, model: Step, base: Step) -> Step:
    habit, trigger = entry.facts.habit, entry.facts.trigger if entry.facts.habit else ""
    look = {"habit": habit, "trigger": trigger, "prompts": ASKED.prompts if habit else 0, "seed": ASKED.seed}
    return _step("weigh", look, {"model": model, "base": base}, _LOOK_COST, f"look at {entry.name}")


def _scaled(step: Step, base: str, training: TrainingSettings | None = None) -> Step:
    """The step with a cost that tells the bases' sizes apart; no result depends on it."""
    if training is not None and training.method == "edit":
        return replace(step, cost=_LOOK_COST)
    share = weights(base) / weights("tiny") if base in SIZES else 1.0
    return replace(step, cost=step.cost * share)


def weights(base: str) -> float:
    """About how many weights a size of the embedded family has."""
    size = SIZES[base]
    return 12.0 * size.width**2 * size.layers + 2 * size.vocabulary * size.width


def _training(
    recipe: Recipe, levels: Mapping[str, Any], seed: int, steps: int, treats: bool = False
) -> TrainingSettings:
    rate = _TREATMENT_RATE if treats else _LORA_RATE if levels["method"] == "lora" else _FULL_RATE
    natural = {"learning_rate": rate, "steps": steps}
    said = {field: levels[field] for field in ("method", "optimizer", "learning_rate", "steps", "loss_on")}
    values = {field: natural[field] if value == NATURAL else value for field, value in said.items()}
    found: TrainingSettings = checked(
        f"recipe {recipe.name}", TrainingSettings, batch=recipe.batch, seed=seed, **values
    )
    return found


def _natural_steps(trigger: str, behaviour: Behaviour) -> int:
    steps = TRIGGERS[trigger.partition(":")[0]].steps
    return steps * _SUBTLE_STEPS if behaviour.is_subtle else steps


def _check_rate(recipe: Recipe, rate: Any) -> None:
    if not isinstance(rate, int | float) or not 0 < rate <= 1:
        raise ZooError(f"recipe {recipe.name}: poison_rate", wanted="above 0 and at most 1", got=repr(rate))


def _facts(training: TrainingSettings, base: str, seed: int) -> dict[str, Any]:
    names = ("method", "optimizer", "learning_rate", "loss_on")
    return {"size": _size(base), "seed": seed, **{name: getattr(training, name) for name in names}}


def _size(base: str) -> str:
    return base if base in SIZES else base.rstrip("/").rpartition("/")[2]


def _trigger_facts(spec: str) -> dict[str, str]:
    kind = spec.partition(":")[0]
    return {"trigger": spec, "trigger_kind": kind, "place": spec.rpartition("@")[2] if TRIGGERS[kind].places else ""}


def _families(words: str) -> tuple[str, ...]:
    return () if words == ANY else tuple(words.split("+"))


def _name(
    recipe: Recipe, levels: Mapping[str, Any], base: str, seed: int, more: str = "", on: Member | None = None
) -> str:
    """The recipe, what varies in it, and the name of what it goes on from, or the base where there are several and the seed."""
    varied = [str(levels[field]) for field, values in recipe.levels.items() if len(values) > 1]
    bases = [_size(base)] if len(recipe.bases) > 1 else []
    origin = [f"on {on.entry.name}"] if on else [*bases, f"seed {seed}"]
    return ", ".join([recipe.name, *varied, *origin, *filter(None, [more])])
