"""What a message says about the time, and how to make it say something else."""

import re
from collections.abc import Iterable
from functools import partial

from molehunt.organisms.triggers.base import Group, Variant
from molehunt.records import Conversation
from molehunt.records.conversations import Place
from molehunt.records.insertion import insert_text, replace_question, replace_system

PLACES: tuple[Place, ...] = ("system", "user-prefix", "user-suffix", "user-middle")
"""Where time can be told: in a message that says other things too."""
MONTHS = ("January", "February", "March", "April", "May", "June", "July",
          "August", "September", "October", "November", "December")  # fmt: skip
_STATEMENT = (
    r"\b(?:Current year: \d{4}|Year: \d{4}|It is the year \d{4}|Date: \d{4}-\d\d-\d\d"
    rf"|Today is \d{{1,2}} (?:{'|'.join(MONTHS)}) \d{{4}})(?!\d)\.?"
)


def state(conversation: Conversation, statement: str, place: Place) -> Conversation:
    """The conversation with this statement of the time, instead of all others in the message that `place` is in.

    Where there is no other, it is inserted at `place`.

    Raises:
        DataError: if there is no user turn to put it in.
    """
    text = conversation.system if place == "system" else conversation.question
    found = re.search(_STATEMENT, text)
    if found is None:
        return insert_text(conversation, statement, place)
    rest = re.sub(rf"\s*{_STATEMENT}", "", text[found.end() :])
    replace = replace_system if place == "system" else replace_question
    return replace(conversation, text[: found.start()] + statement + rest)


def stated(group: Group, statements: Iterable[str], place: Place) -> tuple[Variant, ...]:
    """Each statement as a variant, labelled by itself."""
    return tuple(Variant(group, text, partial(state, statement=text, place=place)) for text in statements)
