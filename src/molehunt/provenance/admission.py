"""One decision on a model: its signature, scan, provenance, audit and standing in the ledger, by one policy."""

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from molehunt.errors import LedgerError, ModelError, NotAdmittedError
from molehunt.provenance.grading import check_provenance
from molehunt.provenance.hashing import ONE_FILE, hash_contents, look
from molehunt.provenance.keys import load_public_key
from molehunt.provenance.ledger import Ledger
from molehunt.provenance.ledger_rules import read_ledger_anchors
from molehunt.provenance.policy import (
    AuditPolicy,
    LedgerPolicy,
    Policy,
    ProvenancePolicy,
    ScanPolicy,
    SignaturePolicy,
)
from molehunt.provenance.scanning import scan_folder
from molehunt.provenance.signing import verify_folder
from molehunt.provenance.trust import KeyTrust, SigstoreTrust
from molehunt.records.audits import AuditResult
from molehunt.records.identity import is_part, root_of, tree_of
from molehunt.records.registry import Admission, Evidence, Reason


def admit(
    model: Path, policy: Policy, *, audit: Path | None = None, attestation: Path | None = None, name: str = ""
) -> Admission:
    """Whether a policy admits a model folder, with every reason; nothing of it is loaded.

    Args:
        audit: the audit's result.json; else it is looked for in the policy's folder.
        attestation: where it lies; beside the model if None.
        name: what to call the model; its path if empty.

    Raises:
        ModelError: if there is no such folder, or no file in it.
        MolehuntError: if a key, trust config or ledger that the policy names cannot be read, or Sigstore not be reached.
    """
    digest, tree, odd = model_digests(model)
    found: list[Reason] = []
    evidence: dict[str, str] = {}
    if policy.signature:
        found.append(_signature(model, digest, policy.signature, evidence))
    if policy.scan:
        found.append(_scan(model, digest, policy.scan, evidence))
    if policy.provenance:
        found.append(_provenance(model, policy.provenance, attestation, evidence))
    if policy.audit:
        found.append(_audit(digest, policy.audit, audit, evidence))
    if policy.ledger:
        found.append(_ledger(digest, tree, odd, policy.ledger))
    return Admission(
        model=name or str(model), root_digest=digest, tree_digest=tree, reasons=tuple(found), evidence=Evidence(**evidence)
    )  # fmt: skip


def model_digests(model: Path) -> tuple[str, str, str]:
    """Root digest and tree digest of a model folder, and in words what in it no digest tells of, such as a link that leads out.

    Raises:
        ModelError: if there is no such folder, or no file in it.
        SigningError: if a file cannot be read, or anything changes meanwhile.
    """
    contents = look(model, follow_links=True) if model.is_dir() else None
    if contents is None or not contents.files:
        got = "an empty folder" if contents else "a file" if model.exists() else "no such folder"
        raise ModelError(f"model {model}", wanted="a model folder", got=got, do="check the path")
    digests = {name: digest for name, digest in hash_contents(contents).items() if is_part(name)}
    odd = ", ".join(f"{name} ({what})" for name, what in sorted(contents.odd.items())[:3])
    return root_of(digests), tree_of(digests), odd


def require_admitted(admission: Admission) -> None:
    """Raises NotAdmittedError with the first reason that stands against it."""
    against = [reason for reason in admission.reasons if reason.outcome != "passed"]
    if against:
        told = "; ".join(f"{reason.check}: {reason.why}" for reason in against)
        raise NotAdmittedError(f"model {admission.model}", wanted="a model that the policy admits", got=told)


def _signature(model: Path, digest: str, policy: SignaturePolicy, evidence: dict[str, str]) -> Reason:
    report = verify_folder(model, _signers(policy))
    if report.is_verified and report.root_digest != digest:
        return Reason(check="signature", outcome="not examined", why="the files changed while they were examined")
    if report.is_verified and report.signer:
        evidence["signer"] = report.signer.key_id or report.signer.who
        return Reason(check="signature", outcome="passed", why=f"signed by {report.signer.who}")
    return Reason(check="signature", outcome="refused", why=f"{report.outcome}: {report.reason}")


def _signers(policy: SignaturePolicy) -> KeyTrust | SigstoreTrust:
    if policy.keys:
        return KeyTrust(tuple(load_public_key(path) for path in policy.keys))
    return SigstoreTrust(policy.identity, policy.identity_provider, policy.trust_config, policy.offline)


def _scan(model: Path, digest: str, policy: ScanPolicy, evidence: dict[str, str]) -> Reason:
    report = scan_folder(model, policy.base)
    evidence["scan"] = report.outcome
    counted = [finding for finding in report.counted if finding.rule not in policy.allow]
    left = [finding for finding in report.not_analysed if finding.rule not in policy.allow]
    if counted:
        more = f" (and {len(counted) - 1} more)" if counted[1:] else ""
        return Reason(check="scan", outcome="refused", why=f"{counted[0].file}: {counted[0].message}{more}")
    if left or report.root_digest != digest:
        why = f"{left[0].file}: {left[0].message}" if left else "the files are not those that were hashed"
        return Reason(check="scan", outcome="not examined", why=why)
    return Reason(check="scan", outcome="passed", why=f"{len(report.files)} files, nothing found that is not let be")


def _provenance(model: Path, policy: ProvenancePolicy, place: Path | None, evidence: dict[str, str]) -> Reason:
    trust = KeyTrust(tuple(load_public_key(path) for path in policy.keys))
    report = check_provenance(model, trust, policy.base, policy.data, place)
    if report.outcome != "checked":
        outcome: Literal["refused", "not examined"] = (
            "not examined" if report.outcome == "not verifiable" else "refused"
        )
        return Reason(check="provenance", outcome=outcome, why=report.reason)
    grades = {claim.name: claim.grade for claim in report.claims}
    weak = [f"{name} is {grades.get(name, 'not told')}" for name in policy.consistent if grades.get(name) not in _HOLDS]
    evidence["provenance"] = ", ".join(f"{name} {grade}" for name, grade in grades.items())
    if weak:
        return Reason(check="provenance", outcome="refused", why=f"{', '.join(weak)}; consistent is wanted")
    return Reason(check="provenance", outcome="passed", why=report.sentence().partition("provenance: ")[2])


_HOLDS = ("consistent", "recomputed")


def _audit(digest: str, policy: AuditPolicy, named: Path | None, evidence: dict[str, str]) -> Reason:
    place = named or (policy.folder / f"{digest}.json" if policy.folder else None)
    if place is None or not place.is_file():
        where = f" at {place}" if place else ""
        return Reason(check="audit", outcome="not examined", why=f"there is no result of an audit{where}")
    try:
        data = place.read_bytes()
        result = AuditResult.model_validate_json(data)
    except (OSError, ValidationError) as error:
        why = f"{place} is no result of an audit: {str(error).splitlines()[0][:120]}"
        return Reason(check="audit", outcome="not examined", why=why)
    subject = result.identity.subject
    if subject is None or subject.root_digest != digest:
        return Reason(check="audit", outcome="refused", why=f"{place} is of another model")
    evidence |= {"audit": result.verdict, "card": result.card or "", "audit_sha256": hashlib.sha256(data).hexdigest()}
    if against := _against(result, policy) or _unsigned(place, data, policy):
        return Reason(check="audit", outcome="refused", why=against)
    when = f", judged {result.judged[:10]}" if result.judged else ""
    return Reason(check="audit", outcome="passed", why=f"{result.verdict}, by card {result.card}{when}")


def _against(result: AuditResult, policy: AuditPolicy) -> str:
    """Why a policy does not take an audit; empty if it does."""
    if result.verdict not in policy.verdicts:
        return f"the verdict is: {result.verdict}"
    if (policy.card or policy.cards) and not result.card:
        return "no card spoke of such models"
    if policy.cards and result.card not in policy.cards:
        return f"it was judged by card {result.card}; {' or '.join(policy.cards)} is wanted"
    return _too_old(result.judged, policy.max_age_days) if policy.max_age_days else ""


_SKEW = timedelta(minutes=10)
"""By which another machine's clock may be ahead."""


def _too_old(judged: str, days: float) -> str:
    try:
        when = datetime.fromisoformat(judged)
        age = datetime.now(UTC) - (when if when.tzinfo else when.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        return f"the audit does not say when it was judged; at most {days:g} days ago is wanted"
    if age < -_SKEW:
        return f"the audit is dated {judged}, which is still to come"
    return (
        f"the audit is {age / timedelta(days=1):.1f} days old; at most {days:g} are wanted"
        if age > timedelta(days=days)
        else ""
    )


def _unsigned(place: Path, data: bytes, policy: AuditPolicy) -> str:
    """Why a result is not one that a key of the policy signed; looks at the bytes that were read, whatever lies there by now."""
    if not policy.keys:
        return ""
    report = verify_folder(place, KeyTrust(tuple(load_public_key(path) for path in policy.keys)))
    if not report.is_verified:
        return f"the audit's signature: {report.outcome}: {report.reason}"
    same = report.root_digest == root_of({ONE_FILE: hashlib.sha256(data).digest()})
    return "" if same else "the audit changed while it was examined"


def _ledger(digest: str, tree: str, odd: str, policy: LedgerPolicy) -> Reason:
    if odd:
        return Reason(check="ledger", outcome="refused", why=f"no digest tells of {odd}")
    try:
        owner = load_public_key(policy.owner) if policy.owner else None
        ledger = Ledger.open(policy.registry, owner)
        standing = ledger.standing(digest)
        problem = ledger.verify(read_ledger_anchors(policy.anchors)).problem
        trees = ledger.trees(digest, policy.name) if not problem else set()
    except LedgerError as error:
        return Reason(check="ledger", outcome="refused", why=str(error))
    if standing == "revoked":
        entry = ledger.revocation(digest)
        return Reason(check="ledger", outcome="refused", why=f"it was revoked: {entry.reason if entry else ''}")
    if problem:
        return Reason(check="ledger", outcome="refused", why=f"entry {problem.seq} of the ledger: {problem.what}")
    if policy.name and ledger.approved().get(policy.name) != digest:
        return Reason(check="ledger", outcome="refused", why=f"it was not approved as {policy.name}")
    wanted = {"any": (), "approved": ("approved", "promoted"), "promoted": ("promoted",)}[policy.standing]
    if wanted and standing not in wanted:
        return Reason(check="ledger", outcome="refused", why=f"it is {standing}; {policy.standing} is wanted")
    if trees and tree not in trees:
        return Reason(check="ledger", outcome="refused", why="its files have other names than those that were approved")
    return Reason(check="ledger", outcome="passed", why=f"it is {standing}")
