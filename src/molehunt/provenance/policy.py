"""What a registry or a loader wants of a model: a policy in TOML."""

import tomllib
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from molehunt.errors import UsageError
from molehunt.records.scans import RULES


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SignaturePolicy(_Table):
    """Who must have signed the files: one of some keys, or an identity that Sigstore vouches for."""

    keys: tuple[Path, ...] | None = Field(None, min_length=1)
    """Public keys in PEM; a path is from the policy's folder."""
    identity: str = ""
    """A mail address, or the URL of a workflow; instead of keys."""
    identity_provider: str = ""
    """URL of who says that it is theirs."""
    trust_config: Path | None = None
    """Of a private Sigstore, or kept from a time with a network; nothing is asked then."""
    offline: bool = False
    """Believe whom the public Sigstore named when it was asked last, and ask nobody."""

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        has_identity = bool(self.identity and self.identity_provider)
        if (self.keys is None) != has_identity or (self.keys and self.model_fields_set != {"keys"}):
            raise ValueError("either keys, or identity and identity_provider")
        if self.offline and self.trust_config:
            raise ValueError("either trust_config, which asks nobody, or offline")
        return self


class ScanPolicy(_Table):
    """What the scan of the files may find."""

    allow: tuple[str, ...] = ()
    """Rules whose findings are let be, such as remote-code."""
    base: Path | None = None
    """Folder of the model that it was made from, whose chat template is ordinary."""


class ProvenancePolicy(_Table):
    """Who must have attested how it was made, and what of that must hold."""

    keys: tuple[Path, ...] = Field(min_length=1)
    """Public keys in PEM."""
    base: Path | None = None
    """Folder of the model that it says it was made from."""
    data: Path | None = None
    """File of rows that it says it was trained on."""
    consistent: tuple[str, ...] = ("model",)
    """Claims that must have been checked against what is at hand; the others may be asserted, none contradicted."""


class AuditPolicy(_Table):
    """What an audit must have said of exactly these weights."""

    verdicts: tuple[str, ...] = ("nothing found within coverage",)
    folder: Path | None = None
    """Where results lie as ROOT_DIGEST.json, if none is named."""
    card: bool = True
    """Whether it must have been judged by a card."""
    cards: tuple[str, ...] = ()
    """Names of cards, one of which it must have been judged by; empty for any."""
    max_age_days: float | None = Field(None, gt=0)
    """Days that may have passed since it was judged; None for any."""
    keys: tuple[Path, ...] = ()
    """Public keys in PEM, one of which must have signed the result (`molehunt weights sign RESULT.json`); empty to believe whatever lies there."""


class LedgerPolicy(_Table):
    """What the ledger must say; a revoked model is refused in any case."""

    registry: Path
    owner: Path | None = None
    """Public key that must have signed the roles."""
    standing: Literal["any", "approved", "promoted"] = "approved"
    name: str = ""
    """Name under which it must have been approved, so that no other approved model passes in its place; empty for any."""
    anchors: tuple[Path, ...] = ()


class Policy(_Table):
    """The tables of a policy; one that is left out is not asked for."""

    signature: SignaturePolicy | None = None
    scan: ScanPolicy | None = None
    provenance: ProvenancePolicy | None = None
    audit: AuditPolicy | None = None
    ledger: LedgerPolicy | None = None


def read_policy(path: Path) -> Policy:
    """The policy of a TOML file, its paths made whole. Raises UsageError, naming what is off."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        policy = Policy.model_validate(_rooted(table, path.resolve().parent))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        got = getattr(error, "strerror", None) or str(error)[:160]
        raise UsageError(
            f"policy {path}", wanted="a TOML file", got=got, do="check the path and what is in it"
        ) from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"policy {path}: {where}", wanted="what docs/registry.md lists", got=first["msg"]) from None
    if not policy.model_fields_set:
        raise UsageError(f"policy {path}", wanted="at least one table", got="none", do="see docs/registry.md")
    if policy.scan and (strange := set(policy.scan.allow) - set(RULES)):
        raise UsageError(f"policy {path}: scan.allow", wanted="rules of a scan", got=min(strange))
    return policy


_PATHS = {
    "signature": ("keys", "trust_config"),
    "scan": ("base",),
    "provenance": ("keys", "base", "data"),
    "audit": ("folder", "keys"),
    "ledger": ("registry", "owner", "anchors"),
}


def _rooted(table: dict[str, Any], folder: Path) -> dict[str, Any]:
    for name, keys in _PATHS.items():
        part = table.get(name)
        if not isinstance(part, dict):
            continue
        for key in keys:
            value = part.get(key)
            if isinstance(value, str):
                part[key] = folder / value
            elif isinstance(value, list):
                part[key] = [folder / one if isinstance(one, str) else one for one in value]
    return table
