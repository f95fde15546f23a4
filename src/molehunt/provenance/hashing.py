"""What lies in a folder and the digest of each file: read by as many threads as there are cores, refused if it changes meanwhile."""

import hashlib
import os
import stat
from bisect import bisect_left
from collections.abc import Callable, Iterator
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
_FIRST, _BUFFER = 1 << 16, 1 << 20
"""Bytes that are read of a file at first, and then at a time."""


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
        hashed, pieces = _hash_batch(method), _pieces(contents, method)
        tiny = bisect_left(pieces, -_TINY, key=lambda piece: -piece[3])
        waiting = pool.map(hashed, _batches(pieces[:tiny]))
        found = hashed(pieces[tiny:])
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
            if not prefix and not is_part(name) and not (name == SIGNATURE and entry.is_dir(follow_symlinks=False)):
                continue
            if not name.isascii() and not _is_text(name):
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


_Piece = tuple[str, str, int | None, int]
"""Name, file, where it begins, if it is not all of it, and its length."""


def _pieces(contents: Contents, method: Method) -> list[_Piece]:
    """The longest first: what comes last must be short."""
    sized, step = ((name, path, contents.marks[name][2]) for name, path in contents.files.items()), method.shard_size
    found: list[_Piece]
    if step is None:
        found = [(name, path, None, size) for name, path, size in sized]
    else:
        cut = ((name, path, at, min(at + step, size)) for name, path, size in sized for at in range(0, size, step))
        found = [(f"{name}:{start}:{end}", path, start, end - start) for name, path, start, end in cut]
    return sorted(found, key=lambda piece: -piece[3])


def _batches(pieces: list[_Piece]) -> Iterator[list[_Piece]]:
    batch: list[_Piece] = []
    held = 0
    for piece in pieces:
        batch.append(piece)
        held += piece[3]
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


def _maker(hash_type: str) -> Callable[..., Any]:
    if hash_type == "blake3":
        from blake3 import blake3

        made: Callable[..., Any] = blake3
        return made
    known: dict[str, Callable[..., Any]] = {"sha256": hashlib.sha256, "blake2b": hashlib.blake2b}
    return known[hash_type]


def _hash(path: str, start: int | None, length: int, make: Callable[..., Any]) -> bytes:
    """A whole file is read to its end, wherever that is; for a small one that is told by one byte more than there should be."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        first = os.pread(handle, min(length, _FIRST) + (start is None), start or 0)
        digest = make(first)
        if len(first) != length:
            _update(digest, handle, (start or 0) + len(first), None if start is None else length - len(first))
        return bytes(digest.digest())
    finally:
        os.close(handle)


def _update(digest: Any, handle: int, at: int, left: int | None) -> None:
    buffer = memoryview(bytearray(_BUFFER))
    while left != 0 and (count := os.preadv(handle, [buffer if left is None else buffer[:left]], at)):
        digest.update(buffer[:count])
        at, left = at + count, None if left is None else left - count


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
