"""What is known of the model behind an endpoint, as policies see it."""

import time
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import ValidationError

from molehunt.errors import GatewayError
from molehunt.records.audits import AuditResult

Source = Literal["verified", "declared", "unknown"]
_DAY = 86400.0


class AuditFacts(NamedTuple):
    """An audit's verdict on certain weights."""

    digest: str
    """Of the weights that were examined; empty if an endpoint was."""
    verdict: str
    calibrated: bool
    """A card spoke of such models."""
    at: float
    """When its file was written, in seconds since 1970."""


class ModelFacts(NamedTuple):
    """One model, as it is known now."""

    name: str
    digest: str
    source: Source
    """verified: computed from the files here; declared: somebody said so."""
    standing: str
    """In the approval ledger: approved, revoked, …; unknown without one."""
    audit: AuditFacts | None

    def context(self) -> dict[str, Any]:
        """`context.model` and `context.audit` of every question."""
        model = {"name": self.name, "digest": self.digest, "source": self.source, "standing": self.standing}
        return {"model": model, "audit": self._audit()}

    def _audit(self) -> dict[str, Any]:
        if self.audit is None or self.audit.digest != self.digest or not self.digest:
            return {"verdict": "none", "calibrated": False, "age_days": 2**31}
        age = max(0, int((time.time() - self.audit.at) / _DAY))
        return {"verdict": self.audit.verdict, "calibrated": self.audit.calibrated, "age_days": age}


def read_audit(path: Path | None) -> AuditFacts | None:
    """The verdict in an audit's `result.json`; a folder stands for the file in it. Raises GatewayError if it is none."""
    if path is None:
        return None
    file = path / "result.json" if path.is_dir() else path
    try:
        result = AuditResult.model_validate_json(file.read_bytes())
        written = file.stat().st_mtime
    except (OSError, ValidationError) as error:
        got = (error.strerror or "none") if isinstance(error, OSError) else "something else"
        raise GatewayError(f"audit {path}", wanted="result.json of an audit", got=got) from None
    subject = result.identity.subject
    return AuditFacts(subject.root_digest if subject else "", result.verdict, result.card is not None, written)
