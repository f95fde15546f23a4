"""Keys from PEM files: what they sign they verify, and every wrong file is said in a sentence."""

import hashlib
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from molehunt.errors import SigningError
from molehunt.provenance.keys import PrivateKey, PublicKey, load_private_key, load_public_key, new_private_key


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()], ids=lambda c: c.name)
@pytest.mark.parametrize("password", [None, b"p\xc3\xa4ss"])
def test_a_key_from_a_file_signs_and_its_public_half_verifies(
    tmp_path: Path, curve: ec.EllipticCurve, password: bytes | None
) -> None:
    made = PrivateKey(ec.generate_private_key(curve))
    private, public = tmp_path / "key.pem", tmp_path / "pub.pem"
    private.write_bytes(made.pem(password))
    public.write_bytes(made.public.pem)
    key = load_private_key(private, password)
    signature = key.sign(b"bytes")
    for half in (load_public_key(public), load_public_key(private, password), PublicKey.from_pem(made.public.pem)):
        assert half.key_id == key.public.key_id
        assert half.verify(b"bytes", signature)
        assert not half.verify(b"Bytes", signature)
        assert not half.verify(b"bytes", signature[:-1])
    assert not new_private_key().public.verify(b"bytes", signature)


def test_the_key_id_is_the_digest_of_the_der_of_the_public_key() -> None:
    key = new_private_key().public
    der = subprocess.run(
        ["openssl", "pkey", "-pubin", "-outform", "DER"], input=key.pem, capture_output=True, check=True
    ).stdout
    assert key.key_id == hashlib.sha256(der).hexdigest()


def test_every_key_that_cannot_be_used_is_said_in_a_sentence(tmp_path: Path) -> None:
    key, file = new_private_key(), tmp_path / "key.pem"

    def refused(pem: bytes, password: bytes | None = None, public: bool = False) -> str:
        file.write_bytes(pem)
        with pytest.raises(SigningError) as caught:
            (load_public_key if public else load_private_key)(file, password)
        return str(caught.value)

    assert "its password" in refused(key.pem(b"x"))
    assert "wrong password" in refused(key.pem(b"x"), b"y")
    assert "wanted no password" in refused(key.pem(), b"y")
    assert "got a public key" in refused(key.public.pem)
    assert "no PEM" in refused(b"\x00\xff")
    assert "no PEM" in refused(b"", public=True)
    edwards = ed25519.Ed25519PrivateKey.generate()
    assert "Ed25519" in refused(edwards.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    rsa_key = rsa.generate_private_key(65537, 2048)
    assert "RSA" in refused(rsa_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), public=True)
    bitcoin = PrivateKey(ec.generate_private_key(ec.SECP256K1()))
    assert "secp256k1" in refused(bitcoin.pem())
    cut = key.pem()
    assert "wanted a private key" in refused(cut[:60] + cut[-30:])
    with pytest.raises(SigningError, match="No such file"):
        load_private_key(tmp_path / "none.pem")
    with pytest.raises(SigningError, match="Is a directory"):
        load_public_key(tmp_path)


def test_a_certificate_gives_its_public_key(tmp_path: Path) -> None:
    key, now = new_private_key(), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "signer")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.ec_key.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + timedelta(days=1))
    (tmp_path / "cert.pem").write_bytes(builder.sign(key.ec_key, hashes.SHA256()).public_bytes(Encoding.PEM))
    assert load_public_key(tmp_path / "cert.pem").key_id == key.public.key_id
