"""What a gateway is told when it starts."""

import os
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field

from molehunt.errors import UsageError
from molehunt.records.base import Record


def checked_url(url: str, option: str, may_ask: bool = False) -> str:
    """The URL as it is. Raises UsageError if it is none that can be asked.

    Args:
        may_ask: it may have a query.
    """
    try:
        parts = urlsplit(url)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, or none of TCP
        is_url = False
    if not is_url or parts.username or (parts.query and not may_ask):
        wanted = f"http(s)://host/path, without user{'' if may_ask else ', key or query'}"
        raise UsageError(option, wanted=wanted, got=repr(url[:80]))
    return url


class UpstreamSettings(Record):
    """One server that models are asked at."""

    url: str
    """Up to /v1."""
    model: str = ""
    """Requests that name this model go here; empty: all that no other upstream has."""
    key_env: str = ""
    """Environment variable with the key that is sent; clients' own keys are never passed on."""
    folder: Path | None = None
    """The model's folder, if it is served from this machine: its digest is then computed, not declared."""
    declared: str = ""
    """Root digest of the weights that the server's owner declares."""
    audit: Path | None = None
    """`result.json` of an audit of these weights."""

    @classmethod
    def parsed(cls, text: str, option: str = "--upstream", **more: object) -> Self:
        """From URL, or MODEL=URL. Raises UsageError if it is neither, naming the option."""
        name, is_named, url = text.partition("=")
        is_named_url = bool(is_named) and "://" not in name
        url = checked_url(url if is_named_url else text, option).rstrip("/")
        return cls.model_validate({"model": name if is_named_url else "", "url": url, **more})


class Bounds(Record):
    """Sizes in bytes, times in seconds."""

    body: int = Field(16 * 2**20, ge=1024)
    """Of a request."""
    answer: int = Field(64 * 2**20, ge=1024)
    """Of an upstream's answer."""
    event: int = Field(4 * 2**20, ge=1024)
    """Of one event of a stream."""
    depth: int = Field(100, ge=8, le=400)
    """Of nested JSON."""
    reading: float = Field(30.0, gt=0)
    """For a client to send its request; for a connection to begin one."""
    connecting: float = Field(5.0, gt=0)
    stall: float = Field(120.0, gt=0)
    """Between two pieces of an upstream's answer, the first included."""
    answering: float = Field(900.0, gt=0)
    """For a whole answer."""
    asking: float = Field(120.0, gt=0)
    """For an operator to resolve a hold; then the call is denied."""
    connections: int = Field(512, ge=1)
    """Of clients at one worker; more are told 503."""


class GatewaySettings(Record):
    """All of it."""

    upstreams: tuple[UpstreamSettings, ...] = Field(min_length=1)
    policy: Path | None
    log: Path
    state: Path
    """Folder of what workers share: session tags, holds, rates."""
    host: str = "127.0.0.1"
    port: int = 0
    keys: Path | None = None
    workers: int = Field(1, ge=1, le=64)
    ledger: Path | None = None
    ledger_owner: Path | None = None
    """Public key of who must have signed the ledger's roles."""
    log_key: Path | None = None
    """Private key that signs the heads of the log's segments."""
    anchors: tuple[str, ...] = ()
    """Files or URLs that are told of every closed segment."""
    redaction: Path | None = None
    """TOML with what is blotted out of the log."""
    encryption_key: Path | None = None
    """With `encrypted`: members of records that are sealed, and the file of the key."""
    encrypted: tuple[str, ...] = ()
    is_log_durable: bool = False
    """Records are on disk, not only with the kernel, before anything goes on."""
    fail_open: bool = False
    """Answer although the log cannot be written."""
    rehash: float = Field(300.0, gt=0)
    """Seconds between two looks at the weights of a model of this machine."""
    canaries: float = Field(60.0, ge=0)
    """Seconds between two rounds of live-path canaries; 0: only at start."""
    webhook: str = ""
    """Told of every hold, with an HMAC of the body in x-molehunt-signature."""
    webhook_key_env: str = ""
    base: UpstreamSettings | None = None
    """The approved base model that rules with @differ ask the same thing."""
    bounds: Bounds = Bounds()


def key_of(variable: str) -> str:
    """The key in an environment variable; empty if none is named. Raises UsageError if the variable holds none."""
    key = os.environ.get(variable, "").strip() if variable else ""
    if variable and not (key and key.isascii() and key.isprintable()):
        raise UsageError(f"environment variable {variable}", wanted="a key", got="none that could be sent")
    return key
