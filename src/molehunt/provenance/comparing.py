"""How the files of a folder differ from those that were signed, and which of them may."""

from molehunt.provenance.hashing import ONE_FILE, Contents
from molehunt.provenance.kinds import is_documentation, kind_of
from molehunt.provenance.manifest import Manifest
from molehunt.records.signatures import FileChange


def compare(
    contents: Contents, found: dict[str, bytes], manifest: Manifest, ignore_unsigned: bool
) -> tuple[tuple[FileChange, ...], tuple[str, ...]]:
    """What is not as it was signed, and the unsigned files that are let be.

    What the signer left out by name, or the verifier lets be, must still be documentation: nothing that could be loaded.

    Args:
        found: digest by piece, cut as the manifest says.
    """
    digests = {piece: digest.hex() for piece, digest in found.items()}
    if digests == manifest.digests and not contents.odd and not manifest.shard_size:
        return (), ()
    signed = {_file_of(piece, manifest) for piece in manifest.digests}
    unsigned = sorted((contents.files.keys() | contents.odd.keys()) - signed)
    tolerated = tuple(
        name
        for name in unsigned
        if name in contents.files and is_documentation(name) and (ignore_unsigned or manifest.is_ignored(name))
    )
    left = [name for name in unsigned if name not in tolerated]
    changes = {name: _unsigned(name, contents, manifest) for name in left}
    changes |= _changed(contents, digests, manifest, signed) | _lost(contents, digests, manifest, left)
    return tuple(changes[name] for name in sorted(changes)), tolerated


def sentence(changes: tuple[FileChange, ...]) -> str:
    """The first of them in words, and how many more there are."""
    if not changes:
        return ""
    first, rest = changes[0], len(changes) - 1
    what = {"changed": "was changed", "missing": "is missing", "not signed": "is not signed", "renamed": "was renamed"}
    name = "the file" if first.name == ONE_FILE else first.name
    told = f" ({first.told})" if first.told and first.what != "changed" else ""
    return f"{name} {what[first.what]}{told}" + (f", and {rest} more" if rest else "")


def _file_of(piece: str, manifest: Manifest) -> str:
    return piece.rsplit(":", 2)[0] if manifest.shard_size else piece


def _unsigned(name: str, contents: Contents, manifest: Manifest) -> FileChange:
    told = contents.odd.get(name) or ("left out by the signer" if manifest.is_ignored(name) else kind_of(name))
    if manifest.shard_size and name in contents.files and not contents.marks[name][2]:
        told = "an empty file, which a signature over pieces cannot name"
    return FileChange(name=name, what="not signed", told=told)


def _changed(
    contents: Contents, found: dict[str, str], manifest: Manifest, signed: set[str]
) -> dict[str, FileChange]:  # fmt: skip
    """Of files that are there: another digest, or more or fewer pieces."""
    differ = {
        _file_of(piece, manifest)
        for piece in found.keys() | manifest.digests.keys()
        if found.get(piece) != manifest.digests.get(piece)
    }
    there = differ & signed & contents.files.keys()
    return {name: FileChange(name=name, what="changed", told=kind_of(name)) for name in there}


def _lost(
    contents: Contents, found: dict[str, str], manifest: Manifest, left: list[str]
) -> dict[str, FileChange]:  # fmt: skip
    moved = {found[name]: name for name in left if name in found}
    lost: dict[str, FileChange] = {}
    for piece, digest in manifest.digests.items():
        if (name := _file_of(piece, manifest)) not in contents.files:
            where = moved.get(digest)
            told = f"its bytes are in {where}" if where else contents.odd.get(name, "")
            lost[name] = FileChange(name=name, what="renamed" if where else "missing", told=told)
    return lost
