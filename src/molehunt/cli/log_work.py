"""What the commands on logs do, apart from showing it."""

import os
import re
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from molehunt.errors import DataError, UsageError
from molehunt.logs import events
from molehunt.logs.anchors import read_anchors
from molehunt.logs.copies import fetch
from molehunt.logs.reading import has_call
from molehunt.logs.verifying import LogReport, verify
from molehunt.logs.writing import LogWriter, RecordRef
from molehunt.provenance.keys import PASSWORD_VARIABLE, PrivateKey, load_private_key, load_public_key

_UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}


def verified(log: str, keys: Sequence[Path], anchors: Sequence[Path]) -> LogReport:
    """Verify a log in a folder or at a URL. Raises LogError or SigningError."""
    public = [load_public_key(path) for path in keys]
    told = [line for path in anchors for line in read_anchors(path)] if anchors else None
    if "://" not in log:
        return verify(Path(log), public, told)
    with tempfile.TemporaryDirectory(prefix="molehunt-log-") as folder:
        fetch(log, Path(folder))
        return verify(Path(folder), public, told).model_copy(update={"log": log})


def flagged(log: Path, call: str, incident: str, by: str, key: PrivateKey | None) -> RecordRef:
    """Append a flag to the chain of flags. Raises DataError if the log has no such call."""
    if not has_call(log, call):
        raise DataError(f"call {call!r}", wanted="the id of a call in the log", got="none such", do="check the id")
    with LogWriter(log, "flags", key=key) as writer:
        return writer.append("flag", {events.CALL_ID: call, events.FLAG: incident, events.BY: by})


def signing_key(path: Path | None) -> PrivateKey | None:
    """The key of a file, with the password of the environment; None for None. Raises SigningError."""
    password = os.environ.get(PASSWORD_VARIABLE, "").encode()
    return load_private_key(path, password or None) if path else None


def moment(text: str) -> datetime:
    """A time ago, such as 180d, or a date or time in ISO 8601, UTC unless it says. Raises UsageError."""
    if found := re.fullmatch(r"(\d{1,6})([dhms])", text):
        return datetime.now(UTC) - timedelta(seconds=int(found[1]) * _UNITS[found[2]])
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"time {text!r}", wanted="such as 180d, 12h or 2026-05-01", got="something else") from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
