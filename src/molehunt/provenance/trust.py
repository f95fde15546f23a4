"""Who signs, and who is believed: keys, certificates, or identities that Sigstore vouches for; the way into the model-signing library."""

import contextlib
import io
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from molehunt.errors import SigningError
from molehunt.provenance.bundle import PAYLOAD_TYPE, Bundle, hint_of, read_bundle
from molehunt.provenance.keys import PrivateKey, PublicKey
from molehunt.records.signatures import SignerSeen

if TYPE_CHECKING:
    from model_signing import signing, verifying
    from sigstore.verify import Verifier

_SKEW = timedelta(minutes=5)
"""So far two clocks may be apart."""


class NotVerifiableError(Exception):
    """Why a signature can be called neither right nor wrong, in words."""


class WrongSignatureError(Exception):
    """Why a signature is not that of who was asked for, in words."""


@dataclass(frozen=True)
class KeySigner:
    """Sign with a key."""

    key: PrivateKey

    @property
    def seen(self) -> SignerSeen:
        return SignerSeen(how="key", key_id=self.key.public.key_id)

    def prepare(self, config: "signing.Config", aside: Path) -> None:
        """Have the library sign with this."""
        with _handed(self.key.pem(), aside) as path:
            config.use_elliptic_key_signer(private_key=path)


@dataclass(frozen=True)
class CertificateSigner:
    """Sign with a key and the certificates that say whose it is, the signer's first."""

    key: PrivateKey
    certificates: tuple[x509.Certificate, ...]

    @property
    def seen(self) -> SignerSeen:
        return _seen(self.certificates[0])

    def prepare(self, config: "signing.Config", aside: Path) -> None:
        """Have the library sign with this. Raises SigningError if key and certificate do not belong together."""
        if self.certificates[0].public_key() != self.key.public.ec_key:
            got = f"one for {self.certificates[0].subject.rfc4514_string()}, with another key"
            raise SigningError("certificate", wanted="the one of this key first", got=got)
        leaf, chain = aside / "leaf.pem", aside / "chain.pem"
        leaf.write_bytes(_pem(self.certificates[:1]))
        chain.write_bytes(_pem(self.certificates[1:] or self.certificates))  # the library reads no empty chain
        with _handed(self.key.pem(), aside) as path:
            config.use_certificate_signer(private_key=path, signing_certificate=leaf, certificate_chain=[chain])


@dataclass(frozen=True)
class SigstoreSigner:
    """Sign with an identity that Sigstore vouches for, without a key of one's own; needs the network."""

    identity_token: str | None = field(default=None, repr=False)
    """If there is none, the environment's, or a browser asks."""
    trust_config: Path | None = None
    """Of a private Sigstore."""

    @property
    def seen(self) -> SignerSeen:
        return SignerSeen(how="sigstore")

    def prepare(self, config: "signing.Config", aside: Path) -> None:
        """Have the library sign with this. Raises SigningError if Sigstore cannot be reached."""
        do = f"check {self.trust_config or 'the network'}, and that its servers answer; or sign with --key"
        with _starting("its servers", do):
            config.use_sigstore_signer(
                use_ambient_credentials=self.identity_token is None, identity_token=self.identity_token,
                trust_config=self.trust_config,
            )  # fmt: skip


Signer = KeySigner | CertificateSigner | SigstoreSigner


@dataclass(frozen=True)
class KeyTrust:
    """Believe signatures of any of these keys."""

    keys: tuple[PublicKey, ...]

    def authenticate(self, bundle: Bundle, raw: bytes, now: datetime) -> SignerSeen:
        """Whose signature it is.

        Done here and not by the library, which takes the encoding of before 1.0 as well, and trips over pieces of files that
        have a colon in their name.

        Raises:
            WrongSignatureError: if it is none of theirs.
        """
        if bundle.how != "key":
            raise WrongSignatureError(f"it was signed with a {bundle.how}, not with the key that was asked for")
        named = [key for key in self.keys if bundle.hint in ("", hint_of(key))]
        if not named:
            raise WrongSignatureError("it was signed with another key")
        for key in named:
            if bundle.is_signed_by(key):
                return SignerSeen(how="key", key_id=key.key_id)
        raise WrongSignatureError("what it says was not signed with this key")


@dataclass(frozen=True)
class CertificateTrust:
    """Believe signatures whose certificates lead to one of these."""

    roots: tuple[x509.Certificate, ...]

    def authenticate(self, bundle: Bundle, raw: bytes, now: datetime) -> SignerSeen:
        """Whose signature it is.

        The library judges a chain at the day that its first certificate begins, since a bundle holds no time; so one that has
        expired is its friend. Here it must be valid now.

        Raises:
            WrongSignatureError: if it was not signed with a certificate, or not with one that leads there.
            NotVerifiableError: if a certificate has expired, or is not valid yet.
        """
        if bundle.how != "certificate":
            raise WrongSignatureError(f"it was signed with a {bundle.how}, not with a certificate")
        issuers = {one.issuer for one in bundle.certificates}
        for one in (*bundle.certificates, *(root for root in self.roots if root.subject in issuers)):
            _check_dates(one, now)
        with tempfile.TemporaryDirectory() as aside:
            roots = Path(aside) / "roots.pem"
            roots.write_bytes(_pem(self.roots))
            _ask_library(raw, lambda config: config.use_certificate_verifier(certificate_chain=[roots]))
        seen = _seen(bundle.certificates[0])
        key = _key_of(bundle.certificates[0])
        if key is None or not bundle.is_signed_by(key):  # the library takes the encoding of before 1.0 as well
            raise WrongSignatureError("what it says was not signed with that certificate")
        return seen


@dataclass(frozen=True)
class SigstoreTrust:
    """Believe signatures of an identity that Sigstore vouches for; needs the network, unless it is told whom to trust."""

    identity: str
    """A mail address, or the URL of a workflow."""
    provider: str
    """URL of who says so, such as https://accounts.google.com."""
    trust_config: Path | None = None
    """Of a private Sigstore, or kept from a time with a network; nothing is asked then."""
    offline: bool = False
    """Believe whom the public Sigstore named when it was asked last, or when the library was made."""

    def authenticate(self, bundle: Bundle, raw: bytes, now: datetime) -> SignerSeen:
        """Whose signature it is.

        Sigstore's library is asked itself, and not by way of model-signing: that knows nothing of being offline, and does not say
        what it found signed. Two readers of one bundle must have read the same statement, or its files are judged by another.

        Raises:
            WrongSignatureError: if it is not theirs.
            SigningError: if there is nobody to trust: the trust config cannot be read, or the network is gone.
        """
        from sigstore.models import Bundle as SigstoreBundle
        from sigstore.verify.policy import Identity

        if bundle.how != "sigstore":
            raise WrongSignatureError(f"it was signed with a {bundle.how}, not by way of Sigstore")
        verifier, identity = self._verifier(), Identity(identity=self.identity, issuer=self.provider)
        try:
            found = verifier.verify_dsse(SigstoreBundle.from_json(raw), identity)
        except Exception as error:  # whatever a bad signature makes it trip over
            raise WrongSignatureError(f"it does not hold: {in_words(error)}") from None
        if found != (PAYLOAD_TYPE, bundle.payload):
            raise WrongSignatureError("what it says can be read in two ways")
        return SignerSeen(how="sigstore", name=self.identity, provider=self.provider)

    def _verifier(self) -> "Verifier":
        from sigstore.models import ClientTrustConfig
        from sigstore.verify import Verifier

        do = f"check {self.trust_config}" if self.trust_config else "check the network, or verify with --offline"
        with _starting("whom to trust", do):
            if self.trust_config:
                config = ClientTrustConfig.from_json(self.trust_config.read_text(encoding="utf-8"))
            else:
                config = ClientTrustConfig.production(offline=self.offline)
            return Verifier(trusted_root=config.trusted_root)


Trust = KeyTrust | CertificateTrust | SigstoreTrust


class _Reached(BaseException):
    """The library asked for the files' digests: it found the signature authentic."""


class _Probe:
    """A hashing configuration, as the library calls it, that only says that it was asked."""

    def hash(self, *args: object, **kwargs: object) -> None:
        """Called after the library has verified the signature."""
        raise _Reached

    def add_ignored_paths(self, **kwargs: object) -> None:
        """Called before that; what the signer left out is judged elsewhere."""


def _ask_library(raw: bytes, prepare: Callable[["verifying.Config"], object]) -> None:
    """Raises WrongSignatureError unless the library finds the signature authentic."""
    from model_signing import verifying

    config = verifying.Config().set_hashing_config(_Probe())
    prepare(config)
    with tempfile.TemporaryDirectory() as aside:
        (Path(aside) / "model.sig").write_bytes(raw)
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                config.verify(aside, Path(aside) / "model.sig")
        except _Reached:
            return
        except Exception as error:  # whatever a bad signature makes it trip over
            told = (str(error).strip().splitlines() or ["what it says was not signed with that certificate"])[0]
            raise WrongSignatureError(f"it does not hold: {told[:200]}") from None
    raise WrongSignatureError("the library did not look at the files")


def seen_by_sigstore(raw: bytes) -> SignerSeen:
    """Whom a signature that Sigstore just made names, and by whose word. Raises SigningError if it names nobody."""
    extensions = read_bundle(raw).certificates[0].extensions
    try:
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        provider = extensions.get_extension_for_oid(_PROVIDER).value.public_bytes().decode()
    except x509.ExtensionNotFound as error:
        raise SigningError("Sigstore", wanted="a certificate that says whose it is", got=in_words(error)) from None
    return SignerSeen(how="sigstore", name=", ".join(str(name.value) for name in names), provider=provider)


_PROVIDER = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
"""Fulcio's extension with the URL of who says whose identity it is, as plain text; the one that the library compares."""


def load_certificates(paths: tuple[Path, ...]) -> tuple[x509.Certificate, ...]:
    """All certificates of some PEM files, in order.

    Raises:
        SigningError: if a file is missing, or holds none.
    """
    found: list[x509.Certificate] = []
    for path in paths:
        try:
            found += x509.load_pem_x509_certificates(path.read_bytes())
        except OSError as error:
            raise SigningError(f"certificate {path}", wanted="a PEM file", got=error.strerror or str(error)) from None
        except ValueError:
            raise SigningError(f"certificate {path}", wanted="certificates in PEM", got="none") from None
    return tuple(found)


def _check_dates(one: x509.Certificate, now: datetime) -> None:
    whose = one.subject.rfc4514_string()
    if now > one.not_valid_after_utc + _SKEW:
        told = f"the certificate of {whose} expired on {one.not_valid_after_utc:%Y-%m-%d}, and nothing says that it was signed before"
        raise NotVerifiableError(told)
    if now < one.not_valid_before_utc - _SKEW:
        clock = f"this machine's clock says {now.astimezone(UTC):%Y-%m-%d %H:%M}"
        raise NotVerifiableError(
            f"the certificate of {whose} begins on {one.not_valid_before_utc:%Y-%m-%d %H:%M}; {clock}"
        )


def _seen(one: x509.Certificate) -> SignerSeen:
    key = _key_of(one)
    return SignerSeen(how="certificate", key_id=key.key_id if key else "", name=one.subject.rfc4514_string())


def _key_of(one: x509.Certificate) -> PublicKey | None:
    key = one.public_key()
    return PublicKey(key) if isinstance(key, ec.EllipticCurvePublicKey) else None


def _pem(certificates: tuple[x509.Certificate, ...]) -> bytes:
    return b"".join(one.public_bytes(Encoding.PEM) for one in certificates)


@contextlib.contextmanager
def _handed(secret: bytes, aside: Path) -> Iterator[Path]:
    """A path that the library reads a key from: in memory where the system can, else a file that only we can read."""
    if hasattr(os, "memfd_create"):
        handle = os.memfd_create("key")
        try:
            os.write(handle, secret)
            yield Path(f"/proc/self/fd/{handle}")
        finally:
            os.close(handle)
        return
    with tempfile.NamedTemporaryFile(dir=aside) as file:
        file.write(secret)
        file.flush()
        yield Path(file.name)


@contextlib.contextmanager
def _starting(wanted: str, do: str) -> Iterator[None]:
    """The errors of Sigstore and its network share no base class."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    except Exception as error:
        raise SigningError("Sigstore", wanted=wanted, got=in_words(error), do=do) from None


_TOKEN = re.compile(r"eyJ[\w-]+(\.[\w-]*)+")
"""A JSON Web Token: its first part is base64 of what begins with a brace and a quotation mark."""


def in_words(error: BaseException) -> str:
    """What a library trips over and why, in one line; without a token, which a server may have sent back."""
    lines: list[str] = []
    cause: BaseException | None = error
    while cause is not None:  # the first error alone often says no more than its class
        lines += [line] if (line := next(iter(str(cause).strip().splitlines()), "")) and line not in lines else []
        cause = cause.__cause__
    return _TOKEN.sub("(a token)", ": ".join(lines) or type(error).__name__)[:200]
