"""Elliptic-curve keys in PEM files: the ones that the OpenSSF Model Signing specification knows."""

import os
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from molehunt.errors import SigningError
from molehunt.records.identity import sha256_hex

PASSWORD_VARIABLE = "MOLEHUNT_KEY_PASSWORD"
"""Environment variable that the commands read a key's password from."""
KEY_VARIABLE = "MOLEHUNT_SIGNING_KEY"
"""Environment variable that names the private key with which statements on what is made are signed."""
_HASHES = {"secp256r1": hashes.SHA256(), "secp384r1": hashes.SHA384(), "secp521r1": hashes.SHA512()}
"""Hash by curve, as the Sigstore bundle format has it."""
_WANTED = "an EC key on P-256, P-384 or P-521"
_MAKE = "make one: openssl ecparam -name prime256v1 -genkey -noout -out key.pem"


@dataclass(frozen=True)
class PublicKey:
    """The half that verifies."""

    ec_key: ec.EllipticCurvePublicKey

    @property
    def key_id(self) -> str:
        """SHA-256 of the DER SubjectPublicKeyInfo, in hex: the same whatever file the key came in."""
        return sha256_hex(self.ec_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))

    @property
    def pem(self) -> bytes:
        """As a PEM file holds it."""
        return self.ec_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def verify(self, data: bytes, signature: bytes) -> bool:
        """True if the private half signed exactly these bytes."""
        try:
            self.ec_key.verify(signature, data, _ecdsa(self.ec_key))
        except InvalidSignature:
            return False
        return True

    @staticmethod
    def from_pem(pem: bytes) -> "PublicKey":
        """Of a public key in PEM. Raises SigningError."""
        try:
            return PublicKey(_checked(load_pem_public_key(pem), "public key"))
        except (ValueError, UnsupportedAlgorithm) as error:
            raise SigningError("public key", wanted=_WANTED, got=_first_line(error)) from None


@dataclass(frozen=True)
class PrivateKey:
    """The half that signs; its public half with it."""

    ec_key: ec.EllipticCurvePrivateKey

    @property
    def public(self) -> PublicKey:
        """The half to give away."""
        return PublicKey(self.ec_key.public_key())

    def sign(self, data: bytes) -> bytes:
        """A DER-encoded ECDSA signature, with the hash that belongs to the curve."""
        return self.ec_key.sign(data, _ecdsa(self.ec_key.public_key()))

    def pem(self, password: bytes | None = None) -> bytes:
        """PKCS #8; encrypted if there is a password."""
        locked: KeySerializationEncryption = BestAvailableEncryption(password) if password else NoEncryption()
        return self.ec_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked)


def new_private_key() -> PrivateKey:
    """A fresh key on P-256."""
    return PrivateKey(ec.generate_private_key(ec.SECP256R1()))


def load_private_key(path: Path, password: bytes | None = None) -> PrivateKey:
    """The private key of a PEM file.

    Raises:
        SigningError: if there is no such file, it is no private EC key, or the password is missing, wrong or not needed.
    """
    pem = _read(path)
    try:
        return PrivateKey(_checked_private(load_pem_private_key(pem, password or None), path))
    except TypeError:  # what the library raises when a password and an encryption do not come together
        if password:
            do = f"leave out --password-file, unset {PASSWORD_VARIABLE}"
            raise SigningError(f"key {path}", wanted="no password", got="one", do=do) from None
        do = f"give --password-file, or set {PASSWORD_VARIABLE}"
        raise SigningError(f"key {path} is encrypted", wanted="its password", got="none", do=do) from None
    except (ValueError, UnsupportedAlgorithm) as error:
        got = "a wrong password" if password and b"ENCRYPTED" in pem else _what_it_is(pem, error)
        raise SigningError(f"key {path}", wanted=f"a private key: {_WANTED}", got=got, do=_MAKE) from None


def key_of_environment() -> PrivateKey | None:
    """The key that MOLEHUNT_SIGNING_KEY names, with the password of MOLEHUNT_KEY_PASSWORD; None if it names none.

    Raises:
        SigningError: if it cannot be read.
    """
    place = os.environ.get(KEY_VARIABLE)
    password = os.fsencode(os.environ.get(PASSWORD_VARIABLE, "")) or None
    return load_private_key(Path(place), password) if place else None


def load_public_key(path: Path, password: bytes | None = None) -> PublicKey:
    """The public key of a PEM file that holds a public key, a certificate, or a private key.

    Raises:
        SigningError: if there is no such file, or no EC key in it.
    """
    pem = _read(path)
    if b"PRIVATE KEY-----" in pem:
        return load_private_key(path, password).public
    try:
        found = x509.load_pem_x509_certificate(pem).public_key() if b"BEGIN CERTIFICATE" in pem else None
        return PublicKey(_checked(found or load_pem_public_key(pem), f"key {path}"))
    except (ValueError, UnsupportedAlgorithm) as error:
        got = _what_it_is(pem, error)
        raise SigningError(f"key {path}", wanted=f"a public key: {_WANTED}", got=got) from None


def _ecdsa(key: ec.EllipticCurvePublicKey) -> ec.ECDSA:
    return ec.ECDSA(_HASHES[key.curve.name])


def _checked(key: object, what: str) -> ec.EllipticCurvePublicKey:
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _HASHES:
        return key
    raise SigningError(what, wanted=_WANTED, got=_kind(key), do=_MAKE)


def _checked_private(key: object, path: Path) -> ec.EllipticCurvePrivateKey:
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in _HASHES:
        return key
    raise SigningError(f"key {path}", wanted=_WANTED, got=_kind(key), do=_MAKE)


def _kind(key: object) -> str:
    curve = getattr(getattr(key, "curve", None), "name", "")
    return (
        f"a key on {curve}" if curve else type(key).__name__.replace("PrivateKey", "").replace("PublicKey", "") + " key"
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        do = "name a PEM file with --key"
        raise SigningError(f"key {path}", wanted="a PEM file", got=error.strerror or str(error), do=do) from None


def _what_it_is(pem: bytes, error: Exception) -> str:
    if b"-----BEGIN " not in pem:
        return "a file that is no PEM"
    return "a public key" if b"BEGIN PUBLIC KEY" in pem else _first_line(error)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
