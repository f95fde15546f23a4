"""How long a log is kept: old segments are removed under a signed tombstone, nothing while there is a legal hold."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from molehunt.errors import LogError
from molehunt.logs.segments import HOLD, Pruned, Segment, SignedPruned, head_digest, segments, workers, write_aside
from molehunt.records.signing import SigningKey, sign_text


def prune(log: Path, older_than: datetime, key: SigningKey | None = None, reason: str = "retention") -> list[Segment]:
    """Remove the records of closed segments whose last record is older; heads stay, so the chain still verifies.

    The tombstone is there before the records go. Open segments, and such as are not yet rewritten, are left alone.

    Raises:
        LogError: if there is no such log, or a file HOLD lies in it.
    """
    if (log / HOLD).exists():
        do = f"remove {log / HOLD} when the hold is lifted"
        raise LogError(f"log {log}", wanted="no legal hold", got=_held(log / HOLD), do=do)
    limit = older_than.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    done = [segment for segment in prunable(log, limit) if _bury(segment, key, reason)]
    for segment in done:
        segment.table.unlink(missing_ok=True)
    return done


def prunable(log: Path, limit: str) -> Sequence[Segment]:
    """Closed segments whose records are all older than `limit`, a time as records have it."""
    found = [segment for worker in workers(log) for segment in segments(log / worker)]
    return [
        segment
        for segment in found
        if segment.table.exists()
        and not segment.lines.exists()
        and (signed := segment.head())
        and signed.head.last_time < limit
    ]


def _bury(segment: Segment, key: SigningKey | None, reason: str) -> bool:
    signed = segment.head()
    if signed is None:
        return False
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    pruned = Pruned(
        head=head_digest(signed.head), worker=segment.worker, segment=segment.number, time=now, reason=reason
    )
    stone = SignedPruned(pruned=pruned, signature=sign_text(key, pruned.canonical()) if key else None)
    write_aside(segment.pruned_file, stone.canonical() + "\n")
    return True


def _held(path: Path) -> str:
    try:
        said = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError:
        said = []
    return f"one: {said[0][:120]}" if said else "one"
