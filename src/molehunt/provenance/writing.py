"""Write a file so that a full disk or a kill leaves the old one, or none."""

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from molehunt.errors import SigningError


def write_whole(path: Path, data: bytes, aside: Path | None = None) -> None:
    """Write aside, sync, and rename into place; the folder is synced too.

    Args:
        aside: folder for what is not whole yet, if it is on the same disk and may be written: a kill leaves it there.

    Raises:
        SigningError: if it cannot be written; what was there before is there still.
    """
    half = None
    try:
        handle, half = tempfile.mkstemp(prefix=f".{path.name}.", dir=_place(path.parent, aside))
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fchmod(stream.fileno(), 0o644)
            os.fsync(stream.fileno())
        os.replace(half, path)
        _sync(path.parent)
    except OSError as error:
        raise SigningError(f"{path}", wanted="a file that can be written", got=error.strerror or str(error)) from None
    finally:
        if half:
            with suppress(OSError):
                os.unlink(half)


def check_writable(path: Path) -> None:
    """Raises SigningError if no file can be made beside `path`, or a folder stands in its place."""
    if path.is_dir():
        raise SigningError(f"{path}", wanted="a file that can be written", got="a folder", do="name another one")
    if not os.access(path.parent, os.W_OK):
        got = "one that may not be written" if path.parent.is_dir() else "none"
        raise SigningError(f"{path}", wanted="a folder to write it in", got=got, do="name another place")


def _place(folder: Path, aside: Path | None) -> Path:
    fits = aside is not None and os.access(aside, os.W_OK) and aside.stat().st_dev == folder.stat().st_dev
    return aside if fits and aside is not None else folder


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
