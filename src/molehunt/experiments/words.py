"""Settings made from the words of a command line: what is off is named by the option that was typed."""

import difflib
from collections.abc import Collection, Iterable
from typing import Any

from pydantic import ValidationError

from molehunt.errors import UsageError
from molehunt.removal.from_file import is_from_file
from molehunt.removal.procedure import Procedure

_OTHERWISE = {
    "learning_rate": "--lr",
    "Strength.asr": "--until-asr",
    "Strength.logprob": "--until-logprob",
    "TeacherSettings.url": "--teacher",
    "TeacherSettings.model": "--teacher-model",
    "TeacherSettings.key_env": "--teacher-key-env",
    "AttackerSettings.url": "--attacker",
    "AttackerSettings.model": "--attacker-model",
    "AttackerSettings.key_env": "--attacker-key-env",
}
"""Options whose name is not their setting's."""
_ALIKE = frozenset(
    [
        "attach",
        "batch",
        "checkpoints",
        "contrast",
        "copies",
        "elsewhere",
        "kl",
        "loss_on",
        "max_new_tokens",
        "method",
        "optimizer",
        "order",
        "poison_rate",
        "policy_filter",
        "precision",
        "probes",
        "processes",
        "prompts",
        "rank",
        "reasoning",
        "rounds",
        "rows",
        "schedule",
        "seed",
        "steps",
        "strength",
        "targets",
        "temperature",
        "tokens",
        "weight_decay",
    ]
)
_TRAINING = ("--lr", "--schedule", "--steps", "--tokens", "--method", "--rank", "--targets", "--attach", "--optimizer",
             "--batch", "--rows", "--processes")  # fmt: skip


def flag_of(field: str, kind: str = "") -> str:
    """The option that sets a field of the settings called `kind`; "" if none does."""
    field = field.partition(".")[0]
    same = f"--{field.replace('_', '-')}" if field in _ALIKE and kind != "Strength" else ""
    return _OTHERWISE.get(f"{kind}.{field}") or _OTHERWISE.get(field) or same


def checked(kind: Any, **values: Any) -> Any:
    """`kind(**values)`.

    Raises:
        UsageError: naming the first field that is off, by its option where it has one.
    """
    try:
        return kind(**values)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or kind.__name__
        flag = flag_of(field, kind.__name__)
        what = f"{flag} (setting {field})" if flag else f"setting {field}"
        wanted = first["msg"].removeprefix("Input should be ")
        raise UsageError(what, wanted=wanted, got=repr(first["input"])) from None


def check_said(procedure: Procedure, spec: str, said: Collection[str]) -> None:
    """Raises UsageError if an option was given that the procedure would pass over in silence.

    A procedure of the user's own may look at any of them.

    Args:
        spec: what the procedure was called by.
        said: the options that were given, such as "--strength".
    """
    if is_from_file(spec):
        return
    passed_over = {
        "--strength": (procedure.trains, "weight_noise, pruning or quantisation"),
        "--rounds": (not procedure.sends_red_team, "a procedure that sends a red team, such as adversarial"),
        "--probes": (not procedure.sends_red_team, "a procedure that sends a red team, such as adversarial"),
        "--kl": (not procedure.reinforces, "rlhf"),
    } | dict.fromkeys(_TRAINING, (not procedure.trains, "a procedure that trains"))  # fmt: skip
    for flag, (is_idle, wanted) in passed_over.items():
        if is_idle and flag in said:
            raise UsageError(flag, wanted=wanted, got=f"--procedure {procedure.name}", do="leave it out")


def integers(text: str) -> tuple[int, int]:
    """(smallest, largest) of a range such as 2-6, or of one number.

    Raises:
        UsageError: if it is neither.
    """
    low, dash, high = text.partition("-")
    if not (low.isdecimal() and (high.isdecimal() or not dash)):
        raise UsageError(f"--copies {text}", wanted="a range such as 2-6, or one number", got=text)
    return int(low), int(high or low)


def at_least_one(flag: str, value: int) -> int:
    """The value. Raises UsageError if it is below 1."""
    if value < 1:
        raise UsageError(flag, wanted="at least 1", got=str(value))
    return value


def nearest(name: str, known: Iterable[str]) -> str:
    """What to do about an unknown name: "perhaps" the one of `known` that is most like it; "" if there are none."""
    near = difflib.get_close_matches(name, list(known), 1, 0)
    return f"perhaps {near[0]}" if near else ""
