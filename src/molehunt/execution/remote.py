"""A store behind a URL, with a folder of this machine in front of it."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from platformdirs import user_cache_path
from pydantic import ValidationError

from molehunt.errors import CorruptArtifactError, MolehuntError, StoreError
from molehunt.execution.graph import Step
from molehunt.execution.store import Store
from molehunt.records.artifacts import ArtifactRecord
from molehunt.records.base import sha256_text
from molehunt.records.identity import tree_digest

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_BESIDE = 256 << 20
"""Bytes of a file beside an artifact that is fetched."""
Place = str | Path | None
"""Of a store: a folder, a URL, or None for MOLEHUNT_STORE, else the user's cache folder."""


def open_store(place: Place = None) -> Store:
    """The store at a folder or a URL.

    Raises:
        StoreError: if the URL is one that no other process could read.
    """
    named = str(place or os.environ.get("MOLEHUNT_STORE") or "")
    if "://" in named:
        return RemoteStore(named)
    return Store(Path(named) if named else None)


class RemoteStore(Store):
    """Artifacts under any URL that fsspec knows; `root` is a cache that may be deleted at any time.

    Layout: `artifacts/FINGERPRINT/DIGEST/…` are files of that tree digest, `DIGEST.beside/…` what is said about them, and `artifacts/FINGERPRINT/artifact.json`, moved
    into place after them, says which digest counts. So there is nothing to lock: two machines that make the same artifact
    at once write the same files or, if their processors compute differently, stand side by side, and the last one counts.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        if url.startswith("memory://"):
            raise StoreError(f"store {url}", wanted="a place that other processes see", got="this process' memory")
        cache = Path(os.environ.get("MOLEHUNT_CACHE") or user_cache_path("molehunt") / "remote")
        super().__init__(cache / sha256_text(self.url)[:16])
        self._near = Store(self.root)
        self._listed: set[str] | None = None
        self._checked = False

    @property
    def place(self) -> str:
        return self.url

    def refresh(self) -> None:
        self._listed = None

    def prepare(self) -> None:
        self._near.prepare()
        if not self._checked:
            self._write(f"check-{uuid.uuid4().hex}", b"")
            self._checked = True

    def has(self, fingerprint: str) -> bool:
        """True if the whole artifact is at the URL; of all artifacts at once, so new ones show after `refresh`."""
        return fingerprint in self._names()

    def is_whole(self, fingerprint: str) -> bool:
        """True if the artifact is at the URL: who fetches it compares its digest. One that is only here is pushed first."""
        if fingerprint in (self._listed or ()) or self._exists(fingerprint):
            return True
        if not self._near.is_whole(fingerprint):
            return False
        self._push(fingerprint)
        return True

    def folder(self, fingerprint: str) -> Path:
        """Where the files of an artifact lie on this machine; fetches them.

        Raises:
            StoreError: if there is no such artifact, or it cannot be fetched.
            CorruptArtifactError: if what was fetched was changed.
        """
        self.verify(fingerprint)
        return super().folder(fingerprint)

    def verify(self, fingerprint: str) -> ArtifactRecord:
        if self._near.has(fingerprint):
            with suppress(CorruptArtifactError):
                return self._near.verify(fingerprint)
        return self._fetch(fingerprint)

    def record(self, fingerprint: str) -> ArtifactRecord:
        if self._near.has(fingerprint):
            return self._near.record(fingerprint)
        return self._far_record(fingerprint)

    def records(self) -> Iterator[ArtifactRecord]:
        near = {record.fingerprint: record for record in self._near.records()}
        yield from near.values()
        far = [self._at(name) + "/artifact.json" for name in self._names() - near.keys()]
        with self._told():
            texts = self._remote[0].cat(far, on_error="omit") if far else {}
        for text in texts.values():
            with suppress(ValidationError):
                yield ArtifactRecord.model_validate_json(text)

    @contextmanager
    def writing(self, step: Step) -> Iterator[Path]:
        with self._near.writing(step) as files:
            yield files
        self._push(step.fingerprint)

    def write_log(self, fingerprint: str, text: str) -> str:
        self._near.write_log(fingerprint, text)
        self._write(f"logs/{fingerprint}.txt", text.encode(), keep=True)
        return f"{self.url}/logs/{fingerprint}.txt"

    def log(self, fingerprint: str) -> str:
        fs, base = self._remote
        with self._told():
            return f"{self.url}/logs/{fingerprint}.txt" if fs.exists(f"{base}/logs/{fingerprint}.txt") else ""

    @cached_property
    def _remote(self) -> "tuple[AbstractFileSystem, str]":
        from fsspec.core import url_to_fs

        with self._told():
            fs, base = url_to_fs(self.url)
        return fs, base.rstrip("/")

    def _at(self, fingerprint: str) -> str:
        return f"{self._remote[1]}/artifacts/{fingerprint}"

    def _names(self) -> set[str]:
        if self._listed is None:
            fs, base = self._remote
            with self._told():
                fs.invalidate_cache()
                paths = (path.rsplit("/", 3) for path in fs.find(f"{base}/artifacts"))
                self._listed = {p[2] for p in paths if p[1] == "artifacts" and p[3] == "artifact.json"}
        return self._listed

    def _exists(self, fingerprint: str) -> bool:
        with self._told():
            self._remote[0].invalidate_cache()
            return bool(self._remote[0].exists(f"{self._at(fingerprint)}/artifact.json"))

    def _far_record(self, fingerprint: str) -> ArtifactRecord:
        with self._told():
            try:
                text = self._remote[0].cat_file(f"{self._at(fingerprint)}/artifact.json")
            except FileNotFoundError:
                raise StoreError(f"no artifact {fingerprint[:12]} in {self.url}") from None
        try:
            return ArtifactRecord.model_validate_json(text)
        except ValidationError:
            raise self._withdrawn(fingerprint, "a readable artifact.json", "something else") from None

    def _fetch(self, fingerprint: str) -> ArtifactRecord:
        self._near.prepare()
        record = self._far_record(fingerprint)
        with self.partial(fingerprint) as aside:
            self._download(f"{self._at(fingerprint)}/{record.files_digest}", aside / "files")
            found = tree_digest(aside / "files")
            if found != record.files_digest:
                raise self._withdrawn(fingerprint, f"digest {record.files_digest[:12]}", found[:12])
            self._fetch_beside(f"{self._at(fingerprint)}/{record.files_digest}.beside", aside)
            (aside / "artifact.json").write_text(record.model_dump_json(indent=2))
            self._near.install(fingerprint, aside)
        return record

    def _fetch_beside(self, source: str, aside: Path) -> None:
        """What is said about the files: in no digest, so whoever reads it has to verify it."""
        fs = self._remote[0]
        with self._told():
            for path in fs.find(source):
                name = path.rpartition("/")[2]
                if path == f"{source}/{name}" and name not in ("artifact.json", "files") and fs.size(path) <= _BESIDE:
                    fs.get_file(path, str(aside / name))

    def _download(self, source: str, target: Path) -> None:
        fs = self._remote[0]
        target.mkdir()
        with self._told():
            far = fs.find(source)
            near = [target / path.removeprefix(source).lstrip("/") for path in far]
            if not all(path.resolve().is_relative_to(target.resolve()) for path in near):
                raise CorruptArtifactError(f"{source} in {self.url}", wanted="names below it", got="one with ..")
            for path in near:
                path.parent.mkdir(parents=True, exist_ok=True)
            fs.get(far, [str(path) for path in near])

    def _withdrawn(self, fingerprint: str, wanted: str, got: str) -> CorruptArtifactError:
        """Take a changed artifact out of the count, so that the next who needs it makes it anew."""
        with self._told(), suppress(FileNotFoundError):
            self._remote[0].rm_file(f"{self._at(fingerprint)}/artifact.json")
        if self._listed is not None:
            self._listed.discard(fingerprint)
        what = f"artifact {fingerprint[:12]} in {self.url} was changed after it was stored"
        return CorruptArtifactError(what, wanted=wanted, got=got, do="run again; it is made anew")

    def _push(self, fingerprint: str) -> None:
        """What cannot be pushed stays here, and the next run pushes it."""
        record, fs = self._near.record(fingerprint), self._remote[0]
        source, target = self._home(fingerprint) / "files", f"{self._at(fingerprint)}/{record.files_digest}"
        near = [path for path in source.rglob("*") if path.is_file()]
        far = [f"{target}/{path.relative_to(source).as_posix()}" for path in near]
        told = self._near.beside(fingerprint)
        near, far = near + told, far + [f"{target}.beside/{path.name}" for path in told]
        with self._told():
            for folder in {path.rpartition("/")[0] for path in far}:
                fs.makedirs(folder, exist_ok=True)
            fs.put([str(path) for path in near], far)
        self._write(f"artifacts/{fingerprint}/artifact.json", record.model_dump_json(indent=2).encode(), keep=True)
        if self._listed is not None:
            self._listed.add(fingerprint)

    def _write(self, name: str, content: bytes, keep: bool = False) -> None:
        """Written aside and moved, since not every file system writes an object as a whole."""
        fs, base = self._remote
        aside = f"{base}/{name}.{uuid.uuid4().hex}"
        with self._told():
            fs.makedirs(aside.rpartition("/")[0], exist_ok=True)
            fs.pipe_file(aside, content)
            fs.mv(aside, f"{base}/{name}") if keep else fs.rm_file(aside)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn whatever a file system raises into one sentence."""
        try:
            yield
        except MolehuntError:
            raise
        except Exception as error:  # each library behind fsspec has its own
            got = (str(error).strip().splitlines() or [""])[0]
            wanted, do = "a place that can be read and written", "check the address, its credentials and its free space"
            raise StoreError(f"store {self.url}", wanted=wanted, got=f"{type(error).__name__}: {got}", do=do) from error
