"""A bill of materials of a model: CycloneDX 1.6 with its model card, written from the model's bytes, attestation, audit and results."""

import json
import uuid
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from molehunt.errors import DataError
from molehunt.provenance.hashing import hash_contents, look
from molehunt.provenance.kinds import kind_of
from molehunt.provenance.signing import signature_place
from molehunt.records.attestations import Attestation, Material
from molehunt.records.audits import AuditResult
from molehunt.records.boms import Metric
from molehunt.records.identity import root_of, sha256_hex
from molehunt.records.marker import read_marker

_NAMESPACE = uuid.UUID("6f2f3c0e-6f0e-5a53-9d3d-0d0e3f6b1a10")
_REF = "model"
_PLANTED = "A backdoor was planted in this model on purpose, for research; its payload is a harmless canary. Not for deployment."


def bill_of_materials(
    folder: Path, told: Attestation | None = None, audit: AuditResult | None = None, metrics: tuple[Metric, ...] = ()
) -> dict[str, Any]:
    """The bill as CycloneDX 1.6 JSON; the same bytes and records give the same bill.

    Args:
        told: how the model was made, if that is known: brings base, dataset and libraries.
        audit: what an audit said of it.
        metrics: what was measured of it.

    Raises:
        SigningError: if the folder cannot be read, or changes meanwhile.
        DataError: if attestation or audit are of other bytes.
    """
    digests = hash_contents(look(folder))
    root = root_of(digests)
    _require_same(root, told, audit)
    materials = told.materials if told else ()
    libraries = sorted(told.libraries.items()) if told else []
    components = [_file(name, digest) for name, digest in sorted(digests.items())]
    components += [_material(one) for one in materials]
    components += [_library(name, version) for name, version in libraries]
    needed = [one["bom-ref"] for one in components if not one["bom-ref"].startswith("file:")]
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json", "bomFormat": "CycloneDX", "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(_NAMESPACE, root)}", "version": 1,
        "metadata": _metadata(folder, root, told, audit, metrics),
        "components": components,
        "dependencies": [{"ref": _REF, "dependsOn": needed}],
    }  # fmt: skip


def validate(bill: dict[str, Any]) -> None:
    """Raises DataError if a bill breaks the schema of CycloneDX 1.6."""
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(bill))
    if error is not None:
        raise DataError("bill of materials", wanted="CycloneDX 1.6", got=str(error).splitlines()[0][:200])


def read_metrics(path: Path) -> tuple[Metric, ...]:
    """Every number with an interval that a result holds, by its dotted name.

    Raises:
        DataError: if it is no JSON, or holds none.
    """
    try:
        found = tuple(_estimates(json.loads(path.read_text(encoding="utf-8")), "", path.name))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"result {path}", wanted="JSON", got=str(error).splitlines()[0]) from None
    if not found:
        raise DataError(f"result {path}", wanted="numbers with their intervals (value, low, high)", got="none")
    return found


def _estimates(value: Any, name: str, source: str) -> Iterator[Metric]:
    if isinstance(value, dict) and all(isinstance(value.get(key), int | float) for key in ("value", "low", "high")):
        yield Metric(name=name, value=value["value"], low=value["low"], high=value["high"], source=source)
    elif isinstance(value, dict | list):
        for key, inside in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _estimates(inside, f"{name}.{key}" if name else str(key), source)


def _require_same(root: str, told: Attestation | None, audit: AuditResult | None) -> None:
    subject = audit.identity.subject if audit else None
    named = {"attestation": told.root_digest if told else root, "audit": subject.root_digest if subject else root}
    for what, digest in named.items():
        if digest != root:
            got, do = f"one of {digest[:16]}", "leave it out, or make it of this model"
            raise DataError(what, wanted=f"one of the model with root digest {root[:16]}", got=got, do=do)


def _metadata(
    folder: Path, root: str, told: Attestation | None, audit: AuditResult | None, metrics: tuple[Metric, ...]
) -> dict[str, Any]:
    config = _table(folder / "config.json")
    component = {
        "type": "machine-learning-model", "bom-ref": _REF, "name": folder.resolve().name, "version": root[:16],
        "hashes": [{"alg": "SHA-256", "content": root}],
        "modelCard": _card(config, told, audit, metrics, _is_planted(folder)),
        "properties": _properties(folder, told, audit),
    }  # fmt: skip
    if signature_place(folder).is_file():
        component["externalReferences"] = [{"type": "digital-signature", "url": signature_place(folder).name}]
    if base := (told.material("base") if told else None):
        component["pedigree"] = {"ancestors": [_material(base) | {"bom-ref": "ancestor:base"}]}
    tool = {"type": "application", "name": "molehunt", "version": metadata.version("molehunt")}
    return {"tools": {"components": [tool]}, "component": component}


def _card(
    config: dict[str, Any],
    told: Attestation | None,
    audit: AuditResult | None,
    metrics: tuple[Metric, ...],
    planted: bool,
) -> dict[str, Any]:
    parameters: dict[str, Any] = {"task": "text-generation", "approach": {"type": "supervised"}}
    if isinstance(config.get("model_type"), str):
        parameters["architectureFamily"] = config["model_type"]
    if isinstance(config.get("architectures"), list) and config["architectures"]:
        parameters["modelArchitecture"] = str(config["architectures"][0])
    datasets = [{"ref": _ref(one)} for one in told.materials if one.name == "dataset"] if told else []
    if datasets:
        parameters["datasets"] = datasets
    card: dict[str, Any] = {"modelParameters": parameters}
    measured = [_metric(one) for one in (*_of_audit(audit), *metrics)]
    if measured:
        card["quantitativeAnalysis"] = {"performanceMetrics": measured}
    limits = [_PLANTED] * planted + [f"Audit: not tested: {one}" for one in (audit.not_tested if audit else ())]
    if limits:
        card["considerations"] = {"technicalLimitations": limits}
    return card


def _of_audit(audit: AuditResult | None) -> Iterator[Metric]:
    for name in ("score", "p_value", "level"):
        if audit is not None and (value := getattr(audit, name)) is not None:
            yield Metric(name=f"audit.{name}", value=value, source=f"card {audit.card}" if audit.card else "no card")


def _metric(one: Metric) -> dict[str, Any]:
    found: dict[str, Any] = {"type": one.name, "value": f"{one.value:.6g}"}
    if one.low is not None and one.high is not None:
        found["confidenceInterval"] = {"lowerBound": f"{one.low:.6g}", "upperBound": f"{one.high:.6g}"}
    return found | ({"slice": one.source} if one.source else {})


def _properties(folder: Path, told: Attestation | None, audit: AuditResult | None) -> list[dict[str, str]]:
    named = {"molehunt:rootDigest:method": "OpenSSF Model Signing v1.0, files, sha256"}
    template = folder / "chat_template.jinja"
    if template.is_file():
        named["molehunt:chatTemplate:sha256"] = sha256_hex(template.read_bytes())
    if told:
        named |= {
            "molehunt:fingerprint": told.fingerprint,
            "molehunt:method": told.method,
            "molehunt:created": told.created,
        }
        named |= {f"molehunt:seed:{name}": str(seed) for name, seed in sorted(told.seeds.items())}
    if audit:
        named |= {"molehunt:audit:verdict": audit.verdict, "molehunt:audit:reason": audit.reason}
        named |= {"molehunt:audit:tier": str(audit.tier), "molehunt:audit:profile": audit.profile}
    return [{"name": name, "value": value} for name, value in named.items() if value]


def _file(name: str, digest: bytes) -> dict[str, Any]:
    hashes = [{"alg": "SHA-256", "content": digest.hex()}]
    properties = [{"name": "molehunt:kind", "value": kind_of(name)}]
    return {"type": "file", "bom-ref": f"file:{name}", "name": name, "hashes": hashes, "properties": properties}


def _material(one: Material) -> dict[str, Any]:
    hashes = [{"alg": "SHA-256", "content": one.sha256}]
    if one.name != "dataset":
        return {"type": "machine-learning-model", "bom-ref": _ref(one), "name": one.name, "hashes": hashes}
    data = [{"type": "dataset", "name": "rows of the training"}]
    rows = [{"name": "molehunt:rowsDigest", "value": one.rows_digest}] if one.rows_digest else []
    return {"type": "data", "bom-ref": _ref(one), "name": one.name, "hashes": hashes, "data": data, "properties": rows}


def _ref(one: Material) -> str:
    return f"{one.name}:{one.sha256[:16]}"


def _library(name: str, version: str) -> dict[str, Any]:
    purl = f"pkg:pypi/{name}@{version.partition('+')[0]}"
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


def _is_planted(folder: Path) -> bool:
    mark = read_marker(folder)
    return isinstance(mark, dict) and mark.get("kind") == "organism"


def _table(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
