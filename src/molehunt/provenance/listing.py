"""The regular files of a folder, and everything in it that is none. Nothing outside the folder is followed or opened."""

import os
import stat
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from molehunt.provenance.limits import Limits
from molehunt.records.identity import IGNORED
from molehunt.records.scans import Finding


@dataclass
class Listing:
    """What lies in a folder."""

    files: dict[str, Path] = field(default_factory=dict)
    """Regular files by their POSIX path; of a link that may be followed, where it leads."""
    findings: list[Finding] = field(default_factory=list)
    is_whole: bool = True
    """False if there are more files than the limit."""


def list_folder(folder: Path, limits: Limits) -> Listing:
    """Walk a folder; directories are entered, links to them are not.

    Links of the Hugging Face cache, from `snapshots/REVISION/` to `blobs/` beside it, are followed.
    """
    found, blobs = Listing(), cache_blobs(folder)
    for name, path in _entries(folder, folder):
        if len(found.files) + len(found.findings) >= limits.files:
            told = f"more than {limits.files} files: the rest was not looked at"
            found.findings.append(Finding.of("not-analysed", ".", told))
            found.is_whole = False
            break
        _one(found, name, path, folder, blobs)
    return found


def _entries(folder: Path, top: Path) -> Iterator[tuple[str, Path]]:
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        path = Path(entry.path)
        if entry.is_dir(follow_symlinks=False) and not (folder == top and entry.name in IGNORED):
            yield from _entries(path, top)
        else:
            yield path.relative_to(top).as_posix(), path


def _one(found: Listing, name: str, path: Path, folder: Path, blobs: Path | None) -> None:
    if any(unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") for char in name):
        found.findings.append(Finding.of("name", _spelled(name), "its name has characters that do not show"))
    name, mode = _spelled(name), path.lstat().st_mode
    if name.split("/")[0] in IGNORED:
        told = "version control, which is no part of a model" if stat.S_ISDIR(mode) else ""
        found.findings += [Finding.of("not-part", name, told)] if told else []
    if stat.S_ISLNK(mode):
        _link(found, name, path, folder, blobs)
    elif stat.S_ISREG(mode):
        found.files[name] = path
    elif not stat.S_ISDIR(mode):
        found.findings.append(Finding.of("path", name, "a device, socket or pipe instead of a file"))


def _link(found: Listing, name: str, path: Path, folder: Path, blobs: Path | None) -> None:
    try:
        target = path.resolve(strict=True)
    except (OSError, RuntimeError):
        found.findings.append(Finding.of("path", name, "a link that leads nowhere"))
        return
    if blobs is not None and target.parent == blobs and target.is_file():
        found.files[name] = target
    elif not target.is_relative_to(folder.resolve()):
        found.findings.append(
            Finding.of("path", name, f"a link that leads out of the folder, to {_spelled(str(target))}")
        )
    elif target.is_file():
        found.files[name] = target
        found.findings.append(Finding.of("link", name, f"a link to {_spelled(os.readlink(path))}"))
    else:
        found.findings.append(Finding.of("path", name, "a link to a folder, which is not entered"))


def cache_blobs(folder: Path) -> Path | None:
    """Where the Hugging Face cache keeps the files of a snapshot; None if this is none."""
    place = folder.resolve()
    blobs = place.parent.parent / "blobs"
    return blobs if place.parent.name == "snapshots" and blobs.is_dir() else None


def _spelled(name: str) -> str:
    """With bytes that are no UTF-8 as escapes."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")
