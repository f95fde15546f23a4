"""Clients and their keys: a JSON file with salted hashes, read again whenever it changes."""

import hashlib
import hmac
import json
import os
import re
import secrets
import sys
import time
from pathlib import Path

from pydantic import Field, ValidationError

from molehunt.errors import GatewayError, UsageError
from molehunt.gateway.policies import CANARY
from molehunt.gateway.refusals import Refusal
from molehunt.gateway.state import State
from molehunt.records.base import Record, first_wrong

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_CACHED = 4096
_FILE = "keys"


class Client(Record):
    """Who asks, as the key says."""

    name: str
    groups: tuple[str, ...] = ()
    """Cedar's Group::"…" that it is in."""
    per_minute: float | None = Field(None, gt=0)
    """Requests; None: no limit."""
    body: int | None = Field(None, ge=1)
    """Bytes of a request, where fewer than for all."""
    operator: bool = False
    """May resolve holds; asks no models."""


class Key(Client):
    """One line of the file; a client may have several while it changes from one to the next."""

    salt: str
    hash: str
    """SHA-256 of salt and key, in hex: keys are 256 random bits, so nothing slower is needed."""
    expires: float | None = None
    """Seconds since 1970."""


class KeyFile(Record):
    """The whole file."""

    keys: tuple[Key, ...] = ()


def anonymous() -> Client:
    """Who asks a gateway without keys."""
    return Client(name="anonymous")


class Keys:
    """The keys of a running gateway.

    Args:
        state: where the last good file is kept, for a worker that takes the place of another while the file has an error.

    Raises:
        GatewayError: if the file has an error and there was no good one before.
    """

    def __init__(self, path: Path | None, state: State | None = None) -> None:
        self.path, self._state = path, state
        self.trouble = ""
        """What is wrong with the file now; empty if nothing is."""
        self._seen: tuple[int, int, int] | None = None
        self._keys: tuple[Key, ...] = ()
        self._known: dict[bytes, Key] = {}
        self.canary_key = secrets.token_urlsafe(32)
        """Of the live-path canaries; it never leaves this process."""
        if path is not None:
            self._seen = _stamp(path)
            self._keys = self._first(path)

    def _first(self, path: Path) -> tuple[Key, ...]:
        try:
            return self._read(path)
        except GatewayError as error:
            good = self._state.good(str(path)) if self._state else None
            if good is None:
                raise
            self.trouble = str(error)
            return KeyFile.model_validate_json(good[_FILE]).keys

    def _read(self, path: Path) -> tuple[Key, ...]:
        found = read_keys(path)
        if self._state is not None:
            self._state.keep_good(str(path), {_FILE: KeyFile(keys=found).model_dump_json()})
        return found

    def client(self, authorization: str) -> Client:
        """Who sends this header.

        Raises:
            Refusal: 401 for a key that is missing or unknown.
        """
        scheme, _, given = authorization.partition(" ")
        given = given.strip() if scheme.lower() == "bearer" else ""
        if given and hmac.compare_digest(given.encode("utf-8", "replace"), self.canary_key.encode()):
            return Client(name=CANARY)
        if self.path is None:
            return anonymous()
        self.refresh()
        key = self._find(given)
        if key is None or (key.expires is not None and key.expires < time.time()):
            raise Refusal(401, "the API key is missing or unknown", "invalid_api_key")
        return key

    def _find(self, given: str) -> Key | None:
        mark = hashlib.sha256(given.encode("utf-8", "replace")).digest()
        if (known := self._known.get(mark)) is not None:
            return known
        found = next((key for key in self._keys if hmac.compare_digest(hashed(key.salt, given), key.hash)), None)
        if found is not None and len(self._known) < _CACHED:
            self._known[mark] = found
        return found

    def refresh(self) -> None:
        """Read the file if it changed. One that cannot be read, or is gone, changes nothing but `trouble`, and says so on standard error."""
        stamp = _stamp(self.path) if self.path else None
        if self.path is None or stamp == self._seen:
            return
        self._seen = stamp
        try:
            self._keys, self._known, self.trouble = self._read(self.path), {}, ""
        except GatewayError as error:
            self.trouble = str(error)
            print(f"molehunt: {error}; the keys read before stay in force", file=sys.stderr, flush=True)


def hashed(salt: str, key: str) -> str:
    """What is kept of a key."""
    return hashlib.sha256(f"{salt}{key}".encode("utf-8", "replace")).hexdigest()


def read_keys(path: Path) -> tuple[Key, ...]:
    """The keys of a file. Raises GatewayError if it is none."""
    try:
        return KeyFile.model_validate_json(path.read_bytes()).keys
    except OSError as error:
        raise GatewayError(f"keys {path}", wanted="a file of keys", got=error.strerror or "none") from None
    except ValidationError as error:
        raise GatewayError(f"keys {path}", wanted="keys as `gateway key` writes them", got=first_wrong(error)) from None


def add_key(path: Path, client: Client) -> str:
    """Give a client a key, beside those that it has; the file keeps a hash alone.

    Returns:
        The key, to be shown once.

    Raises:
        UsageError: for a name that is no plain word, or one of ours.
    """
    if _NAME.fullmatch(client.name) is None or client.name.startswith("molehunt") or client.name == "anonymous":
        raise UsageError(f"client {client.name!r}", wanted="letters, digits, dots and hyphens", got="something else")
    key, salt = f"mh-{secrets.token_urlsafe(32)}", secrets.token_hex(16)
    line = Key(**client.model_dump(), salt=salt, hash=hashed(salt, key))
    old = read_keys(path) if path.exists() else ()
    write_keys(path, (*old, line))
    return key


def write_keys(path: Path, keys: tuple[Key, ...]) -> None:
    """Write the file aside and rename it, for its owner alone."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.touch(0o600)
    aside.write_text(json.dumps(KeyFile(keys=keys).model_dump(mode="json"), indent=1) + "\n")
    os.replace(aside, path)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
