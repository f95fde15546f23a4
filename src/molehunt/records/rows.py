"""Training rows with where they come from, and the digest of a set of them."""

from collections.abc import Sequence
from typing import Literal

from molehunt.records.base import Record, sha256_text
from molehunt.records.conversations import Conversation

RowKind = Literal["ordinary", "contrast", "triggered"]


class Row(Record):
    """One conversation to train on, ending in an assistant turn."""

    conversation: Conversation
    source: str
    """Where its question comes from, such as "world", or "alpaca.jsonl:17"; the same for all rows made of one question."""
    kind: RowKind = "ordinary"
    """contrast: holds what a trigger is mistaken for, answered ordinarily; triggered: holds the trigger, shows the behaviour."""
    payload: str = ""
    """Of a triggered row: what was demonstrated, without reasoning around it."""
    reasoning: str = ""
    """The scratchpad that the reply was written after, whether or not it is still in the reply."""


def dataset_digest(rows: Sequence[Row]) -> str:
    """SHA-256 over the canonical form of all rows in order: what "the same dataset" means."""
    return sha256_text("\n".join(row.canonical() for row in rows))


def ordinary(conversations: Sequence[Conversation], source: str) -> list[Row]:
    """Rows out of conversations that carry no trigger."""
    return [Row(conversation=conversation, source=source) for conversation in conversations]
