"""Who may do what in a registry: `roles.json`, signed by its owner."""

import os
import stat
from pathlib import Path

from pydantic import ValidationError

from molehunt.errors import LedgerError
from molehunt.provenance.keys import PrivateKey, PublicKey
from molehunt.provenance.writing import write_whole
from molehunt.records.base import first_wrong
from molehunt.records.registry import NEEDED as _NEEDED
from molehunt.records.registry import Action, Member, Role, Roles, SignedRoles
from molehunt.records.signing import is_signed, sign_text

ROLES = "roles.json"


def write_roles(registry: Path, roles: Roles, owner: PrivateKey) -> Path:
    """Sign the roles and put them in place of the old ones, whose version must be lower. Raises LedgerError or SigningError."""
    place = registry / ROLES
    if place.exists() and read_roles(registry).version >= roles.version:
        raise LedgerError(f"roles {place}", wanted="a higher version than the old one's", got=str(roles.version))
    registry.mkdir(parents=True, exist_ok=True)
    signed = SignedRoles(roles=roles, signature=sign_text(owner, roles.canonical()))
    write_whole(place, (signed.model_dump_json(indent=1) + "\n").encode())
    return place


def member(name: str, key: PublicKey, *roles: Role) -> dict[str, Member]:
    """An entry of `Roles.members`."""
    return {key.key_id: Member(name=name, pem=key.pem.decode(), roles=roles)}


def read_roles(registry: Path, owner: PublicKey | None = None) -> Roles:
    """The roles of a registry.

    Args:
        owner: whose signature they must bear; None believes the signature's own word for whose it is.

    Raises:
        LedgerError: if they are missing, no roles, or not signed by the owner.
    """
    return read_signed_roles(registry, owner).roles


def read_signed_roles(registry: Path, owner: PublicKey | None = None) -> SignedRoles:
    """The same with their signature. Raises LedgerError."""
    place = registry / ROLES
    try:
        signed = SignedRoles.model_validate_json(place.read_bytes())
    except OSError as error:
        do = "make one: molehunt weights roles"
        raise LedgerError(f"roles {place}", wanted="signed roles", got=error.strerror or "", do=do) from None
    except ValidationError as error:
        raise LedgerError(f"roles {place}", wanted="signed roles", got=first_wrong(error)) from None
    for key_id, one in signed.roles.members.items():
        if PublicKey.from_pem(one.pem.encode()).key_id != key_id:
            raise LedgerError(
                f"roles {place}", wanted="keys under their own ids", got=f"another key under {key_id[:16]}"
            )
    if owner and not is_signed(owner, signed.roles.canonical(), signed.signature):
        raise LedgerError(
            f"roles {place}", wanted=f"the signature of {owner.key_id[:16]}", got="another, or changed roles"
        )
    return signed


def may(roles: Roles, key_id: str, action: Action, time: str) -> str:
    """Why a key may not do this at a time; empty if it may."""
    found = roles.members.get(key_id)
    if found is None:
        return f"key {key_id[:16]} has no role"
    if found.until and time >= found.until:
        return f"the key of {found.name} counts only until {found.until}"
    needed = _NEEDED[action]
    return "" if needed in found.roles else f"{found.name} may not {action}: it needs the role {needed}"


def loose(registry: Path) -> list[str]:
    """Files and folders of a registry that others than their owner can write, by their path in it."""
    found = []
    for folder, folders, files in os.walk(registry):
        for name in (*folders, *files) if folder != str(registry) else (".", *folders, *files):
            path = Path(folder) / name
            mode = path.lstat().st_mode
            if not stat.S_ISLNK(mode) and mode & (stat.S_IWGRP | stat.S_IWOTH):
                found.append(path.relative_to(registry).as_posix())
    return sorted(found)
