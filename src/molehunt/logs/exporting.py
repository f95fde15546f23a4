"""Hand a log on: its records as JSON lines, its calls as OpenTelemetry spans (OTLP in JSON)."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from molehunt.errors import LogError
from molehunt.logs import events
from molehunt.logs.chain import Entry
from molehunt.logs.closing import read_lines, read_table
from molehunt.logs.redaction import Encryption, is_sealed
from molehunt.logs.segments import Segment, segments, workers
from molehunt.records.base import canonical_json

_SPANS = 500
"""Spans of one line: a collector reads a line as one request."""
_WAITING = 100_000
"""Requests that wait for their answers at once; beyond, the oldest goes out without one."""


def entries(log: Path) -> Iterator[tuple[Segment, Entry]]:
    """All records of a log, worker by worker, in order; what retention removed is passed over. Raises LogError."""
    for worker in workers(log):
        for segment in segments(log / worker):
            for entry in _entries(segment):
                yield segment, entry


def _entries(segment: Segment) -> Iterator[Entry]:
    if segment.lines.exists():
        yield from read_lines(segment.lines)
    elif segment.table.exists():
        yield from read_table(segment.table)


def export_jsonl(log: Path, stream: TextIO, decrypt: Encryption | None = None) -> int:
    """One record a line: worker, segment, and what was hashed; returns how many.

    With `decrypt`, sealed members are opened, and the hashes are those of the sealed ones. Raises LogError.
    """
    count = 0
    for segment, entry in entries(log):
        line = {"worker": segment.worker, "segment": segment.number, **entry._asdict(), "body": _body(entry, decrypt)}
        stream.write(_told(line) + "\n")
        count += 1
    return count


def export_otlp(log: Path, stream: TextIO, decrypt: Encryption | None = None) -> int:
    """Spans, one a call, some hundred a line, each line an OTLP `ExportTraceServiceRequest` in JSON; returns how many. Raises LogError."""
    count, spans = 0, []
    for span in _spans(entries(log), decrypt):
        spans.append(span)
        count += 1
        if len(spans) == _SPANS:
            stream.write(_told(_request(spans)) + "\n")
            spans = []
    if spans:
        stream.write(_told(_request(spans)) + "\n")
    return count


def _body(entry: Entry, decrypt: Encryption | None) -> dict[str, Any]:
    body = entry.attributes()
    return decrypt.open(body) if decrypt and any(map(is_sealed, body.values())) else body


def _told(value: Any) -> str:
    try:
        text = canonical_json(value)
        text.encode("utf-8")
    except UnicodeEncodeError:
        return json.dumps(value, sort_keys=True, separators=(",", ":"))
    return text


def _spans(found: Iterable[tuple[Segment, Entry]], decrypt: Encryption | None) -> Iterator[dict[str, Any]]:
    waiting: dict[str, tuple[Entry, dict[str, Any]]] = {}
    for _, entry in found:
        if entry.event not in ("request", "answer", "interrupted"):
            continue
        body = _body(entry, decrypt)
        call = str(body.get(events.CALL_ID, entry.hash))
        if entry.event == "request":
            waiting[call] = (entry, body)
            if len(waiting) > _WAITING:
                first = next(iter(waiting))
                yield _span(first, *waiting.pop(first), None, {})
        else:
            asked, request = waiting.pop(call, (entry, {}))
            yield _span(call, asked, request, entry, body)
    for call, (asked, request) in waiting.items():
        yield _span(call, asked, request, None, {})


def _span(
    call: str, asked: Entry, request: Mapping[str, Any], ended: Entry | None, answer: Mapping[str, Any]
) -> dict[str, Any]:
    both = {**request, **answer}
    session = str(both.get(events.CONVERSATION) or call)
    name = f"{both.get(events.OPERATION, 'chat')} {both.get(events.REQUEST_MODEL, '')}".strip()
    failed = events.ERROR in both or ended is None or ended.event == "interrupted"
    hashes = {"molehunt.record.hash": (ended or asked).hash, "molehunt.request.hash": asked.hash}
    return {
        "traceId": hashlib.sha256(session.encode("utf-8", "replace")).hexdigest()[:32],
        "spanId": hashlib.sha256(call.encode("utf-8", "replace")).hexdigest()[:16],
        "name": name,
        "kind": 3,
        "startTimeUnixNano": str(_nanoseconds(asked.time)),
        "endTimeUnixNano": str(_nanoseconds((ended or asked).time)),
        "attributes": [{"key": key, "value": _value(key, value)} for key, value in sorted((both | hashes).items())],
        "status": {"code": 2} if failed else {"code": 1},
    }


def _value(key: str, value: Any) -> dict[str, Any]:
    """A value as OTLP has it; what is nested goes as the text of its JSON, as the conventions allow for spans."""
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int) and abs(value) < 2**63:
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return {"arrayValue": {"values": [{"stringValue": _clean(part)} for part in value]}}
    return {"stringValue": _clean(value if isinstance(value, str) else _told(value))}


def _clean(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _request(spans: list[dict[str, Any]]) -> dict[str, Any]:
    service = {"key": "service.name", "value": {"stringValue": "molehunt"}}
    scoped = {"scope": {"name": "molehunt.logs"}, "spans": spans}
    return {"resourceSpans": [{"resource": {"attributes": [service]}, "scopeSpans": [scoped]}]}


def _nanoseconds(time: str) -> int:
    try:
        at = datetime.fromisoformat(time)
    except ValueError as error:
        raise LogError("log", wanted="times in ISO 8601", got=time[:40]) from error
    return int(at.timestamp()) * 10**9 + at.microsecond * 1000
