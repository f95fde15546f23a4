"""Signature files: Sigstore bundles v0.3 around a DSSE envelope, read without being believed, and written for statements of our own."""

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass
from typing import Any, Literal

from cryptography import x509

from molehunt.provenance.keys import PrivateKey, PublicKey

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
LARGEST = 256 << 20
"""Bytes of a signature file that is read: 1e6 files take about 150 MB."""
How = Literal["key", "certificate", "sigstore"]


class BundleError(Exception):
    """What is wrong with a signature file, in words."""


@dataclass(frozen=True)
class Bundle:
    """A signature file taken apart; nothing of it is verified."""

    how: How
    payload: bytes
    signature: bytes
    hint: str = ""
    """Which key it was signed with: SHA-256 of its PEM, in hex."""
    certificates: tuple[x509.Certificate, ...] = ()
    """The signer's first, then who vouches for it."""

    def is_signed_by(self, key: PublicKey) -> bool:
        """True if the envelope holds a signature of this key, over the encoding that DSSE v1 asks for."""
        return key.verify(encoded(self.payload), self.signature)


def encoded(payload: bytes) -> bytes:
    """The bytes that are signed: DSSE's pre-authentication encoding (secure-systems-lab/dsse, protocol.md)."""
    return f"DSSEv1 {len(PAYLOAD_TYPE)} {PAYLOAD_TYPE} {len(payload)} ".encode() + payload


def hint_of(key: PublicKey) -> str:
    """What a bundle names a key by."""
    return hashlib.sha256(key.pem).hexdigest()


def write_bundle(statement: dict[str, Any], key: PrivateKey) -> bytes:
    """An in-toto statement, signed, as a bundle."""
    payload = json.dumps(statement, sort_keys=True, ensure_ascii=False, allow_nan=False).encode()
    signature = base64.b64encode(key.sign(encoded(payload))).decode()
    bundle = {
        "mediaType": MEDIA_TYPE,
        "verificationMaterial": {"publicKey": {"hint": hint_of(key.public)}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": base64.b64encode(payload).decode(), "payloadType": PAYLOAD_TYPE,
            "signatures": [{"sig": signature, "keyid": ""}],
        },
    }  # fmt: skip
    return json.dumps(bundle, indent=1).encode() + b"\n"


def read_bundle(raw: bytes) -> Bundle:
    """Take a signature file apart.

    Raises:
        BundleError: if it is no bundle of an in-toto statement with exactly one signature.
    """
    try:
        bundle = json.loads(raw)
        envelope, material = bundle["dsseEnvelope"], bundle["verificationMaterial"]
        kinds = (bundle["mediaType"], envelope["payloadType"])
        signatures = envelope["signatures"]
        if kinds != (MEDIA_TYPE, PAYLOAD_TYPE):
            wrong = kinds[0] if kinds[0] != MEDIA_TYPE else kinds[1]
            raise BundleError(f"a bundle of another type: {str(wrong)[:80]!r}")
        if len(signatures) != 1:
            raise BundleError(f"{len(signatures)} signatures instead of one")
        return _bundle(material, _bytes(envelope["payload"]), _bytes(signatures[0]["sig"]))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BundleError(f"no bundle of Sigstore ({type(error).__name__})") from None


def _bundle(material: dict[str, Any], payload: bytes, signature: bytes) -> Bundle:
    if "publicKey" in material:
        return Bundle("key", payload, signature, hint=str(material["publicKey"].get("hint") or ""))
    if "x509CertificateChain" in material:
        listed = material["x509CertificateChain"]["certificates"]
        chain = tuple(x509.load_der_x509_certificate(_bytes(one["rawBytes"])) for one in listed)
        if not chain:
            raise BundleError("a chain without certificates")
        return Bundle("certificate", payload, signature, certificates=chain)
    if "certificate" in material:
        leaf = x509.load_der_x509_certificate(_bytes(material["certificate"]["rawBytes"]))
        return Bundle("sigstore", payload, signature, certificates=(leaf,))
    raise BundleError("neither a key nor a certificate in it")


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise BundleError("text that is no base64") from None
