"""Keys, certificates, and folders to sign."""

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from molehunt.provenance.bundle import encoded
from molehunt.provenance.keys import PrivateKey, new_private_key
from molehunt.provenance.trust import KeySigner, KeyTrust

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
KEY = new_private_key()
SIGNER, TRUST = KeySigner(KEY), KeyTrust((KEY.public,))


def key_files(folder: Path, key: PrivateKey = KEY) -> tuple[Path, Path]:
    """The private and the public half as files."""
    folder.mkdir(parents=True, exist_ok=True)
    private, public = folder / "key.pem", folder / "public.pem"
    private.write_bytes(key.pem())
    public.write_bytes(key.public.pem)
    return private, public


def certificate(
    key: PrivateKey, name: str, by: "tuple[PrivateKey, x509.Certificate] | None" = None, days: tuple[int, int] = (-10, 10)
) -> x509.Certificate:  # fmt: skip
    """For a key, from one day to another, counted from NOW; by itself or by an authority. Authorities may not sign models."""
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    signs = by is not None
    usage = x509.KeyUsage(signs, False, False, False, False, not signs, not signs, False, False)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by[1].subject if by else subject)
        .public_key(key.ec_key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + timedelta(days=days[0]))
        .not_valid_after(NOW + timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(ca=not signs, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.ec_key.public_key()), critical=False)
    )
    return builder.sign((by[0] if by else key).ec_key, hashes.SHA256())


def pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(one.public_bytes(Encoding.PEM) for one in certificates)


def small_folder(folder: Path) -> Path:
    """A few files with folders, an empty one, and names that sort differently by text and by part."""
    files = {
        "config.json": b"{}", "model.safetensors": bytes(range(256)) * 8, "a/b.txt": b"one", "a.txt": b"two",
        "a-b/c.bin": b"three", "empty": b"", "deep/er/still/x": b"four", "ümlaut 名.md": b"five", "colon:1:2": b"six",
    }  # fmt: skip
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def statement_in(signature: Path) -> dict[str, Any]:
    """What a signature file says, unverified."""
    bundle = json.loads(signature.read_text())
    found: dict[str, Any] = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
    return found


def resign(signature: Path, payload: bytes, key: PrivateKey = KEY) -> None:
    """Put another payload into a signature file, signed with the key as if it were right."""
    bundle = json.loads(signature.read_text())
    envelope = bundle["dsseEnvelope"]
    envelope["payload"] = base64.b64encode(payload).decode()
    envelope["signatures"][0]["sig"] = base64.b64encode(key.sign(encoded(payload))).decode()
    signature.write_text(json.dumps(bundle))
