"""What "the same model" means: digests of files, and the reference that records carry."""

import hashlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from molehunt.records.base import Record

IGNORED = (".git", ".gitignore", ".gitattributes", ".github")
"""Top-level names that the OpenSSF Model Signing specification leaves out by default."""
SIGNATURE = "model.sig"
"""The file at the top of a folder that holds its signature, and so is no part of what is signed."""


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


def is_part(name: str) -> bool:
    """True if a file counts in digests of its folder: it is neither version control nor the signature.

    Args:
        name: POSIX path in the folder.
    """
    return name != SIGNATURE and name.partition("/")[0] not in IGNORED


def root_digest(folder: Path, suffix: str = "") -> str:
    """The OpenSSF Model Signing v1.0 root digest of a folder, file serialization, SHA-256.

    The SHA-256 over the raw SHA-256 digests of all regular files, in the order of their POSIX paths, part by part.

    Args:
        suffix: only count files whose names end so.
    """
    return root_of(
        {p.relative_to(folder).as_posix(): file_digest(p) for p in _files(folder) if p.name.endswith(suffix)}
    )


def root_of(digests: Mapping[str, bytes]) -> str:
    """The root digest from the raw SHA-256 of every file, by POSIX path; what is no part of the model is to be left out."""
    return hashlib.sha256(b"".join(digests[name] for name in sorted(digests, key=by_parts))).hexdigest()


def by_parts(name: str) -> str:
    """A key that sorts POSIX paths part by part, as their lists of parts would: no name holds a zero, and nothing comes before it."""
    return name.replace("/", "\0")


def tree_digest(folder: Path) -> str:
    """SHA-256 over the names and the contents of all regular files: unlike a root digest, it sees every renaming."""
    return tree_of({p.relative_to(folder).as_posix(): file_digest(p) for p in _files(folder)})


def tree_of(digests: Mapping[str, bytes]) -> str:
    """The same from the raw SHA-256 of every file, by POSIX path."""
    tree = hashlib.sha256()
    for name in sorted(digests, key=by_parts):
        tree.update(name.encode("utf-8", "surrogateescape") + b"\0" + digests[name])
    return tree.hexdigest()


def file_digest(path: Path) -> bytes:
    """The raw SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()


def sha256_hex(data: bytes) -> str:
    """SHA-256 of bytes, in hex."""
    return hashlib.sha256(data).hexdigest()


def _files(folder: Path) -> list[Path]:
    found = [p for p in folder.rglob("*") if p.is_file() and is_part(p.relative_to(folder).as_posix())]
    return sorted(found, key=lambda p: PurePosixPath(p.relative_to(folder).as_posix()))
