"""Attestations: in-toto statements with SLSA provenance v1, signed beside a model; written, read, and believed only when verified."""

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from molehunt.provenance.bundle import BundleError, write_bundle
from molehunt.provenance.keys import PrivateKey
from molehunt.provenance.manifest import STATEMENT_TYPE, ManifestError, read_statement
from molehunt.provenance.signing import signature_place
from molehunt.provenance.writing import check_writable, write_whole
from molehunt.records.attestations import Attestation, Material

PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:molehunt:step:v1"
"""What `externalParameters` mean: `recipe` holds steps by fingerprint, and `fingerprint` names the last."""


LEFT = "model.attestation.json"
"""What a step leaves beside an artifact's files: where `attestation_place` looks for the attestation of `files/model`."""
LARGEST = 32 << 20
"""Bytes of an attestation that is read; those of the lab take some 20 KB."""


class UnsignedError(Exception):
    """A statement that nobody signed; `told` is what it says."""

    def __init__(self, told: Attestation) -> None:
        super().__init__("nobody signed the attestation")
        self.told = told


def attestation_place(path: Path) -> Path:
    """Where the attestation of a model folder belongs: beside it, so that it is no part of the model."""
    signature = signature_place(path)
    if signature.parent == path:
        return path.resolve().with_name(f"{path.resolve().name}.attestation.json")
    return signature.with_suffix(".attestation.json")


def write_attestation(path: Path, told: Attestation, key: PrivateKey, place: Path | None = None) -> Path:
    """Sign an attestation of the folder `path`; an older one stays until it is whole. Returns where.

    Raises:
        SigningError: if it cannot be written.
    """
    place = place or attestation_place(path)
    check_writable(place)
    write_whole(place, write_bundle(to_statement(told), key))
    return place


def leave_statement(place: Path, told: Attestation, key: PrivateKey | None) -> Path:
    """Write an attestation, as a signed bundle or, without a key, as the bare statement. Returns where.

    Raises:
        SigningError: if it cannot be written.
    """
    if key is not None:
        return write_attestation(place, told, key, place)
    write_whole(place, json.dumps(to_statement(told), sort_keys=True, ensure_ascii=False, indent=1).encode() + b"\n")
    return place


def to_statement(told: Attestation) -> dict[str, Any]:
    """As in-toto Statement v1 with SLSA provenance v1 (slsa.dev/spec/v1.0/provenance)."""
    recipe = {fingerprint: step.model_dump(mode="json") for fingerprint, step in told.recipe.items()}
    parameters = {
        "fingerprint": told.fingerprint, "recipe": recipe, "seeds": told.seeds, "method": told.method, "rank": told.rank,
    }  # fmt: skip
    packages = [{"uri": f"pkg:pypi/{name}@{version}"} for name, version in sorted(told.libraries.items())]
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": told.name, "digest": {"sha256": told.root_digest}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": parameters,
                "internalParameters": {"python": told.python, "machine": told.machine},
                "resolvedDependencies": [_dependency(one) for one in told.materials] + packages,
            },
            "runDetails": {
                "builder": {"id": "urn:molehunt:local", "version": {"molehunt": told.libraries.get("molehunt", "")}},
                "metadata": {"invocationId": told.fingerprint} | ({"finishedOn": told.created} if told.created else {}),
            },
        },
    }


def read_attestation(payload: bytes) -> Attestation:
    """What a signed statement says.

    Raises:
        ManifestError: if it is no attestation of this form.
    """
    statement = read_statement(payload, PREDICATE_TYPE)
    try:
        built, run = statement["predicate"]["buildDefinition"], statement["predicate"]["runDetails"]
        if built["buildType"] != BUILD_TYPE:
            raise ManifestError(f"a build of type {str(built['buildType'])[:80]!r}, not {BUILD_TYPE}")
        parameters, inside = built["externalParameters"], built["internalParameters"]
        listed = built["resolvedDependencies"]
        return Attestation(
            name=statement["subject"][0]["name"], root_digest=statement["subject"][0]["digest"]["sha256"],
            fingerprint=parameters["fingerprint"], recipe=parameters["recipe"], method=parameters["method"],
            rank=parameters["rank"], seeds=parameters["seeds"], python=inside["python"], machine=inside["machine"],
            materials=tuple(_material(one) for one in listed if "digest" in one),
            libraries=dict(_package(one["uri"]) for one in listed if "digest" not in one),
            created=run["metadata"].get("finishedOn", ""),
        )  # fmt: skip
    except (KeyError, TypeError, AttributeError, ValidationError) as error:
        raise ManifestError(f"an attestation without what it must say: {str(error).splitlines()[0]}") from None


def load_bundle(place: Path) -> bytes:
    """The bytes of an attestation.

    Raises:
        FileNotFoundError: if there is none.
        UnsignedError: if it is a bare statement, with what it says.
        ManifestError: if it is a bare statement of another form.
        BundleError: if it cannot be read, or is far too large.
    """
    try:
        with place.open("rb") as stream:
            raw = stream.read(LARGEST + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise BundleError(f"{place} cannot be read: {error.strerror}") from None
    if len(raw) > LARGEST:
        raise BundleError(f"{place} is larger than {LARGEST >> 20} MiB")
    if _is_bare(raw):
        raise UnsignedError(read_attestation(raw))
    return raw


def _is_bare(raw: bytes) -> bool:
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and "_type" in found


def _dependency(one: Material) -> dict[str, Any]:
    rows = {"annotations": {"rowsDigest": one.rows_digest}} if one.rows_digest else {}
    return {"name": one.name, "digest": {"sha256": one.sha256}, **rows}


def _material(told: dict[str, Any]) -> Material:
    rows = told.get("annotations", {}).get("rowsDigest", "")
    return Material(name=told["name"], sha256=told["digest"]["sha256"], rows_digest=rows)


def _package(uri: str) -> tuple[str, str]:
    name, _, version = uri.removeprefix("pkg:pypi/").rpartition("@")
    return name, version
