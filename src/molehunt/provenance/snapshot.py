"""A private copy of a model folder, hashed while it is copied: what was examined is what is loaded."""

import atexit
import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from molehunt.errors import ModelError
from molehunt.provenance.hashing import look
from molehunt.records.identity import SIGNATURE, is_part, root_of

_PIECE = 4 << 20


def snapshot(folder: Path, below: Path | None = None) -> tuple[Path, str]:
    """Copy the regular files of a model folder into a new folder that only this user can open, gone when the process ends.

    Args:
        below: where to make it; the system's temporary folder if None. It needs room for the whole model.

    Returns:
        The copy, and its root digest, of the bytes as they were written.

    Raises:
        ModelError: if there is no such folder, something in it is no regular file, or it cannot be copied.
    """
    if not folder.is_dir():
        got = "a file" if folder.exists() else "no such folder"
        raise ModelError(f"model {folder}", wanted="a model folder", got=got, do="check the path")
    try:
        copy = Path(tempfile.mkdtemp(prefix="molehunt-model-", dir=below))
        atexit.register(shutil.rmtree, copy, ignore_errors=True)
        return copy, _copied(folder, copy)
    except OSError as error:
        raise ModelError(
            f"model {folder}", wanted="room for a private copy", got=error.strerror or str(error)
        ) from None


def _copied(folder: Path, copy: Path) -> str:
    contents = look(folder, follow_links=True)
    if contents.odd:
        name, what = min(contents.odd.items())
        raise ModelError(f"model {folder}: {name}", wanted="regular files alone", got=what, do="take it out")
    digests = {name: _copy(Path(place), copy / name) for name, place in contents.files.items()}
    if (folder / SIGNATURE).is_file():
        _copy(folder / SIGNATURE, copy / SIGNATURE)
    return root_of({name: digest for name, digest in digests.items() if is_part(name)})


def _copy(source: Path, target: Path) -> bytes:
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    found = hashlib.sha256()
    with (
        source.open("rb") as reading,
        os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "wb") as writing,
    ):
        while piece := reading.read(_PIECE):
            found.update(piece)
            writing.write(piece)
    return found.digest()
