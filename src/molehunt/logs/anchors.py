"""Anchors: where a chain's last hash is told to somebody who does not keep the log, so that a cut tail is seen."""

import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from pydantic import ConfigDict, Field, ValidationError

from molehunt.errors import LogError
from molehunt.records.base import Record
from molehunt.records.signing import hmac_header

_TRIES, _PAUSE, _TIMEOUT = 3, 0.5, 5.0
"""Of a webhook: how often it is tried, and seconds."""


class AnchorLine(Record):
    """One anchor: up to here the chain stood so."""

    model_config = ConfigDict(serialize_by_alias=True)
    schema_: Literal["molehunt.log-anchor/1"] = Field("molehunt.log-anchor/1", alias="schema")
    worker: str
    segment: int
    seq: int
    """Of the last record that it covers."""
    hash: str
    """That record's."""
    head: str = ""
    """Digest of the segment's head, if it was closed there."""
    time: str


class Anchor(Protocol):
    """Somewhere to tell."""

    def put(self, line: AnchorLine) -> None:
        """Tell it. Raises LogError if that could not be done."""
        ...


@dataclass(frozen=True)
class FileAnchor:
    """A file to which lines are only ever added; it should lie where the log's keeper cannot write otherwise (chattr +a)."""

    path: Path

    def put(self, line: AnchorLine) -> None:
        try:
            handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(handle, (line.canonical() + "\n").encode())
                os.fsync(handle)
            finally:
                os.close(handle)
        except OSError as error:
            raise LogError(f"anchor {self.path}", wanted="room to write", got=error.strerror or str(error)) from error


@dataclass(frozen=True)
class WebhookAnchor:
    """A POST of the line, with an HMAC if there is a secret: `X-Molehunt-Signature: sha256=HEX` over the body."""

    url: str
    secret: bytes = b""

    def put(self, line: AnchorLine) -> None:
        body = line.canonical().encode()
        headers = {"Content-Type": "application/json", **hmac_header(body, self.secret)}
        for tried in range(_TRIES):
            try:
                request = urllib.request.Request(self.url, body, headers, method="POST")
                with urllib.request.urlopen(request, timeout=_TIMEOUT):
                    return
            except (urllib.error.URLError, OSError, ValueError) as error:
                if tried == _TRIES - 1:
                    raise LogError(f"anchor {self.url}", wanted="an answer of 2xx", got=str(error)[:120]) from error
            time.sleep(_PAUSE * 2**tried)


def anchor_of(place: "str | Path | Anchor") -> Anchor:
    """A file by its path, a webhook by its URL, or an anchor as it is."""
    if isinstance(place, str) and place.startswith(("http://", "https://")):
        return WebhookAnchor(place, os.environ.get("MOLEHUNT_WEBHOOK_SECRET", "").encode())
    return FileAnchor(Path(place)) if isinstance(place, str | Path) else place


def read_anchors(path: Path) -> Iterator[AnchorLine]:
    """The lines of an anchor file.

    Raises:
        LogError: if it cannot be read, or a line is no anchor; lines of other schemas are passed over.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise LogError(f"anchors {path}", wanted="a file of anchors", got=str(error)[:120]) from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield AnchorLine.model_validate(json.loads(line))
        except (ValueError, ValidationError) as error:
            got = str(error).splitlines()[0]
            raise LogError(f"anchors {path}, line {number}", wanted="an anchor", got=got) from None
