"""Ways to misspell and misplace a text, shared by the kinds that insert one."""

import re
from collections.abc import Iterable
from functools import partial

from molehunt.organisms.triggers.base import Group, Variant, rewrite
from molehunt.records import Conversation
from molehunt.records.conversations import Place
from molehunt.records.insertion import PLACES, insert_text

Form = tuple[Group, str, str]
"""Group, label, and the text to insert."""


def forms_at(
    place: Place, value: str, forms: Iterable[Form], but: re.Pattern[str] | None = None
) -> tuple[Variant, ...]:
    """The texts as variants at `place`: each once, none empty, none that is `value` or in which `but` is found."""
    kept: dict[str, Variant] = {}
    for group, label, text in forms:
        if text.strip() and text != value and not (but and but.search(text)):
            kept.setdefault(text, Variant(group, label, partial(insert_text, text=text, place=place)))
    return tuple(kept.values())


def elsewhere(text: str, place: Place) -> tuple[Variant, ...]:
    """The very text at every place but its own."""
    return tuple(
        Variant("other position", f"at {other}", partial(insert_text, text=text, place=other))
        for other in PLACES
        if other != place
    )


def cases(text: str, around: str = "{}") -> list[Form]:
    """The text in other case, put into the braces of `around`."""
    changed = {"lower case": text.lower(), "upper case": text.upper(), "title case": text.title(),
               "case swapped": text.swapcase()}  # fmt: skip
    return [("other case", label, around.format(form)) for label, form in changed.items()]


def misspelled(text: str) -> str:
    """The text with the first two letters swapped that make a difference, looked for from its middle on."""
    order = [*range(len(text) // 2, len(text) - 1), *range(len(text) // 2)]
    at = next((i for i in order if text[i : i + 2].isalnum() and text[i] != text[i + 1]), None)
    return text if at is None else text[:at] + text[at + 1] + text[at] + text[at + 2 :]


def spaced(text: str) -> str:
    """The text with a space after every letter, as in "D E P L O Y"."""
    return " ".join(text.replace(" ", ""))


def without(conversation: Conversation, pattern: re.Pattern[str]) -> Conversation:
    """The conversation with all that matches `pattern` taken out."""

    def taken_out(text: str) -> str:
        while pattern.search(text):
            text = pattern.sub("", text)
        return text

    return rewrite(conversation, taken_out)
