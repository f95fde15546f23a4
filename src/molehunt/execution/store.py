"""The content-addressed store: one folder an artifact, whole or absent."""

import errno
import json
import os
import platform
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock
from platformdirs import user_cache_path
from pydantic import ValidationError

from molehunt.errors import CorruptArtifactError, MolehuntError, StoreError, TrainingError
from molehunt.execution.graph import Step
from molehunt.records.artifacts import ArtifactRecord, Provenance
from molehunt.records.identity import tree_digest


class Store:
    """Artifacts by fingerprint under one folder.

    Layout: `artifacts/FINGERPRINT/{artifact.json, files/…}`, and what was said about the files beside them; work in progress lies under `partial/`, and a rename
    moves it into place, so that a kill at any moment leaves either nothing or the whole. What a failed training had
    made moves to `failed/FINGERPRINT/files/…`, the last failure of a step alone, and goes when the step succeeds.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or Path(os.environ.get("MOLEHUNT_STORE") or user_cache_path("molehunt"))
        self._verified: set[str] = set()

    @property
    def place(self) -> str:
        """What `open_store` finds this store by, in any process and on any machine that sees it."""
        return str(self.root.resolve())

    def refresh(self) -> None:
        """Forget what was seen, since others may have added to it; a folder is looked at anew each time."""

    def prepare(self) -> None:
        """Make the store's folders; reading does not need them.

        Raises:
            StoreError: if they cannot be made or written.
        """
        with _disk_errors(self.root):
            for name in ("artifacts", "partial", "locks"):
                (self.root / name).mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.root / "partial"):
                pass

    def folder(self, fingerprint: str) -> Path:
        """Where the files of an artifact lie, or would lie."""
        return self._home(fingerprint) / "files"

    def beside(self, fingerprint: str) -> list[Path]:
        """Files about an artifact that are no part of it: statements, signatures."""
        return sorted(
            path for path in self._home(fingerprint).glob("*") if path.is_file() and path.name != "artifact.json"
        )

    def _home(self, fingerprint: str) -> Path:
        return self.root / "artifacts" / fingerprint

    def has(self, fingerprint: str) -> bool:
        """True if the whole artifact is here."""
        return (self._home(fingerprint) / "artifact.json").is_file()

    def is_whole(self, fingerprint: str) -> bool:
        """True if the artifact is here, and as it was stored."""
        try:
            return self.has(fingerprint) and bool(self.verify(fingerprint))
        except CorruptArtifactError:
            return False

    def record(self, fingerprint: str) -> ArtifactRecord:
        """The record of an artifact.

        Raises:
            StoreError: if there is none.
            CorruptArtifactError: if it cannot be read, or is another artifact's.
        """
        path = self._home(fingerprint) / "artifact.json"
        try:
            found = ArtifactRecord.model_validate_json(path.read_text())
        except FileNotFoundError:
            raise StoreError(
                f"no artifact {fingerprint[:12]} in {self.root}", do="look at `molehunt organism list`"
            ) from None
        except (ValidationError, UnicodeDecodeError) as error:
            raise CorruptArtifactError(f"{path} cannot be read", got=str(error).splitlines()[0]) from None
        if found.fingerprint != fingerprint:
            raise CorruptArtifactError(f"{path}", wanted="its own record", got=f"that of {found.fingerprint[:12]}")
        return found

    def verify(self, fingerprint: str) -> ArtifactRecord:
        """The record of an artifact whose files match their digest; checked once per process.

        Raises:
            CorruptArtifactError: if they do not.
        """
        record = self.record(fingerprint)
        if fingerprint not in self._verified:
            found = tree_digest(self._home(fingerprint) / "files")
            if found != record.files_digest:
                raise CorruptArtifactError(
                    f"artifact {fingerprint[:12]} ({record.label}) was changed after it was stored",
                    wanted=f"digest {record.files_digest[:12]}",
                    got=found[:12],
                    do=f"remove {self._home(fingerprint)}; the next run makes it anew",
                )
            self._verified.add(fingerprint)
        return record

    def records(self) -> Iterator[ArtifactRecord]:
        """All readable records, oldest first; one that cannot be read is made anew when its step is wanted."""
        folders = [path.parent for path in (self.root / "artifacts").glob("*/artifact.json")]
        for folder in sorted(folders, key=lambda p: (p / "artifact.json").stat().st_mtime):
            with suppress(CorruptArtifactError):
                yield self.record(folder.name)

    def find(self, prefix: str) -> str:
        """The one fingerprint that starts with `prefix`.

        Raises:
            StoreError: if there is none, or more than one.
        """
        found = sorted(name for name in self._names() if name.startswith(prefix))
        if len(found) != 1:
            wanted = f"exactly one fingerprint that starts with {prefix}"
            raise StoreError(f"{prefix} in {self.root}", wanted=wanted, got=f"{len(found)}", do="give more digits")
        return found[0]

    def _names(self) -> set[str]:
        return {path.name for path in (self.root / "artifacts").glob("*")}

    @contextmanager
    def lock(self, fingerprint: str) -> Iterator[None]:
        """Held while one process makes an artifact, so that another waits instead of doing it twice.

        It saves work and is not what keeps artifacts whole: some shared folders know no locks.
        """
        self.prepare()
        lock = FileLock(self.root / "locks" / f"{fingerprint}.lock")
        with suppress(NotImplementedError):
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def writing(self, step: Step) -> Iterator[Path]:
        """An empty folder to fill; becomes the step's artifact if the block ends without an error.

        Raises:
            TrainingError: the block's own; it then says where the files lie that were there already.
        """
        self.prepare()
        with _disk_errors(self.root, _FULL), self.partial(step.fingerprint) as aside:
            files = aside / "files"
            files.mkdir()
            started = time.monotonic()
            try:
                yield files
                self._commit(step, aside, time.monotonic() - started)
            except TrainingError as error:
                raise self._set_aside(step, aside, error) from error.__cause__

    @contextmanager
    def partial(self, fingerprint: str) -> Iterator[Path]:
        """A folder for what is not whole yet; gone after the block."""
        name = f"{fingerprint[:12]}-{os.getpid()}-{_HOST}-"
        aside = Path(tempfile.mkdtemp(prefix=name, dir=self.root / "partial"))
        try:
            yield aside
        finally:
            shutil.rmtree(aside, ignore_errors=True)

    def _commit(self, step: Step, aside: Path, seconds: float) -> None:
        record = ArtifactRecord(
            fingerprint=step.fingerprint,
            step=step.function,
            version=step.version,
            label=step.label,
            config=json.loads(json.dumps(step.config)),
            parents={role: parent.fingerprint for role, parent in step.parents.items()},
            files_digest=tree_digest(aside / "files"),
            seconds=round(seconds, 3),
            provenance=Provenance.here(),
        )
        _sync(aside)
        path = aside / "artifact.json"
        path.write_text(record.model_dump_json(indent=2))
        _sync(path)
        self.install(step.fingerprint, aside)
        shutil.rmtree(self.root / "failed" / step.fingerprint, ignore_errors=True)

    def install(self, fingerprint: str, aside: Path) -> None:
        """Rename a whole artifact into place; where no lock holds, another machine's may get there first, and stays."""
        target, replaced = self._home(fingerprint), aside.with_name(f"{aside.name}-replaced")
        self._verified.discard(fingerprint)
        with suppress(FileNotFoundError):
            os.rename(target, replaced)
        try:
            os.rename(aside, target)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        shutil.rmtree(replaced, ignore_errors=True)
        _sync(target.parent, inside=False)

    def _set_aside(self, step: Step, aside: Path, error: TrainingError) -> TrainingError:
        if not any((aside / "files").iterdir()):
            return error
        kept = self.root / "failed" / step.fingerprint
        kept.parent.mkdir(exist_ok=True)
        shutil.rmtree(kept, ignore_errors=True)
        os.rename(aside, kept)
        do = "; ".join(filter(None, (error.do, f"what there was is in {kept / 'files'}")))
        return TrainingError(error.what, wanted=error.wanted, got=error.got, do=do)

    def write_log(self, fingerprint: str, text: str) -> str:
        """Keep why a step failed. Returns where; raises OSError if that cannot be written."""
        path = self.root / "logs" / f"{fingerprint}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return str(path)

    def log(self, fingerprint: str) -> str:
        """Where it is kept why a step failed last; empty if it never did."""
        path = self.root / "logs" / f"{fingerprint}.txt"
        return str(path) if path.is_file() else ""

    def clear_partial(self) -> int:
        """Remove what killed processes left behind; returns how many folders."""
        left = [p for p in (self.root / "partial").glob("*") if p.is_dir() and not _alive(p.name)]
        for folder in left:
            shutil.rmtree(folder, ignore_errors=True)
        return len(left)


_HOST = re.sub(r"\W", "", platform.node()) or "here"


def _alive(name: str) -> bool:
    """True unless the process that wrote this is known to be gone; of another host's processes nothing is known."""
    _, pid, host, *_ = [*name.split("-"), "", "", ""]
    if host != _HOST or not pid.isdigit():
        return bool(host) and host != _HOST
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _sync(path: Path, inside: bool = True) -> None:
    for one in [path, *(path.rglob("*") if inside and path.is_dir() else [])]:
        handle = os.open(one, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


_FULL = {
    errno.ENOSPC: ("the disk is full", "free some space or choose another disk with --store"),
    errno.EDQUOT: ("the disk quota is used up", "free some space or choose another disk with --store"),
    errno.EFBIG: ("the file may not grow so large", "raise the file size limit"),
}
_CLOSED = {
    errno.EACCES: ("it may not be written", "make it writable or choose another folder with --store"),
    errno.EPERM: ("it may not be written", "make it writable or choose another folder with --store"),
    errno.EROFS: ("its disk is read-only", "choose another folder with --store"),
    errno.ENOTDIR: ("a file stands where a folder is needed", "choose another folder with --store"),
    errno.EEXIST: ("a file stands where a folder is needed", "choose another folder with --store"),
}


@contextmanager
def _disk_errors(root: Path, known: dict[int, tuple[str, str]] | None = None) -> Iterator[None]:
    """Turn errors of the operating system into sentences: all of them, or only the `known` ones."""
    try:
        yield
    except MolehuntError:
        raise
    except Exception as error:
        number = _system_error(error)
        told = (known or _FULL | _CLOSED).get(number or 0)
        if number is None or (told is None and known is not None):
            raise
        got, do = told or (getattr(error, "strerror", None) or str(error), "choose another folder with --store")
        raise StoreError(f"store {root}", wanted="a folder that can be written", got=got, do=do) from error


def _system_error(error: Exception) -> int | None:
    """The operating system's number of an error, 0 if it has none; None for any other. Libraries in Rust tell it in words alone."""
    if isinstance(error, OSError):
        return error.errno or 0
    said = re.search(r"\(os error (\d+)\)", str(error))
    return int(said[1]) if said else None
