"""What lies in a folder and the digest of each file: read by as many threads as there are cores, refused if it changes meanwhile."""

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from molehunt.errors import SigningError
from molehunt.provenance.listing import cache_blobs
from molehunt.records.identity import SIGNATURE, is_part

ONE_FILE = "."
"""The name of a file that is signed by itself, in its own manifest."""
_BATCH_BYTES, _BATCH_FILES = 8 << 20, 64
"""Small files are handed to a thread together: so many at most."""
_TINY = 4 << 10
"""Bytes up to which a piece is hashed by the thread that asks: threads would hand the interpreter back and forth for longer than it takes."""
_BUFFER = 1 << 20


@dataclass(frozen=True)
class Method:
    """How a folder is cut into pieces that are hashed."""

    hash_type: str = "sha256"
    """sha256, blake2b or blake3."""
    shard_size: int | None = None
    """Bytes of a piece; None hashes every file whole."""


WHOLE_FILES = Method()
"""The serialization that a model's identity is defined by."""


@dataclass
class Contents:
    """The files of a folder, or one file, as they were when they were looked at."""

    path: Path
    follow_links: bool = False
    files: dict[str, str] = field(default_factory=dict)
    """Places of the regular files by POSIX path in the folder; where a link that is followed leads. Version control and signature are left out."""
    odd: dict[str, str] = field(default_factory=dict)
    """What cannot be signed, and what it is."""
    marks: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """Device, inode, size, and both times in ns: another one is another file, or a changed one."""

    @property
    def bytes(self) -> int:
        """Of all files together."""
        return sum(self.marks[name][2] for name in self.files)


def look(path: Path, follow_links: bool = False) -> Contents:
    """List a folder or a file without reading it.

    Links of the Hugging Face cache are followed, all others are odd.

    Args:
        follow_links: also follow links to files that stay in the folder.

    Raises:
        SigningError: if there is nothing, or it cannot be listed.
    """
    found = Contents(path, follow_links)
    try:
        if path.is_dir():
            _fill(found, str(path), "", cache_blobs(path))
        else:
            _add(found, ONE_FILE, str(path), path.stat())
    except OSError as error:
        raise SigningError(f"{error.filename or path}", wanted="a folder or file", got=_words(error)) from None
    return found


def hash_contents(contents: Contents, method: Method = WHOLE_FILES) -> dict[str, bytes]:
    """The raw digest of every piece, by its name: that of its file, or `FILE:START:END`.

    Raises:
        SigningError: if a file cannot be read, or anything changed while this went on.
    """
    pool = ThreadPoolExecutor(_cores())
    try:
        hashed, tiny = _hash_batch(method), [piece for size, piece in _pieces(contents, method) if size <= _TINY]
        larger = ((size, piece) for size, piece in _pieces(contents, method) if size > _TINY)
        waiting = pool.map(hashed, _batches(larger))
        found = hashed(tiny)
        found += [one for some in waiting for one in some]
    except OSError as error:
        raise SigningError(f"{error.filename}", wanted="a file that can be read", got=_words(error)) from None
    finally:
        pool.shutdown(cancel_futures=True)
    _require_same(contents)
    return dict(found)


def _require_same(contents: Contents) -> None:
    again = look(contents.path, contents.follow_links)
    if again != contents:
        both = (contents.marks.items() ^ again.marks.items()) | (contents.odd.items() ^ again.odd.items())
        got, do = ", ".join(sorted({name for name, _ in both})[:3]), "let nothing write there, and try again"
        raise SigningError(f"{contents.path} changed while it was read", got=got, do=do)


def _fill(found: Contents, folder: str, prefix: str, blobs: Path | None) -> None:
    with os.scandir(folder) as entries:
        for entry in entries:
            name = prefix + entry.name
            if not is_part(name) and not (name == SIGNATURE and entry.is_dir(follow_symlinks=False)):
                continue
            if not _is_text(name):
                found.odd[_spelled(name)] = "a name that is no UTF-8"
            elif entry.is_symlink():
                _follow(found, name, Path(entry.path), blobs)
            elif entry.is_dir():
                _fill(found, entry.path, f"{name}/", blobs)
            else:
                _add(found, name, entry.path, entry.stat(follow_symlinks=False))


def _add(found: Contents, name: str, path: str, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        found.odd[name] = "a device, socket or pipe"
        return
    found.files[name] = path
    found.marks[name] = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _follow(found: Contents, name: str, path: Path, blobs: Path | None) -> None:
    try:
        target = path.resolve(strict=True)
    except (OSError, RuntimeError):
        found.odd[name] = "a link that leads nowhere or in a circle"
        return
    is_inside = found.follow_links and target.is_relative_to(found.path.resolve())
    if target.is_file() and ((blobs is not None and target.parent == blobs) or is_inside):
        _add(found, name, str(target), target.stat())
    else:
        found.odd[name] = "a link"


_Piece = tuple[str, str, int, int | None]
"""Name, file, where it begins, and its length; None is all of it."""


def _pieces(contents: Contents, method: Method) -> Iterator[tuple[int, _Piece]]:
    """Each with its bytes, the longest files first: what comes last must be short."""
    for name in sorted(contents.files, key=lambda name: -contents.marks[name][2]):
        path, size, step = contents.files[name], contents.marks[name][2], method.shard_size
        if step is None:
            yield size, (name, path, 0, None)
        for start in range(0, size, step) if step else ():
            end = min(start + step, size) if step else size
            yield end - start, (f"{name}:{start}:{end}", path, start, end - start)


def _batches(pieces: Iterable[tuple[int, _Piece]]) -> Iterator[list[_Piece]]:
    batch: list[_Piece] = []
    held = 0
    for size, piece in pieces:
        batch.append(piece)
        held += size
        if held >= _BATCH_BYTES or len(batch) == _BATCH_FILES:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch


def _hash_batch(method: Method) -> Callable[[list[_Piece]], list[tuple[str, bytes]]]:
    make = _maker(method.hash_type)

    def hashed(batch: list[_Piece]) -> list[tuple[str, bytes]]:
        return [(name, _hash(path, start, length, make)) for name, path, start, length in batch]

    return hashed


_SMALL = 1 << 16
"""Bytes up to which a file is read at once: for most of the files of a folder of many, that is all there is."""


def _maker(hash_type: str) -> Callable[[], Any]:
    if hash_type == "blake3":
        from blake3 import blake3

        made: Callable[[], Any] = blake3
        return made
    known: dict[str, Callable[[], Any]] = {"sha256": hashlib.sha256, "blake2b": hashlib.blake2b}
    return known[hash_type]


def _hash(path: str, start: int, length: int | None, make: Callable[[], Any]) -> bytes:
    if length is None:
        return _hash_whole(path, make)
    with open(path, "rb", buffering=0) as stream:
        stream.seek(start)
        digest, buffer = make(), memoryview(bytearray(_BUFFER))
        while length and (count := stream.readinto(buffer[: min(_BUFFER, length)])):
            digest.update(buffer[:count])
            length -= count
        return bytes(digest.digest())


def _hash_whole(path: str, make: Callable[[], Any]) -> bytes:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        digest, first = make(), os.read(handle, _SMALL)
        digest.update(first)
        if len(first) == _SMALL:
            buffer = memoryview(bytearray(_BUFFER))
            while count := os.readv(handle, [buffer]):
                digest.update(buffer[:count])
        while first and (rest := os.read(handle, _SMALL)):  # a short reading is the end, but from afar
            digest.update(rest)
        return bytes(digest.digest())
    finally:
        os.close(handle)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _is_text(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _spelled(name: str) -> str:
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _words(error: OSError) -> str:
    return error.strerror or str(error)
