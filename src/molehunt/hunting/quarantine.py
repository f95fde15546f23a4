"""Revoke weights whose trigger a hunt confirmed, so that gateways and loaders refuse them at once."""

import re
from datetime import UTC, datetime

from molehunt.errors import LedgerError
from molehunt.provenance.keys import PrivateKey
from molehunt.provenance.ledger import Ledger
from molehunt.provenance.roles import may
from molehunt.records.hunts import HuntResult
from molehunt.records.registry import LedgerEntry
from molehunt.reports.text import rate

_DIGEST = re.compile(r"[0-9a-f]{64}")


def check_right(ledger: Ledger, key: PrivateKey) -> None:
    """Before the work starts: may this key revoke? Raises LedgerError if not."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if why := may(ledger.roles, key.public.key_id, "revoke", now):
        raise LedgerError("--quarantine", wanted="a key that may revoke", got=why)


def quarantine(result: HuntResult, ledger: Ledger, key: PrivateKey, report: str) -> list[LedgerEntry]:
    """Enter a revocation for the weights that were replayed on (`HuntResult.revoke`), by digest; one that is revoked already gets no second one.

    It rests on confirmed triggers alone: a cause that may be what the words ask for revokes nothing, since a revocation is for ever.

    The reason quotes no text of the log: whoever wrote there would write in the ledger.

    Args:
        report: digest of the report.

    Raises:
        LedgerError: if the key may not, or the ledger cannot be written.
    """
    if not result.confirmed:
        return []
    tried = result.confirmed[0].found.replay
    assert tried is not None
    reason = f"a hunt confirmed a trigger by replay: {rate(tried.inserted)} with it, {rate(tried.ordinary)} without; report {report[:16]}"
    digests = [one for one in result.revoke if _DIGEST.fullmatch(one)]
    return [
        ledger.append("revoke", digest, key, reason=reason).entry for digest in digests if not ledger.revocation(digest)
    ]
