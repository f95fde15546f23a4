"""Where a chain stands, read from its files; what a crash tore off is kept aside."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from molehunt.errors import LogError
from molehunt.logs.chain import Entry, genesis, parse
from molehunt.logs.segments import Segment, head_digest, segments


@dataclass(frozen=True)
class Torn:
    """Bytes after the last whole record."""

    file: str
    """Where they are kept."""
    size: int
    sha256: str


@dataclass(frozen=True)
class Standing:
    """The end of a chain."""

    segment: int
    """The open one, or the one to open."""
    seq: int
    """Of the next record."""
    prev: str
    """The hash that it stands on."""
    previous: str
    """Digest of the head before the open segment."""
    first: Entry | None = None
    """Of the open segment; None if nothing is in it."""
    last: Entry | None = None
    size: int = 0
    """Bytes of whole records in it."""
    torn: Torn | None = None


def standing(folder: Path, worker: str) -> Standing:
    """Where the chain of a folder stands; mends its open segment.

    Raises:
        LogError: if its last closed segment has neither head nor records to go on from.
    """
    found = list(segments(folder))
    heads = [(segment, signed.head) for segment in found if (signed := segment.head())]
    if not heads:
        begun = Standing(found[-1].number if found else 1, 0, genesis(worker), "")
    else:
        _, head = heads[-1]
        begun = Standing(head.segment + 1, head.first_seq + head.count, head.last_hash, head_digest(head))
    if found and found[-1].number > begun.segment:
        got = f"no head of {found[-1].number - 1:08d}"
        raise LogError(f"log {folder}", wanted="a chain to go on with", got=got, do="verify it, and begin another log")
    return _opened(Segment(folder, worker, begun.segment), begun)


def _opened(segment: Segment, begun: Standing) -> Standing:
    if not segment.lines.exists():
        if segment.table.exists():
            got = "a closed segment without its head"
            raise LogError(
                f"log {segment.place}", wanted="a chain to go on with", got=got, do="verify it, begin another"
            )
        return begun
    data = segment.lines.read_bytes()
    end, last = _last_whole(data)
    torn = _keep_aside(segment, data, end) if end < len(data) else None
    first = parse(data[: data.find(b"\n")].decode("utf-8", "replace")) if last else None
    if last is None:
        return Standing(begun.segment, begun.seq, begun.prev, begun.previous, torn=torn)
    return Standing(segment.number, last.seq + 1, last.hash, begun.previous, first or last, last, end, torn)


def _last_whole(data: bytes) -> tuple[int, Entry | None]:
    """Where the last record ends that is whole, and the record."""
    end = data.rfind(b"\n") + 1
    while end > 0:
        start = data.rfind(b"\n", 0, end - 1) + 1
        entry = parse(data[start : end - 1].decode("utf-8", "replace"))
        if entry and entry.hash == entry.derived():
            return end, entry
        end = start
    return 0, None


def _keep_aside(segment: Segment, data: bytes, end: int) -> Torn:
    rest = data[end:]
    sha256 = hashlib.sha256(rest).hexdigest()
    kept = segment.folder / f"torn-{segment.number:08d}-{end}-{sha256[:8]}.bin"
    kept.write_bytes(rest)
    with segment.lines.open("r+b") as stream:
        stream.truncate(end)
        os.fsync(stream.fileno())
    return Torn(kept.name, len(rest), sha256)
