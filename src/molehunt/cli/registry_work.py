"""What the commands on a registry do, apart from showing it."""

import os
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

from molehunt.cli.log_work import signing_key
from molehunt.cli.weights_places import place_of
from molehunt.errors import LedgerError, UsageError
from molehunt.provenance.admission import admit, model_digests
from molehunt.provenance.keys import load_public_key
from molehunt.provenance.ledger import Ledger
from molehunt.provenance.model_places import RemoteModels
from molehunt.provenance.policy import read_policy
from molehunt.provenance.roles import ROLES, member, read_signed_roles, write_roles
from molehunt.provenance.watching import Watch
from molehunt.records.registry import Action, Admission, Evidence, Member, Role, Roles, SignedEntry
from molehunt.records.signing import is_signed


def opened(registry: Path, owner: Path | None) -> Ledger:
    """The ledger of a registry. Raises LedgerError or SigningError."""
    return Ledger.open(registry, load_public_key(owner) if owner else None)


def watch_of(registry: str, owner: Path | None, state: Path, quarantine: bool, reference: Path | None) -> Watch:
    """A watch over a registry in a folder or at a URL. Raises LedgerError or SigningError."""
    if "://" not in registry:
        return Watch(opened(Path(registry), owner), state, quarantine, reference)
    models = RemoteModels(registry)
    here = state.parent / f"{state.stem}-ledger"
    here.mkdir(parents=True, exist_ok=True, mode=0o700)
    models.refresh(here)
    return Watch(opened(here, owner), state, quarantine, reference, models)


def decided(model: str, policy: Path, audit: Path | None, store: str | None) -> Admission:
    """What a policy says of a model. Raises MolehuntError."""
    wanted = read_policy(policy)
    return admit(place_of(model, store), wanted, audit=audit, name=model)


def entered(
    action: Action, model: str, registry: Path, name: str, key: Path, reason: str, anchor: Path | None, store: str | None,
    admission: Admission | None,
) -> SignedEntry:  # fmt: skip
    """Append one entry, and tell it to an anchor file. Raises LedgerError or SigningError."""
    signer = signing_key(key)
    assert signer is not None
    ledger = Ledger.open(registry)
    is_digest = action == "revoke" and re.fullmatch(r"[0-9a-f]{64}", model)
    if admission:
        digest, tree = admission.root_digest, admission.tree_digest
    else:
        digest, tree = (model, "") if is_digest else _digests(model, store)
    evidence = admission.evidence if admission else Evidence()
    signed = ledger.append(action, digest, signer, name=name, tree=tree, reason=reason, evidence=evidence)
    if anchor:
        anchored(ledger, anchor)
    return signed


def _digests(model: str, store: str | None) -> tuple[str, str]:
    digest, tree, odd = model_digests(place_of(model, store))
    if odd:
        raise LedgerError(f"model {model}", wanted="regular files alone", got=odd, do="take it out")
    return digest, tree


def anchored(ledger: Ledger, path: Path) -> None:
    """Tell an anchor file where the ledger and its roles stand. Raises LedgerError."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(handle, (ledger.anchor().canonical() + "\n").encode())
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        got = f"{error.strerror}; the entry itself is in the ledger"
        raise LedgerError(f"anchor {path}", wanted="room to write", got=got) from None


def changed_roles(
    registry: Path, key: Path | None, members: Sequence[str], retire: Sequence[str], one_person: bool
) -> None:
    """Sign the next version of a registry's roles. Raises UsageError, LedgerError or SigningError."""
    signer = signing_key(key)
    if signer is None:
        raise UsageError("--member, --retire, --one-person", wanted="--key of the owner, who signs", got="none")
    old = read_signed_roles(registry) if (registry / ROLES).exists() else None
    if old and not is_signed(signer.public, old.roles.canonical(), old.signature):
        raise LedgerError(f"roles of {registry}", wanted=f"the owner's key {old.signature.key_id[:16]}", got="another")
    found: dict[str, Member] = dict(old.roles.members) if old else {}
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    for name in retire:
        mine = [key_id for key_id, one in found.items() if one.name == name and not one.until]
        if not mine:
            raise UsageError(f"--retire {name}", wanted="a member", got="none of that name")
        found |= {key_id: found[key_id].model_copy(update={"until": now}) for key_id in mine}
    for text in members:
        new = _member(text)
        _require_wider(found, new)
        found |= new
    two = not one_person and (old is None or old.roles.two_persons)
    write_roles(registry, Roles(version=old.roles.version + 1 if old else 1, members=found, two_persons=two), signer)


def _require_wider(old: Mapping[str, Member], new: Mapping[str, Member]) -> None:
    """Entries that a key signed are judged by its roles, so that these may only grow."""
    for key_id, one in new.items():
        before = old.get(key_id)
        if before and (before.until or not set(before.roles) <= set(one.roles)):
            got = f"the key of {before.name}, {'retired' if before.until else ', '.join(before.roles)}"
            do = "retire it, and give this member another key"
            raise UsageError(f"--member {one.name}", wanted="a new key, or more roles than it has", got=got, do=do)


def _member(text: str) -> dict[str, Member]:
    name, _, rest = text.partition(":")
    words, _, path = rest.partition(":")
    roles = [word for word in words.split(",") if word]
    strange = sorted(set(roles) - set(get_args(Role)))
    if not name or not path or strange:
        got = strange[0] if strange else text
        raise UsageError(
            f"--member {text}", wanted="NAME:ROLE,ROLE:PUB.pem with read, propose, approve, promote", got=got
        )
    return member(name, load_public_key(Path(path)), *roles)  # type: ignore[arg-type]
