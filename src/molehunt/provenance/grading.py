"""How far what an attestation says holds: every claim checked against the model, its base and its data where they are at hand."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from molehunt.provenance.attestation import UnsignedError, attestation_place, load_bundle, read_attestation
from molehunt.provenance.bundle import BundleError, read_bundle
from molehunt.provenance.hashing import hash_contents, look
from molehunt.provenance.manifest import ManifestError
from molehunt.provenance.model_diff import diff_models
from molehunt.provenance.trust import KeyTrust, WrongSignatureError
from molehunt.records.attestations import Attestation, Claim, Grade, Material, ProvenanceReport
from molehunt.records.diffs import DiffReport
from molehunt.records.identity import file_digest, root_of
from molehunt.records.lines import read_jsonl
from molehunt.records.rows import Row, dataset_digest
from molehunt.records.signatures import SignerSeen

_DATA = ("dataset", "data", "data file")
"""Materials that a file of rows may be."""
_STRANGER = "their weights point in different directions"


def check_provenance(
    path: Path, trust: KeyTrust, base: Path | None = None, data: Path | None = None, place: Path | None = None
) -> ProvenanceReport:
    """Check the attestation beside a model folder.

    Args:
        base: the folder of the model that it says it was made from, if that is at hand.
        data: the file of rows that it says it was trained on, if that is at hand.
        place: where the attestation lies, if not at `attestation_place`.

    Raises:
        SigningError, ModelError: if a folder cannot be read, or changes meanwhile.
    """
    place = place or attestation_place(path)
    said: dict[str, Any] = {"path": str(path), "attestation": str(place)}
    unsigned = ""
    try:
        said["signer"], told = verified(place, trust)
    except UnsignedError as error:
        told, unsigned = error.told, f"nobody signed {place}"
    except FileNotFoundError:
        return ProvenanceReport(**said, outcome="not verifiable", reason=f"there is no attestation at {place}")
    except (BundleError, ManifestError, WrongSignatureError) as error:
        return ProvenanceReport(**said, outcome="wrong signature", reason=str(error))
    root = _root(path)
    claims = grade(path, told, root, base, data)
    wrong = next((claim for claim in claims if claim.grade == "contradicted"), None)
    if wrong:
        said |= {"outcome": "contradicted", "reason": f"{wrong.name}: {wrong.told}"}
    else:
        said |= {"outcome": "not verifiable" if unsigned else "checked", "reason": unsigned}
    return ProvenanceReport(**said, root_digest=root, claims=claims)


def verified(place: Path, trust: KeyTrust) -> tuple[SignerSeen, Attestation]:
    """Who signed an attestation, and what it says.

    Raises:
        FileNotFoundError: if there is none.
        UnsignedError: if nobody signed it.
        BundleError, ManifestError, WrongSignatureError: if it is none, or not signed by who is trusted.
    """
    raw = load_bundle(place)
    bundle = read_bundle(raw)
    return trust.authenticate(bundle, raw, datetime.now(UTC)), read_attestation(bundle.payload)


def grade(path: Path, told: Attestation, root: str, base: Path | None, data: Path | None) -> tuple[Claim, ...]:
    """Every claim of an attestation with its grade; nothing is made again here."""
    claims = [_same("model", told.root_digest, root, "the root digest of these files")]
    diff = None
    if material := told.material("base"):
        claims.append(_base(material, base))
        diff = diff_models(base, path) if base and claims[0].grade != "contradicted" else None
    if diff is not None:
        claims.append(_kinship(diff))
    if told.method:
        claims.append(_method(told, diff))
    claims += _data([one for one in told.materials if one.name in _DATA], data)
    seeds = ", ".join(f"{name} {seed}" for name, seed in sorted(told.seeds.items()))
    claims.append(
        Claim(name="config and seeds", grade="asserted", told=f"{len(told.recipe)} steps; seeds: {seeds or 'none'}")
    )
    versions = ", ".join(f"{name} {version}" for name, version in sorted(told.libraries.items()))
    claims.append(Claim(name="code and libraries", grade="asserted", told=f"Python {told.python}, {versions}"))
    return tuple(claims)


def _root(path: Path) -> str:
    return root_of(hash_contents(look(path)))


def _same(name: str, wanted: str, got: str, what: str) -> Claim:
    if wanted == got:
        return Claim(name=name, grade="consistent", told=f"{what} is {got[:16]}")
    return Claim(name=name, grade="contradicted", told=f"{what} is {got[:16]}, not {wanted[:16]}")


def _base(material: Material, base: Path | None) -> Claim:
    if base is None:
        return Claim(name="base", grade="asserted", told=f"root digest {material.sha256[:16]}, not at hand")
    return _same("base", material.sha256, _root(base), "the root digest of the base at hand")


def _kinship(diff: DiffReport) -> Claim:
    """Do the weights descend from those of the base at hand?"""
    if diff.shape == "other weights":
        return Claim(
            name="base match", grade="contradicted", told=f"{_STRANGER} (median cosine {diff.cosine or 0:.2f})"
        )
    cosine = f"median cosine {diff.cosine:.3f}" if diff.cosine is not None else "the same matrices"
    return Claim(name="base match", grade="consistent", told=f"{cosine}, ‖ΔW‖/‖W‖ {diff.relative:.2g}")


def _method(told: Attestation, diff: DiffReport | None) -> Claim:
    what = f"{told.method}" + (f" of rank {told.rank}" if told.rank is not None else "")
    if diff is None:
        return Claim(name="method", grade="asserted", told=f"{what}; without its base nobody can tell")
    if told.method != "lora":
        return Claim(name="method", grade="asserted", told=f"{what}; the difference has the shape of: {diff.shape}")
    rank, extra = diff.low_rank, diff.count("added") + diff.count("removed")
    inside = sum(one.status == "added" and one.name.startswith("adapter/") for one in diff.tensors)
    if extra > inside or (diff.shape != "none" and (rank is None or (told.rank is not None and rank > told.rank))):
        shown = f"rank {rank}" if rank is not None else f"the shape of: {diff.shape}"
        return Claim(name="method", grade="contradicted", told=f"{what} is claimed, the difference has {shown}")
    return Claim(name="method", grade="consistent", told=f"{what}; the difference has rank {rank or 0} at most")


def _data(told: list[Material], data: Path | None) -> list[Claim]:
    """The file at hand is one of what the model was made of, or contradicts all of it."""
    if data is None:
        return [_claimed(one, "asserted", f"SHA-256 {one.sha256[:16]}, not at hand") for one in told]
    digest, rows = _digests(data)
    same = [digest == one.sha256 or bool(rows and rows == one.rows_digest) for one in told]
    if not any(same):
        return [_claimed(one, "contradicted", "the rows at hand are others") for one in told]
    return [
        _claimed(one, "consistent", "the rows at hand are the same") if is_same
        else _claimed(one, "asserted", f"SHA-256 {one.sha256[:16]}, not what is at hand")
        for one, is_same in zip(told, same, strict=True)
    ]  # fmt: skip


def _claimed(one: Material, graded: Grade, text: str) -> Claim:
    return Claim(name=one.name, grade=graded, told=text)


def _digests(data: Path) -> tuple[str, str]:
    """SHA-256 of a file, and the digest of its rows; empty where it has none."""
    if not data.is_file():
        return "", ""
    try:
        return file_digest(data).hex(), dataset_digest(read_jsonl(data, Row))
    except (OSError, ValueError, ValidationError):
        return file_digest(data).hex(), ""
