"""Where the segments of a log lie, and the heads that bind them.

LOG/WORKER/00000007.jsonl       the open segment, or one that is closed and not yet rewritten
LOG/WORKER/00000006.parquet     a closed one
LOG/WORKER/00000006.head.json   its head: counts, first and last hash, the head before it, a signature
LOG/WORKER/00000005.pruned.json what stands for a segment that retention removed, signed; its head stays
LOG/WORKER/torn-00000007-…      bytes that a crash tore off
LOG/HOLD                        while it is there, nothing is pruned
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import ConfigDict, Field, ValidationError

from molehunt.errors import LogError, UsageError
from molehunt.records.base import Record, sha256_text
from molehunt.records.signing import CheckingKey, Signature, SigningKey, is_signed, sign_text

R = TypeVar("R", bound=Record)
HOLD = "HOLD"
_WORKER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SEGMENT = re.compile(r"(\d{8})\.(jsonl|parquet|head\.json|pruned\.json)")


class Head(Record):
    """What a closed segment holds, in one line; its digest stands in the first record of the next segment."""

    model_config = ConfigDict(serialize_by_alias=True)
    schema_: Literal["molehunt.log-head/1"] = Field("molehunt.log-head/1", alias="schema")
    worker: str
    segment: int
    first_seq: int
    count: int = Field(ge=1)
    first_prev: str
    """The hash that the first record stands on."""
    first_hash: str
    last_hash: str
    first_time: str
    last_time: str
    previous: str
    """Digest of the head of the segment before; empty for the first."""


class SignedHead(Record):
    """A head with its signature, as it lies there."""

    head: Head
    signature: Signature | None = None

    @classmethod
    def of(cls, head: Head, key: SigningKey | None) -> "SignedHead":
        """Sign a head, if there is a key."""
        return cls(head=head, signature=sign_text(key, head.canonical()) if key else None)

    def is_signed_by(self, key: CheckingKey) -> bool:
        """True if this key signed exactly this head."""
        return is_signed(key, self.head.canonical(), self.signature)


class Pruned(Record):
    """What stands for a segment that was removed on purpose."""

    model_config = ConfigDict(serialize_by_alias=True)
    schema_: Literal["molehunt.log-pruned/1"] = Field("molehunt.log-pruned/1", alias="schema")
    head: str
    """Digest of the removed segment's head."""
    worker: str
    segment: int
    time: str
    reason: str


class SignedPruned(Record):
    """The same with its signature."""

    pruned: Pruned
    signature: Signature | None = None


@dataclass(frozen=True)
class Segment:
    """The files of one segment; which of them are there is what state it is in."""

    folder: Path
    worker: str
    number: int

    @property
    def lines(self) -> Path:
        """The open segment, one canonical JSON a line."""
        return self.folder / f"{self.number:08d}.jsonl"

    @property
    def table(self) -> Path:
        """The closed segment."""
        return self.folder / f"{self.number:08d}.parquet"

    @property
    def head_file(self) -> Path:
        """Its head; there once it is closed."""
        return self.folder / f"{self.number:08d}.head.json"

    @property
    def pruned_file(self) -> Path:
        """Its tombstone."""
        return self.folder / f"{self.number:08d}.pruned.json"

    @property
    def place(self) -> str:
        """What it is called in reports: WORKER/NUMBER."""
        return f"{self.worker}/{self.number:08d}"

    def head(self) -> SignedHead | None:
        """Its head; None if it has none, or one that is not as it was written, to the byte."""
        return _exact(self.head_file, SignedHead)

    def pruned(self) -> SignedPruned | None:
        """Its tombstone; None if it has none, or one that is not as it was written, to the byte."""
        return _exact(self.pruned_file, SignedPruned)


def _exact(path: Path, kind: type[R]) -> R | None:
    try:
        text = path.read_bytes()
        found = kind.model_validate_json(text)
    except (OSError, ValidationError):
        return None
    return found if (found.canonical() + "\n").encode() == text else None


def worker_folder(log: Path, worker: str) -> Path:
    """Where a worker's chain lies. Raises UsageError for a name that is no plain word."""
    if _WORKER.fullmatch(worker) is None:
        raise UsageError(f"worker {worker!r}", wanted="letters, digits, dots and hyphens", got="something else")
    return log / worker


def workers(log: Path) -> list[str]:
    """The names of all chains of a log. Raises LogError if there is no such folder, or nothing of a log in it."""
    if not log.is_dir():
        got = "a file" if log.exists() else "no such folder"
        raise LogError(f"log {log}", wanted="the folder of a log", got=got, do="check the path")
    found = sorted(folder.name for folder in log.iterdir() if folder.is_dir() and any(segments(folder)))
    if not found:
        raise LogError(f"log {log}", wanted="the folder of a log", got="no segments in it", do="check the path")
    return found


def segments(folder: Path) -> Iterator[Segment]:
    """The segments of a worker's folder in order, whatever is left of them."""
    numbers = {int(found[1]) for path in folder.iterdir() if (found := _SEGMENT.fullmatch(path.name))}
    return (Segment(folder, folder.name, number) for number in sorted(numbers))


def write_aside(path: Path, text: str, is_synced: bool = True) -> None:
    """Write a file aside, on disk, and rename it into place."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with aside.open("w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            if is_synced:
                os.fsync(stream.fileno())
        os.replace(aside, path)
    except OSError as error:
        raise LogError(f"log file {path}", wanted="room to write", got=error.strerror or str(error)) from error
    finally:
        aside.unlink(missing_ok=True)


def head_digest(head: Head) -> str:
    """What the next segment names a head by."""
    return sha256_text(head.canonical())
