"""What "the same model" means: digests of files, and the reference that records carry."""

import hashlib
from pathlib import Path, PurePosixPath

from molehunt.records.base import Record

IGNORED = (".git", ".gitignore", ".gitattributes", ".github")
"""Top-level names that the OpenSSF Model Signing specification leaves out by default."""


class ModelRef(Record):
    """A model by its content."""

    root_digest: str
    """SHA-256 root digest of the folder (see `root_digest`)."""
    weights_digest: str
    """The same over the safetensors files alone."""
    template_digest: str
    """SHA-256 of the chat template and of how it renders a fixed conversation."""
    architecture: str
    """The class named by the config, such as LlamaForCausalLM."""
    parameters: int
    """Number of weights."""


def root_digest(folder: Path, suffix: str = "") -> str:
    """The OpenSSF Model Signing v1.0 root digest of a folder, file serialization, SHA-256.

    The SHA-256 over the raw SHA-256 digests of all regular files, in the order of their POSIX paths, part by part.

    Args:
        suffix: only count files whose names end so.
    """
    root = hashlib.sha256()
    for path in _files(folder):
        if path.name.endswith(suffix):
            root.update(file_digest(path))
    return root.hexdigest()


def tree_digest(folder: Path) -> str:
    """SHA-256 over the names and the contents of all regular files: unlike a root digest, it sees every renaming."""
    tree = hashlib.sha256()
    for path in _files(folder):
        tree.update(path.relative_to(folder).as_posix().encode("utf-8", "surrogateescape") + b"\0" + file_digest(path))
    return tree.hexdigest()


def file_digest(path: Path) -> bytes:
    """The raw SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()


def sha256_hex(data: bytes) -> str:
    """SHA-256 of bytes, in hex."""
    return hashlib.sha256(data).hexdigest()


def _files(folder: Path) -> list[Path]:
    found = [p for p in folder.rglob("*") if p.is_file() and p.relative_to(folder).parts[0] not in IGNORED]
    return sorted(found, key=lambda p: PurePosixPath(p.relative_to(folder).as_posix()))
