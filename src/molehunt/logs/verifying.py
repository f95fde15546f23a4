"""Derive every hash of a log again and name the first record that is not what it was."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from molehunt.errors import LogError
from molehunt.logs.anchors import AnchorLine
from molehunt.logs.chain import Entry, genesis, parse
from molehunt.logs.closing import file_sha256, read_lines, read_rows, read_table
from molehunt.logs.columns import entry_of, row_of
from molehunt.logs.segments import Head, Segment, head_digest, segments, workers
from molehunt.records.base import Record
from molehunt.records.signing import CheckingKey, is_signed

Outcome = Literal["verified", "broken", "not fully verified"]


class LogProblem(Record):
    """The first thing in a chain that is not what it was."""

    worker: str
    segment: int
    seq: int | None
    """Of the record; None where a whole file is meant."""
    what: str

    def sentence(self) -> str:
        """One line."""
        record = "" if self.seq is None else f", record {self.seq}"
        return f"{self.worker}/{self.segment:08d}{record}: {self.what}"


class LogReport(Record):
    """What verifying found."""

    log: str
    records: int
    """Whose hashes were derived again and right."""
    segments: int
    pruned: int
    """Segments that retention removed, and whose heads still bind."""
    problems: tuple[LogProblem, ...]
    """The first of each worker's chain."""
    unanchored: dict[str, int] = Field(default_factory=dict)
    """Records after the last anchor, by worker: nobody could tell if more had followed and were cut off."""
    notes: tuple[str, ...] = ()
    """What could not be checked, and what is worth knowing."""
    gaps: int = 0
    """How many of the notes are of something that could not be checked."""

    @property
    def outcome(self) -> Outcome:
        """What is broken goes before what could not be told."""
        return "broken" if self.problems else "not fully verified" if self.unanchored or self.gaps else "verified"

    def to_json(self) -> dict[str, Any]:
        """The record as JSON values, with its outcome."""
        return {"outcome": self.outcome, **self.model_dump(mode="json")}


@dataclass
class _Chain:
    """One worker's chain on the way."""

    worker: str
    keys: Sequence[CheckingKey]
    anchors: dict[int, AnchorLine]
    prev: str
    seq: int = 0
    segment: int = 1
    previous: str = ""
    records: int = 0
    count: int = 0
    pruned: int = 0
    anchored: int = -1
    closed: dict[int, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    gaps: int = 0


class _Broken(Exception):
    def __init__(self, segment: int, seq: int | None, what: str) -> None:
        self.segment, self.seq, self.what = segment, seq, what


def verify(log: Path, keys: Sequence[CheckingKey] = (), anchors: Iterable[AnchorLine] | None = None) -> LogReport:
    """Derive every hash again, follow every chain, and compare with signatures and anchors.

    Args:
        keys: public keys, one of which must have signed each head; without any, signatures are not looked at.
        anchors: what was told elsewhere; None if there is nothing to compare with.

    Raises:
        LogError: if there is no such log.
    """
    told: dict[str, dict[int, AnchorLine]] = {}
    for line in anchors or ():
        told.setdefault(line.worker, {})[line.seq] = line
    try:
        names = sorted({*workers(log), *told})
    except LogError:
        if not told:
            raise
        names = sorted(told)  # all of it is gone
    chains = [_Chain(name, keys, told.get(name, {}), genesis(name)) for name in names]
    problems = [problem for chain in chains if (problem := _problem(log / chain.worker, chain))]
    notes = [note for chain in chains for note in chain.notes]
    notes += [] if keys else ["signatures were not checked: no key was named"]
    left = {chain.worker: chain.seq - 1 - chain.anchored for chain in chains}
    return LogReport(
        log=str(log),
        records=sum(chain.records for chain in chains),
        segments=sum(chain.count for chain in chains),
        pruned=sum(chain.pruned for chain in chains),
        problems=tuple(problems),
        unanchored={name: count for name, count in left.items() if count > 0},
        notes=tuple(notes),
        gaps=sum(chain.gaps for chain in chains),
    )


def _problem(folder: Path, chain: _Chain) -> LogProblem | None:
    try:
        _follow(folder, chain)
    except _Broken as broken:
        return LogProblem(worker=chain.worker, segment=broken.segment, seq=broken.seq, what=broken.what)
    return None


def _follow(folder: Path, chain: _Chain) -> None:
    there = folder.is_dir()
    tables = [(one, one.lines.exists()) for one in segments(folder) if one.table.exists()] if there else []
    found = list(segments(folder)) if there else []  # after that, so that the records of their closing are among these
    for segment in found:
        if segment.number != chain.segment:
            raise _Broken(chain.segment, chain.seq, "the segment is missing")
        head = _head(segment, chain, segment == found[-1])
        if head is not None and not (segment.lines.exists() or segment.table.exists()):
            _pruned(segment, head, chain)
        else:
            _records(segment, head, chain)
        chain.segment, chain.count = segment.number + 1, chain.count + 1
        chain.previous = head_digest(head) if head else ""
    if cut := [seq for seq in chain.anchors if seq >= chain.seq]:
        line = chain.anchors[max(cut)]
        raise _Broken(line.segment, chain.seq, f"the tail is cut: records up to {line.seq} were anchored")
    for segment, has_lines in tables:
        if has_lines and segment.number not in chain.closed:
            _same_rows(segment)
        elif segment.table.exists():
            _same_file(segment, chain)


def _head(segment: Segment, chain: _Chain, is_last: bool) -> Head | None:
    """The head, whose signature and place in the chain are right; None for an open segment."""
    signed = segment.head()
    anchored = {line.head for line in chain.anchors.values() if line.segment == segment.number and line.head}
    if signed is None:
        if is_last and segment.lines.exists() and not segment.head_file.exists() and not anchored:
            return None
        what = "its head was changed" if segment.head_file.exists() else "its head is missing"
        raise _Broken(segment.number, None, what)
    if chain.keys and not any(signed.is_signed_by(key) for key in chain.keys):
        raise _Broken(segment.number, None, "its head is not signed by any key that was named")
    head = signed.head
    if anchored - {head_digest(head)}:
        raise _Broken(segment.number, None, "its head is not the one that was anchored")
    wanted = (chain.worker, segment.number, chain.seq, chain.prev, chain.previous)
    if (head.worker, head.segment, head.first_seq, head.first_prev, head.previous) != wanted:
        raise _Broken(segment.number, chain.seq, "its head does not follow on the segment before")
    return head


def _records(segment: Segment, head: Head | None, chain: _Chain) -> None:
    first, begun = chain.seq, ""
    for entry in _entries(segment, chain):
        _follows(segment, entry, chain)
        if entry.seq == first:
            _begins(segment, entry, chain)
            begun = entry.hash
        _notice(segment, entry, chain)
        chain.seq, chain.prev, chain.records = entry.seq + 1, entry.hash, chain.records + 1
    if head is None:
        return
    if chain.seq - first < head.count:
        raise _Broken(segment.number, chain.seq, f"{head.count - chain.seq + first} records are cut off here")
    if (chain.seq - first, begun, chain.prev) != (head.count, head.first_hash, head.last_hash):
        raise _Broken(segment.number, chain.seq - 1, "the records are not those of the segment's head")


def _entries(segment: Segment, chain: _Chain) -> Iterator[Entry]:
    try:
        yield from _lines(segment, chain)
        return
    except FileNotFoundError:
        pass
    try:
        yield from read_table(segment.table)
    except LogError as error:
        raise _Broken(segment.number, chain.seq, f"cannot be read from here on: {error.got}") from None


def _lines(segment: Segment, chain: _Chain) -> Iterator[Entry]:
    with segment.lines.open("rb") as stream:
        for line in stream:
            if not line.endswith(b"\n"):
                chain.notes.append(f"{segment.place}: {len(line)} bytes after the last whole record")
                return
            entry = parse(line[:-1].decode("utf-8", "replace"))
            if entry is None:
                raise _Broken(segment.number, chain.seq, "not a record")
            yield entry


def _follows(segment: Segment, entry: Entry, chain: _Chain) -> None:
    if entry.seq != chain.seq:
        raise _Broken(segment.number, chain.seq, f"record {entry.seq} is in its place")
    if entry.prev != chain.prev:
        raise _Broken(segment.number, entry.seq, "it does not follow on the record before")
    if entry.hash != entry.derived():
        raise _Broken(segment.number, entry.seq, "it was changed: its hash is another")
    anchor = chain.anchors.get(entry.seq)
    if anchor is not None and anchor.hash != entry.hash:
        raise _Broken(segment.number, entry.seq, "it is not the record that was anchored")
    chain.anchored = max(chain.anchored, entry.seq) if anchor else chain.anchored


def _begins(segment: Segment, entry: Entry, chain: _Chain) -> None:
    body = entry.attributes() if entry.event == "segment" else {}
    if (body.get("segment"), body.get("worker"), body.get("previous")) != (
        segment.number,
        chain.worker,
        chain.previous,
    ):
        raise _Broken(segment.number, entry.seq, "it does not name the head of the segment before")


def _notice(segment: Segment, entry: Entry, chain: _Chain) -> None:
    """What the log says of itself."""
    try:
        _note_own(segment, entry, chain)
    except (KeyError, TypeError, ValueError):
        raise _Broken(segment.number, entry.seq, "no writer of logs writes such a record") from None


def _note_own(segment: Segment, entry: Entry, chain: _Chain) -> None:
    if entry.event == "closed":
        body = entry.attributes()
        chain.closed[int(body["segment"])] = str(body["sha256"])
    elif entry.event == "mended":
        body = entry.attributes()
        kept = segment.folder / Path(str(body["file"])).name
        if not kept.is_file() or file_sha256(kept) != body["sha256"]:
            raise _Broken(segment.number, entry.seq, f"the bytes that a crash tore off, {kept.name}, were changed")
        chain.notes.append(f"{segment.place}: a crash tore off {body['size']} bytes before record {entry.seq}")


def _pruned(segment: Segment, head: Head, chain: _Chain) -> None:
    """Go on over a segment that retention removed."""
    found = segment.pruned()
    if found is None or found.pruned.head != head_digest(head):
        raise _Broken(segment.number, chain.seq, "its records are missing, and no tombstone says that they were pruned")
    if not chain.keys:
        chain.gaps += 1
        chain.notes.append(f"{segment.place}: pruned, which only a key can attest")
    elif not any(is_signed(key, found.pruned.canonical(), found.signature) for key in chain.keys):
        raise _Broken(segment.number, chain.seq, "its tombstone is not signed by any key that was named")
    chain.seq, chain.prev, chain.pruned = head.first_seq + head.count, head.last_hash, chain.pruned + 1
    chain.anchored = max([chain.anchored, *(seq for seq in chain.anchors if seq < chain.seq)])


def _same_rows(segment: Segment) -> None:
    """A table beside its lines, which is what readers take: a segment that is being closed, or one that somebody put there."""
    try:
        for line, row in zip_longest(read_lines(segment.lines), read_rows(segment.table)):
            if line is None or row is None or row != row_of(line):
                seq = line.seq if line else row["seq"]
                raise _Broken(segment.number, seq, "its columns are not what its line says")
    except FileNotFoundError:
        return  # closed behind our back
    except LogError as error:
        raise _Broken(segment.number, None, f"cannot be read: {error.got}") from None


def _same_file(segment: Segment, chain: _Chain) -> None:
    """A closed segment is the file whose digest the chain holds; if not, its columns say where it differs."""
    if chain.closed.get(segment.number) == file_sha256(segment.table):
        return
    try:
        for row in read_rows(segment.table):
            if row_of(entry_of(row)) != row:
                raise _Broken(segment.number, row["seq"], "its columns are not what its body says")
    except LogError as error:
        raise _Broken(segment.number, None, f"cannot be read: {error.got}") from None
    raise _Broken(segment.number, None, "the file is not the one that was closed, though its records are")
