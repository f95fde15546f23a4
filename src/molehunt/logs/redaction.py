"""What a log does not keep in the clear: texts that rules blot out, fields that are encrypted."""

import base64
import binascii
import hashlib
import json
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from molehunt.errors import LogError, UsageError

_SEALED = "molehunt.encrypted"


@dataclass(frozen=True)
class Redaction:
    """Regular expressions by name; what they match in any text becomes [redacted:NAME] before it is hashed.

    Member names are not looked at, texts within texts (a tool's arguments) are.
    """

    rules: tuple[tuple[str, re.Pattern[str]], ...]

    @classmethod
    def of(cls, rules: Mapping[str, str]) -> "Redaction":
        """Compile the rules. Raises UsageError for one that is no regular expression, naming it."""
        return cls(tuple((name, _compiled(name, pattern)) for name, pattern in rules.items()))

    @classmethod
    def read(cls, path: Path) -> "Redaction":
        """The `[redact]` table of a TOML file: NAME = "REGEX". Raises UsageError."""
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8")).get("redact")
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise UsageError(f"redaction {path}", wanted="TOML", got=str(error)[:120]) from None
        if not isinstance(table, dict) or not all(isinstance(pattern, str) for pattern in table.values()):
            raise UsageError(f"redaction {path}", wanted='[redact] with NAME = "REGEX"', got="something else")
        return cls.of(table)

    def apply(self, value: Any) -> Any:
        """The value with every text in it redacted."""
        if isinstance(value, str):
            for name, pattern in self.rules:
                value = pattern.sub(f"[redacted:{name}]", value)
            return value
        if isinstance(value, Mapping):
            return {key: self.apply(part) for key, part in value.items()}
        return [self.apply(part) for part in value] if isinstance(value, list | tuple) else value


def _compiled(name: str, pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise UsageError(f"redaction rule {name}", wanted="a regular expression", got=str(error)) from None


@dataclass(frozen=True)
class Encryption:
    """AES-256-GCM over single members of a body, bound to their name; hashes are over what is stored, so verifying needs no key."""

    key: bytes
    """32 bytes."""
    fields: tuple[str, ...]
    """Member names, such as gen_ai.input.messages."""

    @classmethod
    def read(cls, path: Path, fields: Sequence[str] = ()) -> "Encryption":
        """With the key of a file: 32 raw bytes, or the same in hex or base64. Raises UsageError."""
        try:
            data = path.read_bytes()
        except OSError as error:
            raise UsageError(f"key {path}", wanted="a file", got=error.strerror or str(error)) from None
        key = data if len(data) == 32 else _decoded(data.strip())
        if key is None or len(key) != 32:
            raise UsageError(
                f"key {path}", wanted="32 bytes: raw, hex or base64", got=f"{len(data)} bytes of something"
            )
        return cls(key, tuple(fields))

    @property
    def key_id(self) -> str:
        """What sealed members name the key by."""
        return hashlib.sha256(b"molehunt.log-key\n" + self.key).hexdigest()[:16]

    def seal(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The body with these fields sealed."""
        return {name: self._sealed(name, value) if name in self.fields else value for name, value in body.items()}

    def _sealed(self, name: str, value: Any) -> dict[str, str]:
        nonce = os.urandom(12)
        text = json.dumps(value).encode()
        sealed = nonce + AESGCM(self.key).encrypt(nonce, text, name.encode())
        return {_SEALED: base64.b64encode(sealed).decode(), "key": self.key_id}

    def open(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The body in the clear. Raises LogError if something in it is not this key's, or was changed."""
        return {name: self._opened(name, value) if is_sealed(value) else value for name, value in body.items()}

    def _opened(self, name: str, value: Mapping[str, str]) -> Any:
        if value.get("key") != self.key_id:
            raise LogError(f"sealed {name}", wanted=f"key {value.get('key')}", got=f"key {self.key_id}")
        data = base64.b64decode(value[_SEALED])
        try:
            return json.loads(AESGCM(self.key).decrypt(data[:12], data[12:], name.encode()))
        except (InvalidTag, ValueError) as error:
            raise LogError(f"sealed {name}", wanted="what was sealed", got="something changed") from error


def is_sealed(value: object) -> bool:
    """True for a member that was encrypted."""
    return isinstance(value, Mapping) and isinstance(value.get(_SEALED), str)


def _decoded(text: bytes) -> bytes | None:
    try:
        return binascii.unhexlify(text) if len(text) == 64 else base64.b64decode(text, validate=True)
    except binascii.Error:
        return None
