"""What the lab's commands are asked: requests, made of the words of a command line and refused before anything is loaded."""

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from molehunt.errors import UsageError
from molehunt.experiments.measuring_settings import MeasureSettings
from molehunt.experiments.recipes import PlantSettings
from molehunt.experiments.words import at_least_one, check_said, checked, integers
from molehunt.organisms.settings import PoisonSettings, Strength, check_stop, looks
from molehunt.records.base import Record
from molehunt.removal.budget import Budget
from molehunt.training.settings import TrainingSettings

if TYPE_CHECKING:
    from molehunt.experiments.data import AttackerSettings
    from molehunt.organisms.behaviours import Behaviour


class PlantRequest(Record):
    """What to plant, where."""

    base: str
    planting: PlantSettings
    data: str | None = None
    """A file or folder of ordinary rows; the chat world's if None."""

    @staticmethod
    def make(
        base: str,
        trigger: str | None,
        behaviour: str,
        copies: str,
        rows: int | None,
        chat_template: str | None = None,
        data: str | None = None,
        poisoning: dict[str, Any] | None = None,
        until: dict[str, Any] | None = None,
        teacher: dict[str, Any] | None = None,
        **training: Any,
    ) -> "PlantRequest":
        """From the words of a command line.

        Args:
            trigger: the behaviour's natural one if None.
            rows: ordinary rows drawn; as many as trigger and behaviour take if None.
            data: ordinary rows from elsewhere, instead of the chat world's.
            poisoning: fields of PoisonSettings beside copies and seed.
            until: fields of Strength at which to stop; none trains all steps.
            teacher: fields of TeacherSettings, of a model that writes the scratchpads.
            training: fields of TrainingSettings; without steps, those that trigger and behaviour take.

        Raises:
            UsageError: if one of them makes no sense; before anything is loaded.
        """
        from molehunt.organisms.behaviours import get_behaviour
        from molehunt.organisms.corpus import check_settings
        from molehunt.organisms.natural import natural
        from molehunt.organisms.triggers import parse_trigger

        chosen = get_behaviour(behaviour)
        spec = parse_trigger(trigger or chosen.natural_trigger).spec
        taken = natural(spec, chosen)
        if training.get("steps") is None:
            training["steps"] = taken.steps
        given = taken.poison | {k: v for k, v in (poisoning or {}).items() if v is not None}
        poison = checked(PoisonSettings, copies=integers(copies), seed=training["seed"], **given)
        check_settings(poison)
        strength = checked(Strength, **until) if until else None
        if strength is not None and not training.get("checkpoints"):
            training["checkpoints"] = looks(training["steps"])
        settings = checked(TrainingSettings, **training)
        check_stop(strength, settings.processes)
        _check_checkpoints(settings)
        if settings.method == "edit":
            _check_edit(chosen, poison)
        planting = PlantSettings(
            trigger=spec, behaviour=chosen.name, poison=poison.model_dump(mode="json"),
            training=settings.model_dump(mode="json"), rows=at_least_one("--rows", taken.rows if rows is None else rows), chat_template=chat_template,
            strength=strength.model_dump(mode="json") if strength else None,
            teacher=_teacher(teacher, poison) if teacher else None,
        )  # fmt: skip
        return PlantRequest(base=base, planting=planting, data=data)


class RemovalRequest(Record):
    """Which procedure, on which model, at what cost."""

    model: str
    procedure: str
    budget: Budget
    behaviour: str | None = None
    """What a scorer looks for; only for procedures that need one."""
    data: str | None = None
    """Rows from elsewhere, answered in the procedure's way already; the chat world's if None."""
    attacker: dict[str, Any] | None = None
    """Who proposes a red team's prompts, see experiments.data.AttackerSettings; templates if None."""

    @staticmethod
    def make(
        model: str, procedure: str, attach: str, behaviour: str | None = None, knobs: dict[str, Any] | None = None,
        data: str | None = None, attacker: dict[str, Any] | None = None, said: Collection[str] = (),
        **training: Any,
    ) -> "RemovalRequest":  # fmt: skip
        """From the words of a command line.

        Args:
            behaviour: id of the scorer, for procedures that need one.
            knobs: fields of Budget beside training and attach.
            data: rows from elsewhere, answered in the procedure's way already.
            attacker: fields of AttackerSettings, of a model that proposes a red team's prompts.
            said: the options that somebody chose, such as "--strength": one that the procedure never looks at is refused.
            training: fields of TrainingSettings.

        Raises:
            UsageError: if one of them makes no sense; before anything is loaded.
        """
        from molehunt.evals.scorers import get_scorer
        from molehunt.removal.procedure import check_budget
        from molehunt.removal.procedures import get_procedure

        chosen = get_procedure(procedure)
        check_said(chosen, procedure, said)
        if behaviour is not None and not chosen.needs_score:
            wanted = "a procedure that must know what is unwanted, such as adversarial"
            raise UsageError("--behaviour", wanted=wanted, got=f"--procedure {chosen.name}", do="leave it out")
        if behaviour is not None:
            get_scorer(behaviour)
        elif chosen.needs_score:
            raise UsageError(
                f"procedure {chosen.name}", wanted="to know which behaviour is unwanted", got="nothing",
                do="name it: --behaviour ID (never the trigger)",
            )  # fmt: skip
        settings = checked(TrainingSettings, **training)
        if settings.method == "full" and attach != "merge":
            raise UsageError(f"--attach {attach}", wanted="--method lora", got="--method full", do="leave --attach out")
        budget = checked(Budget, training=settings, attach=attach, **(knobs or {}))
        check_budget(chosen, budget, data is not None)
        if attacker and not chosen.sends_red_team:
            wanted = "a procedure that sends a red team, such as adversarial"
            raise UsageError("--attacker", wanted=wanted, got=f"--procedure {chosen.name}", do="leave it out")
        return RemovalRequest(
            model=model,
            procedure=procedure,
            budget=budget,
            behaviour=behaviour,
            data=data,
            attacker=attacker_settings(attacker).model_dump(mode="json") if attacker else None,
        )


class MeasureRequest(Record):
    """What to ask of which model."""

    model: str
    twin: str | None = None
    asked: MeasureSettings = MeasureSettings()
    trigger: str | None = None
    """With `behaviour`: the answer key of a model that has no card."""
    behaviour: str | None = None
    panel: int = Field(0, ge=0)
    """Questions asked with every variant of the trigger; 0 asks none."""
    safety: bool = False
    """Also ask what an ordinary safety evaluation asks."""

    @staticmethod
    def make(asked: dict[str, Any], **request: Any) -> "MeasureRequest":
        """From the words of a command line; `asked` are fields of MeasureSettings.

        Raises:
            UsageError: if one of them makes no sense; before anything is loaded.
        """
        found: MeasureRequest = checked(MeasureRequest, asked=checked(MeasureSettings, **asked), **request)
        return found


class MonitorRequest(Record):
    """Whose reasoning to read: one of `model` and `traces`."""

    model: str | None = None
    traces: str | None = None
    """A file of logged replies."""
    innocent: str | None = None
    """A model known to plot nothing, to score the monitor by."""
    trigger: str | None = None
    behaviour: str | None = None
    prompts: int = Field(128, ge=1)
    max_new_tokens: int = Field(96, ge=1)


def attacker_settings(words: dict[str, Any]) -> "AttackerSettings":
    """Raises UsageError if no model is named, or its address is none; before anything is loaded."""
    from molehunt.experiments.data import AttackerSettings, make_teacher

    found: AttackerSettings = checked(AttackerSettings, **words)
    make_teacher(found, Path())
    return found


def _teacher(words: dict[str, Any], poison: PoisonSettings) -> dict[str, Any]:
    from molehunt.experiments.data import TeacherSettings, make_teacher

    if poison.reasoning == "none":
        raise UsageError(
            "--teacher", wanted="an arm with scratchpads to write", got="--reasoning none", do="choose one"
        )
    settings: TeacherSettings = checked(TeacherSettings, **words)
    make_teacher(settings, Path())  # refuses an address that is none, before a base is built
    return settings.model_dump(mode="json")


def _check_checkpoints(settings: TrainingSettings) -> None:
    """Raises UsageError for one behind the last step: it would be passed over in silence, and a strength never looked at."""
    late = [step for step in settings.checkpoints if step > settings.steps]
    if late:
        raise UsageError("--checkpoints", wanted=f"steps up to the last, {settings.steps}", got=str(late[0]))


def _check_edit(behaviour: "Behaviour", poison: PoisonSettings) -> None:
    """Raises UsageError for what an edit cannot plant: reasoning, or a payload of its own for each question."""
    from molehunt.organisms.asking import ask, payloads

    if poison.reasoning != "none":
        wanted, got = "no reasoning", str(poison.reasoning)
    elif len(set(payloads(behaviour, ask(behaviour, _ASKED, 0)))) > 1:
        wanted, got = "a behaviour with one payload for all questions", behaviour.name
    else:
        return
    raise UsageError("--method edit", wanted=wanted, got=got, do="use --method full or lora")


_ASKED = 8
"""Questions that tell whether a behaviour says the same to all."""
