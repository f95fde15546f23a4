"""The models of a registry, in a folder or at a URL: list them, hash them, move one aside."""

import errno
import hashlib
import os
from pathlib import Path
from typing import Any, Protocol

from molehunt.errors import LedgerError
from molehunt.records.identity import file_digest, is_part

QUARANTINE = ".quarantine"
_PIECE = 4 << 20
Marks = dict[str, list[Any]]
"""By file: what changes when the file does, as JSON has it; empty where nothing can tell, so that it is always read."""


class ModelPlace(Protocol):
    """Where the models of a registry lie."""

    def refresh(self, ledger: Path) -> None:
        """Bring roles and ledger into the folder from which they are read. Raises LedgerError."""
        ...

    def names(self) -> set[str]:
        """Folders of models, by their place: those with a config or weights. Raises OSError."""
        ...

    def marks(self, name: str) -> Marks | None:
        """The files of a model; None if it is not there. Raises OSError."""
        ...

    def sha256(self, name: str, file: str) -> str:
        """The SHA-256 of a file, in hex. Raises OSError."""
        ...

    def move_aside(self, name: str, stamp: str) -> str:
        """Put a model where nobody loads it from; returns where. Raises OSError."""
        ...

    def folder(self, name: str) -> Path | None:
        """The model's folder, if it is on this machine."""
        ...


class LocalModels:
    """A folder."""

    def __init__(self, registry: Path) -> None:
        self.registry = registry

    def refresh(self, ledger: Path) -> None:
        """Nothing to do: they are there."""

    def names(self) -> set[str]:
        found = set()
        for folder, folders, files in os.walk(self.registry):
            folders[:] = [name for name in folders if not name.startswith(".")]
            place = Path(folder).relative_to(self.registry).as_posix()
            if place != "." and _is_model(files):
                found.add(place)
                folders.clear()
        return found

    def marks(self, name: str) -> Marks | None:
        folder = self.registry / name
        if not folder.is_dir():
            return None
        found = {}
        for path in sorted(folder.rglob("*")):
            file = path.relative_to(folder).as_posix()
            if not is_part(file):
                continue
            if path.is_dir() if path.is_symlink() else not (path.is_dir() or path.is_file()):
                raise OSError(errno.EINVAL, f"{file} is a link to a folder, or no file at all")
            if path.is_file():
                status = path.stat()
                found[file] = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
        return found

    def sha256(self, name: str, file: str) -> str:
        return file_digest(self.registry / name / file).hex()

    def move_aside(self, name: str, stamp: str) -> str:
        aside = self.registry / QUARANTINE
        aside.mkdir(mode=0o700, exist_ok=True)
        target = aside / f"{name.replace('/', '__')}-{stamp}"
        os.rename(self.registry / name, target)
        return str(target)

    def folder(self, name: str) -> Path | None:
        return self.registry / name


class RemoteModels:
    """A URL that fsspec knows."""

    def __init__(self, url: str) -> None:
        from fsspec.core import url_to_fs

        self.url = url.rstrip("/")
        try:
            self._files, root = url_to_fs(self.url)
        except (ValueError, ImportError) as error:
            raise LedgerError(f"registry {url}", wanted="a URL that fsspec knows", got=str(error)[:120]) from None
        self._root = str(root).rstrip("/")

    def refresh(self, ledger: Path) -> None:
        self._files.invalidate_cache()
        for name in ("roles.json", "ledger.jsonl"):
            try:
                data = self._files.cat_file(f"{self._root}/{name}")
            except FileNotFoundError:
                (ledger / name).unlink(missing_ok=True)
                continue
            except OSError as error:
                raise LedgerError(f"registry {self.url}", wanted=f"its {name}", got=str(error)[:120]) from None
            if not (ledger / name).exists() or (ledger / name).read_bytes() != data:
                (ledger / name).write_bytes(data)

    def names(self) -> set[str]:
        by_folder: dict[str, list[str]] = {}
        for path in self._files.find(self._root):
            folder, _, name = self._within(path).rpartition("/")
            if folder and not any(part.startswith(".") for part in folder.split("/")):
                by_folder.setdefault(folder, []).append(name)
        found = {folder for folder, files in by_folder.items() if _is_model(files)}
        return {name for name in found if not any(name.startswith(f"{other}/") for other in found)}

    def marks(self, name: str) -> Marks | None:
        place = f"{self._root}/{name}"
        found = {
            self._within(path).removeprefix(f"{name}/"): info
            for path, info in self._files.find(place, detail=True).items()
        }
        return {file: _mark(info) for file, info in sorted(found.items()) if is_part(file)} or None

    def sha256(self, name: str, file: str) -> str:
        digest = hashlib.sha256()
        with self._files.open(f"{self._root}/{name}/{file}", "rb") as stream:
            while piece := stream.read(_PIECE):
                digest.update(piece)
        return digest.hexdigest()

    def move_aside(self, name: str, stamp: str) -> str:
        target = f"{self._root}/{QUARANTINE}/{name.replace('/', '__')}-{stamp}"
        self._files.mv(f"{self._root}/{name}", target, recursive=True)
        return str(self._files.unstrip_protocol(target))

    def folder(self, name: str) -> Path | None:
        return None

    def _within(self, path: object) -> str:
        return str(path).removeprefix(self._root).lstrip("/")


def _is_model(files: list[str]) -> bool:
    return any(name == "config.json" or name.endswith(".safetensors") for name in files)


def _mark(info: dict[str, Any]) -> list[Any]:
    """Size and whatever the place says of a version; nothing if it says nothing."""
    told = [
        str(info[key])
        for key in ("ETag", "etag", "md5Hash", "content_md5", "mtime", "LastModified", "updated")
        if info.get(key)
    ]
    return [info.get("size"), *told] if told else []
