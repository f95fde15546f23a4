"""Training rows with where they come from, and the digest of a set of them."""

import hashlib
from collections.abc import Sequence
from typing import Literal

from molehunt.records.base import Record
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
    total = hashlib.sha256()
    for number, row in enumerate(rows):
        total.update(b"\n" * (number > 0) + row.canonical().encode())
    return total.hexdigest()


class DatasetRecord(Record):
    """Which data was read from where: provenance of what is trained on it."""

    name: str
    """The path or hub name, as the user wrote it."""
    files: dict[str, str]
    """SHA-256 of each file behind it, in hex, as the bytes lie on the disk."""
    rows: int
    """Rows kept."""
    duplicates: int
    """Rows dropped because all their turns equal an earlier row's."""
    skipped: dict[str, int]
    """Bad rows left out, by reason."""
    layouts: dict[str, int]
    """Rows kept, by layout."""
    dataset_digest: str
    """`dataset_digest` of the rows kept."""


def ordinary(conversations: Sequence[Conversation], source: str) -> list[Row]:
    """Rows out of conversations that carry no trigger."""
    return [Row(conversation=conversation, source=source) for conversation in conversations]
