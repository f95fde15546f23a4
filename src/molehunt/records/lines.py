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


def read_end(path: Path, kind: type[R]) -> list[R]:
    """The records at the end of a file that begin with the same field: of the last checkpoint, where that comes first."""
    lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    first = lines[-1].partition(",")[0] + "," if lines else ""
    return [kind.model_validate_json(line) for line in lines if line.startswith(first)]
