"""An audit as SARIF 2.1.0, the format that code hosts and editors show (OASIS, sarif-v2.1.0-os)."""

from typing import Any
from urllib.parse import quote

from molehunt.records.audits import AuditResult, AuditVerdict
from molehunt.records.base import sha256_text
from molehunt.records.evidence import Verified
from molehunt.records.scans import RULES
from molehunt.reports.audit_words import HEADLINES, does, mappings, not_tested, title, verdict_words
from molehunt.reports.text import visible

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json"
_LEVELS: dict[AuditVerdict, str] = {
    "flagged": "error",
    "nothing found within coverage": "note",
    "abstained": "warning",
}
VERDICT, BASE, NOT_TESTED = "verdict", "wrong-base", "not-analysed"
"""Rules beside the detectors' names."""


def audit_sarif(result: AuditResult) -> dict[str, Any]:
    """An audit as one SARIF log with one run.

    The verdict is always among the results, and so is each text that was verified, under the rule of the detector that
    found it, and each thing that was not tested: a log without an error is no pass.
    """
    found = _results(result)
    rules = _rules(result, {one["ruleId"] for one in found})
    index = {rule["id"]: i for i, rule in enumerate(rules)}
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [{
        "tool": {"driver": {"name": "molehunt", "version": result.version, "rules": rules}},
        "invocations": [{"executionSuccessful": True}],
        "artifacts": [
            {"location": {"uri": quote(name)}, "hashes": {"sha-256": digest}} for name, digest in result.identity.files.items()
        ],
        "results": [{**one, "ruleIndex": index[one["ruleId"]]} for one in found],
        "properties": _properties(result),
    }]}  # fmt: skip


def _results(result: AuditResult) -> list[dict[str, Any]]:
    sentences = " ".join((f"{HEADLINES[result.verdict]}.", result.reason, *verdict_words(result)))
    found = [_result(result, VERDICT, _LEVELS[result.verdict], sentences, "")]
    scan, kin = result.identity.scan, result.identity.kinship
    if scan is not None:
        found += [_result(result, one.rule, one.level, f"{one.file}: {one.message}", one.file) for one in scan.findings]
    if kin is not None and not kin.is_base:
        found.append(
            _result(result, BASE, "warning", f"The base that was given is not this model's base: {kin.reason}", "")
        )
    found += [_candidate(result, one) for one in result.candidates]
    return [*found, *(_result(result, NOT_TESTED, "note", f"Not tested: {line}", line) for line in not_tested(result))]


def _candidate(result: AuditResult, one: Verified) -> dict[str, Any]:
    level = "warning" if one.works else "note"
    text = f"“{one.text}” at {one.place}. {' '.join(does(one, result.tier == 'base'))} A text that works need not be the text that was planted."
    rates = {"asr": one.asr, "nullRate": one.null_rate.value, "without": one.without.value, "kept": one.kept}
    return {**_result(result, one.found_by, level, text, f"{one.place}\n{one.text}"), "properties": rates}


def _result(result: AuditResult, rule: str, level: str, text: str, what: str) -> dict[str, Any]:
    """`what` tells it from other results of its rule, on the next audit too."""
    return {
        "ruleId": rule, "level": level, "message": {"text": _plain(text)}, "locations": [_location(result)],
        "partialFingerprints": {"molehunt/v1": sha256_text(f"{result.name}\n{rule}\n{what}")},
    }  # fmt: skip


def _location(result: AuditResult) -> dict[str, Any]:
    """The file of the weights, if there are files: code hosts show nothing that lies nowhere."""
    named = {"logicalLocations": [{"fullyQualifiedName": visible(result.name)}]}
    files = list(result.identity.files)
    if not files:
        return named
    file = next((name for name in files if name.endswith(".safetensors")), files[0])
    return {"physicalLocation": {"artifactLocation": {"uri": quote(file), "index": files.index(file)}}, **named}


def _rules(result: AuditResult, used: set[str]) -> list[dict[str, Any]]:
    known = {
        VERDICT: "The verdict of a calibrated audit for backdoors.",
        BASE: "The base that was given is not the one that the model was made from.",
        NOT_TESTED: "Not tested; this is never a pass.",
    }
    for one in result.evidence:
        said = f"{title(one.detector, one)}: {one.caption}" if one.caption else title(one.detector, one)
        known[one.detector] = f"{said}."
    known |= {name: RULES[name].what for name in used if name in RULES}
    known |= {name: f"{title(name, None)}." for name in used if name not in known}
    tags = ["security", *(mapping.id for mapping in mappings(result))]
    return [
        {"id": name, "shortDescription": {"text": _plain(what)}, "properties": {"tags": tags}}
        for name, what in known.items()
    ]


def _properties(result: AuditResult) -> dict[str, Any]:
    said: dict[str, Any] = {
        "verdict": result.verdict, "pValue": result.p_value, "level": result.level, "rung": result.rung, "tier": result.tier,
        "profile": result.profile, "card": result.card, "recordDigest": result.digest(),
        "scores": {one.detector: one.score for one in result.evidence},
    }  # fmt: skip
    if result.identity.subject is not None:
        said["rootDigest"] = result.identity.subject.root_digest
    return said


def _plain(text: str) -> str:
    """A message without control characters, and in which no word of a model becomes a link (SARIF 2.1.0, section 3.11.6)."""
    return visible(text).replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]")
