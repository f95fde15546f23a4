"""What may stand in a ledger: its rules, and what is wrong with an entry that is not right."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import ValidationError

from molehunt.errors import LedgerError
from molehunt.provenance.keys import PublicKey
from molehunt.provenance.roles import may
from molehunt.records.base import sha256_text
from molehunt.records.registry import Action, LedgerAnchor, LedgerEntry, LedgerProblem, Roles, SignedEntry, Standing
from molehunt.records.signing import is_signed

GENESIS = sha256_text("molehunt.ledger/1")
"""What the first entry stands on."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*")


def after(before: Standing, action: Action) -> Standing:
    """Where a model stands after an entry that is no revocation."""
    if action == "promote":
        return "promoted"
    if action == "approve":
        return "promoted" if before == "promoted" else "approved"
    return "proposed" if before == "unknown" else before


def forbidden(entry: LedgerEntry, before: Sequence[LedgerEntry], roles: Roles) -> str:
    """Which rule of a registry an entry breaks; empty if none."""
    if why := may(roles, entry.by, entry.action, entry.time):
        return why
    if entry.action == "revoke":
        return ""
    if any(e.action == "revoke" and e.model == entry.model for e in before):
        return "it was revoked, which is for ever"
    named = [e for e in before if e.action == "approve" and e.name == entry.name]
    if _NAME.fullmatch(entry.name) is None:
        return "its name is not made of letters, digits, dots, hyphens and slashes, or begins with a dot"
    if any(e.model != entry.model for e in named):
        return f"the name {entry.name} is another model's for ever: {named[0].model[:16]}…"
    if entry.action == "promote" and not named:
        return "it was not approved"
    if entry.action == "promote" and entry.tree and any(e.tree not in ("", entry.tree) for e in named):
        return "its files have other names than those that were approved"
    if entry.action == "promote" and roles.two_persons and all(e.by == entry.by for e in named):
        return "who approved it may not promote it too: two persons are needed"
    return ""


def unsigned(signed: SignedEntry, roles: Roles) -> str:
    """Why the signature of an entry does not count; empty if it does."""
    entry = signed.entry
    found = roles.members.get(entry.by)
    if found is None:
        return f"it is signed by a key without a role, {entry.by[:16]}"
    if not is_signed(PublicKey.from_pem(found.pem.encode()), entry.canonical(), signed.signature):
        return f"it is not what {found.name} signed"
    return may(roles, entry.by, entry.action, entry.time)


def wrong(signed: SignedEntry | None, before: Sequence[SignedEntry], roles: Roles) -> str:
    """What is not right with the next entry; empty if nothing."""
    if signed is None:
        return "it is no entry"
    prev = before[-1].hash if before else GENESIS
    if signed.entry.seq != len(before):
        return f"entry {signed.entry.seq} is in its place"
    if signed.hash != signed.entry.digest():
        return "it was rewritten: its hash is another"
    if signed.entry.prev != prev:
        return "it does not follow on the entry before"
    if before and signed.entry.time < before[-1].entry.time:
        return "it is dated before the entry before it"
    return unsigned(signed, roles) or forbidden(signed.entry, [one.entry for one in before], roles)


def against(entries: Sequence[SignedEntry], anchor: LedgerAnchor, roles: Roles) -> LedgerProblem | None:
    """How entries contradict what was told elsewhere; None if they do not."""
    if entries and entries[0].hash != anchor.ledger:
        return LedgerProblem(seq=0, what="it is another ledger than the one that was anchored")
    if len(entries) <= anchor.seq:
        return LedgerProblem(seq=len(entries), what=f"the tail is cut: entries up to {anchor.seq} were anchored")
    if entries[anchor.seq].hash != anchor.hash:
        return LedgerProblem(seq=anchor.seq, what="it is not the entry that was anchored")
    if roles.version < anchor.roles:
        what = (
            f"roles.json is version {roles.version}, where version {anchor.roles} was anchored: an old one was put back"
        )
        return LedgerProblem(seq=anchor.seq, what=what)
    return None


def parsed(line: bytes) -> SignedEntry | None:
    """The entry of a line; None if it is not one, to the byte."""
    try:
        signed = SignedEntry.model_validate_json(line)
    except ValidationError:
        return None
    return signed if signed.canonical().encode() == line else None


def read_ledger_anchors(paths: Iterable[Path]) -> list[LedgerAnchor]:
    """The lines of anchor files. Raises LedgerError at one that is no anchor."""
    found = []
    for path in paths:
        try:
            lines = path.read_bytes().splitlines()
            found += [LedgerAnchor.model_validate_json(line) for line in lines if line.strip()]
        except OSError as error:
            raise LedgerError(f"anchors {path}", wanted="a file that can be read", got=error.strerror or "") from None
        except ValidationError as error:
            raise LedgerError(f"anchors {path}", wanted="anchors", got=str(error).splitlines()[0]) from None
    return found
