"""A registry of models: who may do what, what was approved on which evidence, what a policy says, what a watch saw."""

from typing import Any, Literal

from pydantic import Field

from molehunt.records.base import Record
from molehunt.records.signing import Signature

Role = Literal["read", "propose", "approve", "promote"]
Action = Literal["propose", "approve", "promote", "revoke"]
Standing = Literal["unknown", "proposed", "approved", "promoted", "revoked"]
NEEDED: dict[Action, Role] = {"propose": "propose", "approve": "approve", "promote": "promote", "revoke": "approve"}
"""The role that an action needs."""


class Member(Record):
    """One key and what it may do."""

    name: str
    pem: str
    """The public key."""
    roles: tuple[Role, ...]
    until: str = ""
    """From this time on (UTC, ISO 8601) its signatures count no longer; earlier ones still do."""


class Roles(Record):
    """`roles.json`: the members of a registry by key id."""

    version: int = Field(ge=1)
    """Counts up; a lower one than was seen before is an old file brought back."""
    members: dict[str, Member]
    two_persons: bool = True
    """A promotion needs another key than the approval's."""


class SignedRoles(Record):
    """Roles with the signature of the registry's owner."""

    roles: Roles
    signature: Signature


class Evidence(Record):
    """What an approval stands on."""

    signer: str = ""
    """Key id or identity whose signature of the files was verified."""
    scan: str = ""
    """Outcome of the scan of the files."""
    provenance: str = ""
    """Every claim with its grade: recomputed, consistent or asserted."""
    audit: str = ""
    """Verdict of the audit."""
    card: str = ""
    """Name of the card that it was judged by."""
    audit_sha256: str = ""
    """Of the audit's result.json."""


class LedgerEntry(Record):
    """One line of a ledger, without its hash and signature."""

    seq: int = Field(ge=0)
    time: str
    action: Action
    model: str = Field(pattern="^[0-9a-f]{64}$")
    """Its root digest."""
    tree: str = Field("", exclude_if=lambda tree: not tree)
    """Digest over names and contents of its files (`identity.tree_of`), since a root digest sees no names; ledgers of before have none."""
    name: str = ""
    """Its place in the registry; a revocation needs none."""
    by: str
    """Key id."""
    reason: str = ""
    evidence: Evidence = Evidence()
    prev: str
    """Hash of the entry before."""


class SignedEntry(Record):
    """An entry as it lies in the ledger."""

    entry: LedgerEntry
    hash: str
    """The entry's digest, in which the hash before stands."""
    signature: Signature
    """Of the canonical JSON of the entry."""


class LedgerAnchor(Record):
    """A ledger's last hash, told to somebody who does not keep it."""

    ledger: str
    """Hash of its first entry."""
    seq: int
    hash: str
    time: str
    roles: int = 0
    """Version of the roles at that time; anchors of before have none."""


class LedgerProblem(Record):
    """The first entry that is not what it was, or may not be there."""

    seq: int
    what: str


class LedgerReport(Record):
    """What verifying a ledger found."""

    registry: str
    entries: int
    """That are right."""
    problem: LedgerProblem | None
    unanchored: int
    """Entries after the last anchor: nobody could tell if more had followed and were cut off."""
    loose: tuple[str, ...] = ()
    """Files that others than their owner can write."""
    owner: str = ""
    """Key id that signed the roles."""
    is_owner_named: bool = False
    """Whether it was compared with a key that was named, or believed as it stands there."""

    @property
    def outcome(self) -> Literal["verified", "broken", "not fully verified"]:
        """What is broken goes before what could not be told."""
        if self.problem:
            return "broken"
        return "verified" if not self.unanchored and self.is_owner_named else "not fully verified"

    def to_json(self) -> dict[str, Any]:
        """The record as JSON values, with its outcome."""
        return {"outcome": self.outcome, **self.model_dump(mode="json")}


Check = Literal["signature", "scan", "provenance", "audit", "ledger"]


class Reason(Record):
    """What one check of a policy says."""

    check: Check
    outcome: Literal["passed", "refused", "not examined"]
    why: str


class Admission(Record):
    """The decision of a policy on a model, with every reason."""

    model: str
    root_digest: str
    tree_digest: str
    """The same, which sees names too."""
    reasons: tuple[Reason, ...]
    evidence: Evidence

    @property
    def outcome(self) -> Literal["admitted", "refused", "not examined"]:
        """One refusal refuses; what could not be examined is never admitted."""
        said = {reason.outcome for reason in self.reasons}
        return "refused" if "refused" in said else "not examined" if "not examined" in said else "admitted"

    def to_json(self) -> dict[str, Any]:
        """The record as JSON values, with its outcome."""
        return {"outcome": self.outcome, **self.model_dump(mode="json")}


class WatchedChange(Record):
    """One file that is not what it was."""

    file: str
    what: Literal["changed", "added", "removed"]
    before: str = ""
    """SHA-256."""
    after: str = ""


class WatchEvent(Record):
    """Something that a watch saw in a registry."""

    time: str
    kind: Literal["changed", "missing", "revoked", "unapproved", "permissions", "ledger"]
    name: str
    """Place in the registry."""
    what: str
    """One sentence."""
    approved_digest: str = ""
    found_digest: str = ""
    changes: tuple[WatchedChange, ...] = ()
    difference: str = ""
    """How the weights differ from the trusted copy, in one sentence."""
    approved_by: str = ""
    """Name and key id of who approved or promoted last."""
    quarantined: str = ""
    """Where it was moved to."""
