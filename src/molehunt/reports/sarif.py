"""Findings as SARIF 2.1.0, the format that code hosts and editors show (OASIS, sarif-v2.1.0-os)."""

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any
from urllib.parse import quote

from molehunt.records.scans import RULES, Finding, Rule, ScanReport, SeenFile

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json"


def scan_sarif(report: ScanReport) -> dict[str, Any]:
    """A scan as one SARIF log; what was not analysed is among the results and among the tool's notifications."""
    findings = (*report.findings, *report.not_analysed)
    properties = {"path": report.path, "outcome": report.outcome, "rootDigest": report.root_digest}
    return sarif(findings, RULES, report.files, report.not_analysed, properties)


def sarif(
    findings: Sequence[Finding],
    rules: Mapping[str, Rule],
    files: Sequence[SeenFile] = (),
    not_analysed: Sequence[Finding] = (),
    properties: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A SARIF log with one run.

    Args:
        rules: of all findings; only those that occur are written.
        files: listed with their digests.
        not_analysed: told as notifications of the tool too.
    """
    used = sorted({finding.rule for finding in findings})
    run = {
        "tool": {"driver": {
            "name": "molehunt", "version": version("molehunt"), "rules": [_rule(name, rules[name]) for name in used],
        }},
        "invocations": [{
            "executionSuccessful": True,
            "toolExecutionNotifications": [
                {"level": "warning", "message": {"text": f.message}, "locations": [_location(f)]} for f in not_analysed
            ],
        }],
        "artifacts": [_artifact(file) for file in files],
        "results": [_result(finding, used.index(finding.rule)) for finding in findings],
        "properties": dict(properties or {}),
    }  # fmt: skip
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(name: str, rule: Rule) -> dict[str, Any]:
    return {"id": name, "shortDescription": {"text": rule.what}, "defaultConfiguration": {"level": rule.level}}


def _result(finding: Finding, index: int) -> dict[str, Any]:
    return {
        "ruleId": finding.rule, "ruleIndex": index, "level": finding.level, "message": {"text": finding.message},
        "locations": [_location(finding)],
    }  # fmt: skip


def _location(finding: Finding) -> dict[str, Any]:
    file, _, part = finding.file.partition(":")
    place: dict[str, Any] = {"artifactLocation": {"uri": quote(file)}}
    if finding.line is not None:
        place["region"] = {"startLine": finding.line}
        if finding.text:
            place["region"]["snippet"] = {"text": finding.text}
    return {"physicalLocation": place, **({"logicalLocations": [{"fullyQualifiedName": part}]} if part else {})}


def _artifact(file: SeenFile) -> dict[str, Any]:
    hashes = {"hashes": {"sha-256": file.sha256}} if file.sha256 else {}
    return {"location": {"uri": quote(file.name)}, "length": file.size, **hashes}
