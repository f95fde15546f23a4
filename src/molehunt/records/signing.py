"""Signatures over short texts: heads of logs, entries of ledgers. What a key is, is somebody else's to say."""

import base64
import binascii
import hashlib
import hmac
from typing import Protocol

from molehunt.records.base import Record


class CheckingKey(Protocol):
    """The half of a key that is given away."""

    @property
    def key_id(self) -> str:
        """What signatures name it by: SHA-256 of its DER, in hex."""
        ...

    def verify(self, data: bytes, signature: bytes) -> bool:
        """True if the other half signed exactly these bytes."""
        ...


class SigningKey(Protocol):
    """A key that signs, such as `provenance.keys.PrivateKey`."""

    @property
    def public(self) -> CheckingKey:
        """The half to give away."""
        ...

    def sign(self, data: bytes) -> bytes:
        """A signature over these bytes."""
        ...


class Signature(Record):
    """Who signed, and what."""

    key_id: str
    value: str
    """In base64."""


def sign_text(key: SigningKey, text: str) -> Signature:
    """A signature over the UTF-8 bytes of `text`."""
    value = base64.b64encode(key.sign(text.encode("utf-8"))).decode()
    return Signature(key_id=key.public.key_id, value=value)


def is_signed(key: CheckingKey, text: str, signature: Signature | None) -> bool:
    """True if `signature` is this key's, over the UTF-8 bytes of `text`."""
    if signature is None or signature.key_id != key.key_id:
        return False
    try:
        return key.verify(text.encode("utf-8"), base64.b64decode(signature.value, validate=True))
    except binascii.Error:
        return False


def hmac_header(body: bytes, secret: bytes) -> dict[str, str]:
    """The header by which the receiver of a POST knows who sent it; none without a secret."""
    if not secret:
        return {}
    return {"X-Molehunt-Signature": f"sha256={hmac.new(secret, body, hashlib.sha256).hexdigest()}"}
