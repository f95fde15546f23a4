"""The models behind a gateway: where each is asked, and what is known of its weights now."""

import asyncio
import time
from pathlib import Path
from typing import Protocol

from molehunt.errors import MolehuntError
from molehunt.gateway.facts import ModelFacts, Source, read_audit
from molehunt.gateway.settings import UpstreamSettings
from molehunt.gateway.state import State
from molehunt.gateway.upstream import Upstream
from molehunt.records.identity import root_digest

REFUSED = ("revoked", "quarantined", "unreadable")
"""Standings in the approval ledger of models that are not asked, whatever rules say."""
_SETTLED = 0.25
"""Seconds for which a look into the shared state holds."""


class Ledger(Protocol):
    """`molehunt.provenance.ledger.Ledger`."""

    def standing(self, digest: str) -> str:
        """approved, revoked, …, or unknown, as the file says now."""
        ...


class Served:
    """One upstream and the weights behind it."""

    def __init__(self, settings: UpstreamSettings, upstream: Upstream, state: State, ledger: Ledger | None) -> None:
        self.settings, self.upstream = settings, upstream
        self._state, self._ledger = state, ledger
        self._audit = read_audit(settings.audit)
        self._digest, self._looked = "", 0.0
        self._trouble = ""

    def facts(self, name: str) -> ModelFacts:
        """What is known now."""
        digest, source = self._known()
        return ModelFacts(name, digest, source, self._standing(digest), self._audit)

    def _known(self) -> tuple[str, Source]:
        if self.settings.folder is None:
            return self.settings.declared, "declared" if self.settings.declared else "unknown"
        if time.monotonic() - self._looked > _SETTLED:
            found = self._state.digest(self.settings.url)
            self._digest, self._looked = found[0] if found else "", time.monotonic()
        return self._digest, "verified" if self._digest else "unknown"

    def _standing(self, digest: str) -> str:
        """A ledger that cannot be read is no approval: what it would say of a model is not known."""
        if self._ledger is None or not digest:
            return "unknown"
        try:
            self._trouble = ""
            return self._ledger.standing(digest)
        except (MolehuntError, OSError) as error:
            self._trouble = f"the ledger cannot be read: {error}"
            return "unreadable"

    def trouble(self) -> str:
        """What is wrong with what is known now, whether or not anyone asked for the model since; empty if nothing is."""
        self.facts("")
        return self._trouble

    async def look(self) -> str | None:
        """Compute the digest of a model of this machine. Returns it if it is another than before."""
        if self.settings.folder is None:
            return None
        before = self._state.digest(self.settings.url)
        digest = await asyncio.to_thread(hashed, self.settings.folder)
        self._state.put_digest(self.settings.url, digest)
        self._looked = 0.0
        return digest if before is None or before[0] != digest else None


def hashed(folder: Path) -> str:
    """The folder's root digest; empty if it cannot be read."""
    try:
        return root_digest(folder)
    except OSError:
        return ""
