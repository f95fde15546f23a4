"""The statement inside a signature: which files were signed, checked by the rules of OpenSSF Model Signing v1.0."""

import hashlib
import json
import re
from typing import Any

from pydantic import Field

from molehunt.provenance.hashing import ONE_FILE, Method
from molehunt.records.base import Record
from molehunt.records.identity import by_parts

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://model_signing/signature/v1.0"
_HEX = {name: re.compile(f"[0-9a-f]{{{size}}}") for name, size in {"sha256": 64, "blake2b": 128, "blake3": 64}.items()}
"""Digests by hash."""
_SHARD = re.compile(r"(.+):(0|[1-9]\d*):([1-9]\d*)", re.DOTALL)
_GLOB = re.compile(r"[*?\[\]]")
_NO_PATH = re.compile(r"\0|(?:^|/)(?:\.\.?)?(?:/|\Z)", re.DOTALL)
"""A zero, or a part that is empty, one point or two."""


class ManifestError(Exception):
    """What is wrong with a statement, in words."""


class Manifest(Record):
    """What a signature vouches for."""

    name: str
    """Of the folder when it was signed; says nothing."""
    root: str
    """SHA-256 over all digests in their order, in hex: the model's root digest if whole files were hashed with SHA-256."""
    hash_type: str
    shard_size: int | None = Field(None, ge=1)
    follow_links: bool
    ignored: tuple[str, ...]
    """Paths that the signer left out."""
    digests: dict[str, str]
    """Hex digest by file, or by `FILE:START:END`."""

    @property
    def method(self) -> Method:
        """How to hash for a comparison."""
        return Method(self.hash_type, self.shard_size)

    @property
    def is_identity(self) -> bool:
        """True if `root` is a root digest as Molehunt knows models by."""
        return self.method == Method()

    def is_ignored(self, name: str) -> bool:
        """True if the signer left this file out."""
        return any(name == path or name.startswith(f"{path}/") for path in self.ignored)


def read_manifest(payload: bytes) -> Manifest:
    """The manifest of a signed in-toto statement.

    Raises:
        ManifestError: if it breaks a rule of the specification.
    """
    statement = read_statement(payload, PREDICATE_TYPE)
    predicate = _table(statement.get("predicate"), "predicate")
    told = _table(predicate.get("serialization"), "serialization")
    hash_type, shard_size = _method(told)
    digests = _digests(predicate.get("resources"), hash_type, shard_size)
    if shard_size:
        _check_shards(digests, shard_size)
    else:
        _check_names(digests)
    subject = statement["subject"][0]
    root = hashlib.sha256(b"".join(map(bytes.fromhex, digests.values()))).hexdigest()
    if subject["digest"]["sha256"] != root:
        raise ManifestError("its root digest is not that of its files")
    return Manifest(
        name=str(subject.get("name", "")), root=root, hash_type=hash_type, shard_size=shard_size,
        follow_links=_flag(told), ignored=_ignored(told.get("ignore_paths", [])), digests=digests,
    )  # fmt: skip


def read_statement(payload: bytes, predicate_type: str) -> dict[str, Any]:
    """An in-toto Statement v1 about one subject with a SHA-256.

    Raises:
        ManifestError: if it is none, or its predicate is of another type.
    """
    try:
        statement = _table(json.loads(payload, object_pairs_hook=_no_twins), "statement")
    except (ValueError, RecursionError):
        raise ManifestError("what was signed is no JSON") from None
    if statement.get("_type") != STATEMENT_TYPE:
        raise ManifestError(f"a statement of type {statement.get('_type')!r}, not in-toto v1")
    if statement.get("predicateType") != predicate_type:
        raise ManifestError(f"a predicate of type {statement.get('predicateType')!r}, not {predicate_type}")
    subjects = statement.get("subject")
    if not isinstance(subjects, list) or len(subjects) != 1:
        raise ManifestError("it is not about exactly one subject")
    digest = _table(_table(subjects[0], "subject").get("digest"), "digest of its subject")
    root = digest.get("sha256")
    if not isinstance(root, str) or not _HEX["sha256"].fullmatch(root):
        raise ManifestError("its subject has no sha256 digest")
    return statement


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(made := dict(pairs)) < len(pairs):
        raise ManifestError("it names a field twice")
    return made


def _table(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ManifestError(f"it has no {what}")
    return value


def _method(told: dict[str, Any]) -> tuple[str, int | None]:
    method, hash_type, size = told.get("method"), told.get("hash_type"), told.get("shard_size")
    if method not in ("files", "shards"):
        raise ManifestError(f"an unknown serialization {method!r}")
    if hash_type not in _HEX:
        raise ManifestError(f"an unknown hash {hash_type!r}")
    if method == "files":
        return hash_type, None
    if isinstance(size, bool) or not isinstance(size, int | float) or size != int(size) or size < 1:
        raise ManifestError(f"a shard size of {size!r}")
    return hash_type, int(size)


def _flag(told: dict[str, Any]) -> bool:
    follow = told.get("allow_symlinks", False)
    if not isinstance(follow, bool):
        raise ManifestError(f"allow_symlinks is {follow!r}")
    return follow


def _ignored(paths: Any) -> tuple[str, ...]:
    if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
        raise ManifestError("ignore_paths is no list of paths")
    for path in paths:
        if _GLOB.search(path):
            raise ManifestError(f"a pattern among the ignored paths: {path!r}")
        _check_path(path)
    return tuple(paths)


def _digests(resources: Any, hash_type: str, shard_size: int | None) -> dict[str, str]:
    if not isinstance(resources, list) or not resources:
        raise ManifestError("it lists no files")
    known = {hash_type, f"{hash_type}-sharded-{shard_size}"} if shard_size else {hash_type}
    found: dict[str, str] = {}
    is_digest = _HEX[hash_type].fullmatch
    for resource in resources:
        name = _table(resource, "resource").get("name")
        digest, algorithm = resource.get("digest"), resource.get("algorithm")
        if not isinstance(name, str):
            raise ManifestError(f"a file without a name: {name!r}")
        if name in found:
            raise ManifestError(f"it lists {name!r} twice")
        if algorithm not in known:
            raise ManifestError(f"{name!r} has an algorithm {algorithm!r}, where {hash_type} was said")
        if not isinstance(digest, str) or not is_digest(digest):
            raise ManifestError(f"{name!r} has no {hash_type} digest")
        found[name] = digest
    return found


def _check_names(digests: dict[str, str]) -> None:
    names = list(digests)
    if names != [ONE_FILE]:
        for name in names:
            _check_path(name)
    if names not in (sorted(names), sorted(names, key=by_parts)):
        raise ManifestError("its files are not in order")
    if inside := _folders(names) & digests.keys():
        raise ManifestError(f"{min(inside)!r} is a file and a folder")


def _folders(names: list[str]) -> set[str]:
    """All that files lie in."""
    found: set[str] = set()
    for folder in {name.rpartition("/")[0] for name in names}:
        while folder and folder not in found:
            found.add(folder)
            folder = folder.rpartition("/")[0]
    return found


def _check_path(name: str) -> None:
    if not name.isascii():
        try:
            name.encode("utf-8")
        except UnicodeEncodeError:
            raise ManifestError(f"a path that is no UTF-8: {name!r}") from None
    if _NO_PATH.search(name):
        raise ManifestError(f"a path that leads out of the folder, or is none: {name!r}")


def _check_shards(digests: dict[str, str], size: int) -> None:
    """The pieces of a file must follow each other from its beginning, all but the last of the full size."""
    ends: dict[str, int] = {}
    for name in digests:
        found = _SHARD.fullmatch(name)
        if not found:
            raise ManifestError(f"a piece without its place: {name!r}")
        path, start, end = found[1], int(found[2]), int(found[3])
        if start != ends.get(path, 0) or start % size or not start < end <= start + size:
            raise ManifestError(f"a piece that does not follow the one before: {name!r}")
        ends[path] = end
    if ONE_FILE not in ends or len(ends) > 1:
        for path in ends:
            _check_path(path)
