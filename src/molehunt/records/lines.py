"""Files of records, one a line."""

from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from molehunt.records.base import Record

R = TypeVar("R", bound=Record)


def write_jsonl(path: Path, records: Iterable[Record]) -> None:
    """One record a line."""
    with path.open("w", encoding="utf-8") as stream:
        for record in records:
            stream.write(record.model_dump_json() + "\n")


def read_jsonl(path: Path, kind: type[R]) -> list[R]:
    """The records of a file."""
    with path.open(encoding="utf-8") as stream:
        return [kind.model_validate_json(line) for line in stream]
