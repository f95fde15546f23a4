"""Append to a log: one chain a worker, each record in the kernel's hands before `append` returns."""

import fcntl
import os
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

from molehunt.errors import LogError
from molehunt.logs.anchors import Anchor, AnchorLine, anchor_of
from molehunt.logs.background import Background
from molehunt.logs.chain import SCHEMA, Entry, body_text, link
from molehunt.logs.closing import file_sha256, rewrite, rewrite_apart
from molehunt.logs.copies import copy_closed
from molehunt.logs.recovery import standing
from molehunt.logs.redaction import Encryption, Redaction
from molehunt.logs.segments import Head, Segment, SignedHead, head_digest, worker_folder, write_aside
from molehunt.logs.segments import segments as all_segments
from molehunt.records.signing import SigningKey

Durability = Literal["process", "disk"]
_TICK = 1.0
"""Seconds between two looks at whether a segment is due."""


class RecordRef(NamedTuple):
    """Where a record is."""

    worker: str
    segment: int
    seq: int
    hash: str


class LogWriter:
    """The one writer of a worker's chain; safe to use from several threads, not across a fork.

    Args:
        folder: of the log; made with mode 0700 if it is missing.
        worker: name of the chain; a second writer of the same chain is refused.
        key: signs the heads of segments; without one they are not signed.
        segment_records, segment_bytes, segment_seconds: a segment is closed once it has any of these.
        anchors: paths of files, URLs of webhooks, or anchors: told whenever a segment is closed.
        durability: "process": a record survives the death of the process once `append` returns. "disk": of the machine too;
            appends of several threads share one flush.
        apart: rewrite closed segments in a process of its own.
        copies: a URL that fsspec knows, where closed segments are copied to.

    Raises:
        LogError: if the log cannot be written, has another writer, or its files leave no chain to go on with.
    """

    def __init__(
        self,
        folder: Path | str,
        worker: str,
        *,
        key: SigningKey | None = None,
        segment_records: int = 50_000,
        segment_bytes: int = 64 << 20,
        segment_seconds: float = 3600.0,
        anchors: Sequence[str | Path | Anchor] = (),
        redaction: Redaction | None = None,
        encryption: Encryption | None = None,
        durability: Durability = "process",
        apart: bool = True,
        copies: str = "",
    ) -> None:
        self.worker, self.folder = worker, worker_folder(Path(folder), worker)
        self._key, self._anchors = key, tuple(anchor_of(place) for place in anchors)
        self._most = (segment_records, segment_bytes, segment_seconds)
        self._redaction, self._encryption = redaction, encryption
        self._is_synced, self._rewrite = durability == "disk", rewrite_apart if apart else rewrite
        self._copies, self._pid = copies, os.getpid()
        self._lock, self._sync_lock, self._synced = threading.RLock(), threading.Lock(), -1
        self._handle, self._is_torn, self._is_closed = -1, False, False
        with _told(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._guard = _only_writer(self.folder)
            self._begin()
        self._background = Background(self._roll_if_due, _TICK)
        self._finish_older()

    def __enter__(self) -> "LogWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def trouble(self) -> str:
        """What went wrong behind the scenes last (closing a segment, telling an anchor); empty if nothing is wrong."""
        return self._background.trouble

    def append(self, event: str, body: Mapping[str, Any]) -> RecordRef:
        """Write one record; when this returns it is in the log.

        Raises:
            LogError: if it could not be written whole (a full disk); then nothing of it is left, and the next one may succeed.
            DataError: if the body is no JSON object.
        """
        if self._redaction:
            body = self._redaction.apply(body)
        text = body_text(event, self._encryption.seal(body) if self._encryption else body)
        with self._lock, _told(self.folder):
            if self._is_closed or self._pid != os.getpid():
                got = "a closed one" if self._is_closed else "one of another process"
                raise LogError(f"log {self.folder}", wanted="an open writer", got=got)
            if self._is_full():
                self._roll()
            ref = self._write(event, text)
        if self._is_synced:
            self._sync(ref.seq)
        return ref

    def roll(self) -> None:
        """Close the open segment and begin the next, unless nothing is in it."""
        with self._lock, _told(self.folder):
            if self._count > 1 and not self._is_closed:
                self._roll()

    def anchor(self) -> AnchorLine:
        """Tell the anchors the last hash now, in the middle of a segment; returns what is told."""
        with self._lock:
            line = AnchorLine(
                worker=self.worker, segment=self._segment.number, seq=self._seq - 1, hash=self._prev, time=_now()
            )
        self._tell(line)
        return line

    def close(self) -> None:
        """Finish what is under way, close the open segment, and let another writer have the chain.

        Raises:
            LogError: if the last anchor could not be told, or the last segment not be closed; the next writer does it then.
        """
        if self._is_closed:
            return
        self._background.stop()
        with self._lock, _told(self.folder):
            self._is_closed = True
            try:
                if self._count > 1:
                    self._finish(self._segment, self._close_segment())
            finally:
                os.close(self._handle)
                os.close(self._guard)

    # One segment -----------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        stands = standing(self.folder, self.worker)
        self._segment = Segment(self.folder, self.worker, stands.segment)
        self._seq, self._prev, self._previous = stands.seq, stands.prev, stands.previous
        self._first, self._last, self._size = stands.first, stands.last, stands.size
        self._count = stands.seq - stands.first.seq if stands.first else 0
        self._open()
        if stands.torn:
            self._write("mended", body_text("mended", vars(stands.torn)))

    def _open(self) -> None:
        """Open the current segment's file; its first record names the head before it."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._handle = os.open(self._segment.lines, flags, 0o600)
        self._opened = time.monotonic()
        if self._count == 0:
            os.ftruncate(self._handle, 0)
            body = {"log": SCHEMA, "worker": self.worker, "segment": self._segment.number, "previous": self._previous}
            self._write("segment", body_text("segment", body))

    def _write(self, event: str, body: str) -> RecordRef:
        self._cut_torn()
        now = _now()
        entry = Entry(self._seq, now, event, body, self._prev, link(self._prev, body, event, self._seq, now))
        data = (entry.line() + "\n").encode("utf-8")
        self._is_torn = True
        written = os.write(self._handle, data)
        while written < len(data):  # a disk that is nearly full takes a part; asking again says why
            written += os.write(self._handle, data[written:])
        vars(self).update(  # in one step, between two of which a Ctrl-C might fall and leave a count that is not the file's
            _is_torn=False, _size=self._size + len(data), _seq=entry.seq + 1, _prev=entry.hash, _last=entry, _count=self._count + 1,
            _first=self._first or entry,
        )  # fmt: skip
        return RecordRef(self.worker, self._segment.number, entry.seq, entry.hash)

    def _cut_torn(self) -> None:
        """Take off what a write that failed or was broken off has left: nobody was told that it is in the log."""
        if self._is_torn:
            os.ftruncate(self._handle, self._size)
            self._is_torn = False

    def _sync(self, seq: int) -> None:
        """Returns once the record is on disk; who waits for another's flush that began after its own write needs no own."""
        with self._sync_lock:
            if self._synced >= seq:
                return
            with self._lock, _told(self.folder):
                target, handle = self._seq - 1, os.dup(self._handle)
            try:
                with _told(self.folder):
                    os.fdatasync(handle)
            finally:
                os.close(handle)
            self._synced = target

    def _is_full(self) -> bool:
        records, size, seconds = self._most
        return self._count > 1 and (
            self._count >= records or self._size >= size or time.monotonic() - self._opened >= seconds
        )

    def _roll_if_due(self) -> None:
        with self._lock, _told(self.folder):
            if not self._is_closed and self._is_full():
                self._roll()

    def _roll(self) -> None:
        head = self._close_segment()
        closed = self._segment
        self._segment = Segment(self.folder, self.worker, closed.number + 1)
        self._previous, self._first, self._count, self._size = head_digest(head), None, 0, 0
        os.close(self._handle)
        self._handle = -1
        self._open()
        self._background.put(lambda: self._finish(closed, head))

    def _close_segment(self) -> Head:
        """Write the head of the current segment, whose records are all on disk then."""
        assert self._first is not None
        assert self._last is not None
        self._cut_torn()
        if self._is_synced:
            os.fdatasync(self._handle)
        head = Head(
            worker=self.worker, segment=self._segment.number, first_seq=self._first.seq, count=self._count, first_prev=self._first.prev,
            first_hash=self._first.hash, last_hash=self._last.hash, first_time=self._first.time, last_time=self._last.time,
            previous=self._previous,
        )  # fmt: skip
        write_aside(self._segment.head_file, SignedHead.of(head, self._key).canonical() + "\n", self._is_synced)
        return head

    # Behind the scenes -----------------------------------------------------------------------------------------------

    def _finish_older(self) -> None:
        """What a crash left undone: files that are not whole, closed segments that are not rewritten."""
        for half in self.folder.glob(".0*"):
            half.unlink(missing_ok=True)
        for segment in all_segments(self.folder):
            signed = segment.head()
            if signed and segment.lines.exists():
                self._background.put(lambda segment=segment, head=signed.head: self._finish(segment, head))  # type: ignore[misc]

    def _finish(self, segment: Segment, head: Head) -> None:
        """Tell the anchors, rewrite the segment, write down the digest of the file, and copy it elsewhere.

        The last segment of a writer keeps its lines until the next writer comes: the digest of the file has to stand in the chain.
        """
        line = AnchorLine(
            worker=self.worker, segment=head.segment, seq=head.first_seq + head.count - 1, hash=head.last_hash,
            head=head_digest(head), time=_now(),
        )  # fmt: skip
        self._tell(line)
        if not self._is_closed:
            self._rewrite(segment.lines, segment.table)
            self._sync(self._note("closed", {"segment": segment.number, "sha256": file_sha256(segment.table)}).seq)
            segment.lines.unlink(missing_ok=True)
        if self._copies:
            copy_closed(segment, self._copies)

    def _tell(self, line: AnchorLine) -> None:
        for anchor in self._anchors:
            try:
                anchor.put(line)
            except LogError as error:
                if self._is_closed:
                    raise
                self._note("anchor-failed", {"seq": line.seq, "hash": line.hash, "error": str(error)})

    def _note(self, event: str, body: Mapping[str, Any]) -> RecordRef:
        """Write what the log says of itself; it closes no segment, or closing one might never come to an end."""
        with self._lock, _told(self.folder):
            return self._write(event, body_text(event, body))


class _told:
    """Says what the operating system refused as LogError."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError) and not isinstance(error, LogError):
            got = error.strerror or str(error)
            raise LogError(f"log {self.folder} cannot be written", wanted="room and leave to write", got=got) from error


def _only_writer(folder: Path) -> int:
    handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        got = "another that is writing"
        raise LogError(
            f"log {folder}", wanted="no other writer of this chain", got=got, do="name another worker"
        ) from None
    return handle


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")[:-6] + "Z"
