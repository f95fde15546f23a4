"""Records of a log, each bound to the one before it.

A record's payload is the canonical JSON of its body, event, seq and time; its hash is SHA-256 over the hash before it, a line feed
and the payload. The first record of a chain stands on a hash of the worker's name, so that chains cannot be swapped.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from molehunt.errors import DataError

SCHEMA = "molehunt.log/1"
_EVENT = re.compile(r"[a-z][a-z0-9-]{0,39}")
_LINE = re.compile(
    r'\{"body":(\{.*\}),"event":"([a-z0-9-]+)","hash":"([0-9a-f]{64})","prev":"([0-9a-f]{64})","seq":(\d+),"time":"([0-9T:.Z-]+)"\}',
    re.DOTALL,
)


class Entry(NamedTuple):
    """One record of a chain as it lies there."""

    seq: int
    """Its place in the chain of its worker, from 0."""
    time: str
    """UTC, ISO 8601 with microseconds and Z."""
    event: str
    body: str
    """Canonical JSON of an object."""
    prev: str
    hash: str

    def derived(self) -> str:
        """The hash that these fields should have."""
        return link(self.prev, self.body, self.event, self.seq, self.time)

    def line(self) -> str:
        """The record as a line of an open segment, without line feed; canonical JSON."""
        return (
            f'{{"body":{self.body},"event":"{self.event}","hash":"{self.hash}","prev":"{self.prev}",'
            f'"seq":{self.seq},"time":"{self.time}"}}'
        )

    def attributes(self) -> dict[str, Any]:
        """The body's members."""
        found = json.loads(self.body)
        return found if isinstance(found, dict) else {}


def genesis(worker: str) -> str:
    """What the first record of a worker's chain stands on."""
    return hashlib.sha256(f"{SCHEMA}\n{worker}".encode()).hexdigest()


def link(prev: str, body: str, event: str, seq: int, time: str) -> str:
    """SHA-256 in hex over the hash before and the record's payload."""
    payload = f'{prev}\n{{"body":{body},"event":"{event}","seq":{seq},"time":"{time}"}}'
    return hashlib.sha256(payload.encode("utf-8")).hexdigest()


def parse(line: str) -> Entry | None:
    """The record of a line; None if it is not one, to the byte."""
    found = _LINE.fullmatch(line)
    if found is None:
        return None
    body, event, own, prev, seq, time = found.groups()
    entry = Entry(int(seq), time, event, body, prev, own)
    return entry if entry.line() == line else None


def body_text(event: str, body: Mapping[str, Any]) -> str:
    """The canonical JSON of a body. What UTF-8 has no bytes for is escaped, what JSON has no word for becomes a text.

    Raises:
        DataError: if it is nested too deeply, or holds what is no JSON at all.
    """
    if _EVENT.fullmatch(event) is None:
        raise DataError(f"event {event[:60]!r}", wanted="small letters, digits and hyphens", got="something else")
    try:
        text = _dumped(dict(body))
        text.encode("utf-8")
    except UnicodeEncodeError:
        return json.dumps(dict(body), sort_keys=True, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError):
        return _worded(event, body)
    return text


def _worded(event: str, body: Mapping[str, Any]) -> str:
    try:
        return json.dumps(_finite(dict(body)), sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise DataError(f"body of {event}", wanted="JSON", got=str(error)[:120]) from None


def _finite(value: Any) -> Any:
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return str(value)
    if isinstance(value, dict):
        return {str(key): _finite(part) for key, part in value.items()}
    return [_finite(part) for part in value] if isinstance(value, list | tuple) else value


def _dumped(value: Any) -> str:
    return _ENCODER.encode(value)


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
