"""A Sigstore in miniature, on the loopback: an identity provider, an authority with its log of certificates, and a log of signatures.

What a client sees is what the public one answers: Fulcio's v2 API, Rekor's v1 API, certificates of Fulcio's profile with an embedded
timestamp (RFC 6962), a Merkle tree with signed checkpoints, and the trust configuration that names it all.
"""

import base64
import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from molehunt.provenance.bundle import encoded
from molehunt.provenance.keys import PrivateKey, PublicKey, new_private_key

PROVIDER = "https://id.example.org"
"""Who says who somebody is, as tokens and certificates have it; it answers on the loopback like the rest."""
_FROM_THE_BEGINNING = {"start": "2020-01-01T00:00:00Z"}
_NAME = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "authority of a test")])
_ISSUER = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
_ISSUER_AS_DER = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.8")
_TIMESTAMPS = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")


class PrivateSigstore:
    """Its keys, its log, and where it answers; `running` makes it answer."""

    def __init__(self) -> None:
        self.provider, self.authority, self.certificate_log, self.log = (new_private_key() for _ in range(4))
        self.root = _root(self.authority)
        self.entries = [f"signature {number} of somebody else".encode() for number in range(5)]
        self.url = "http://127.0.0.1:9"
        self.late = timedelta(0)
        """So long it waits before it logs a signature, by its own clock."""
        self.answers: dict[str, Callable[[Any, str], Any]] = {
            "/api/v2/signingCert": self.certify, "/api/v1/log/entries": self.enter, "/oauth/token": self.redeem,
            "/.well-known/openid-configuration": self.discover, "/oauth/authorize": self.authorize, "/ambient": self.ambient,
        }  # fmt: skip
        """What answers at a path, given the request's body or query and its `Authorization`; None or a reason refuses."""
        self.who = ""
        """Who sits at the browser, or runs the workflow."""

    @contextmanager
    def running(self) -> Iterator[None]:
        """Answer while this lasts."""
        with ThreadingHTTPServer(("127.0.0.1", 0), _handler(self)) as server:
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            self.url = f"http://127.0.0.1:{server.server_port}"
            try:
                yield
            finally:
                server.shutdown()
                thread.join()

    def token(self, who: str, minutes: float = 10, audience: str = "sigstore", **claims: object) -> str:
        """An identity token for somebody, signed by the provider."""
        now = datetime.now(UTC)
        told = {"iss": PROVIDER, "aud": audience, "sub": who, "iat": now, "exp": now + timedelta(minutes=minutes)}
        return jwt.encode(told | claims, self.provider.ec_key, algorithm="ES256")

    def trust_config(self, place: Path, **by_another: "PrivateSigstore") -> Path:
        """Whom to believe and where to ask, as a file; `authority`, `certificate_log` or `log` may be those of another Sigstore."""
        whose = {part: by_another.get(part, self) for part in ("authority", "certificate_log", "log")}
        chain = {"certificates": [{"rawBytes": _text(whose["authority"].root.public_bytes(Encoding.DER))}]}
        name = {"organization": "test", "commonName": "authority of a test"}
        service = {"url": self.url, "majorApiVersion": 1, "validFor": _FROM_THE_BEGINNING, "operator": "test"}
        told = {
            "mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
            "trustedRoot": {
                "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
                "tlogs": [_log(self.url, whose["log"].log)],
                "ctlogs": [_log(self.url, whose["certificate_log"].certificate_log)],
                "certificateAuthorities": [{"subject": name, "certChain": chain, "validFor": _FROM_THE_BEGINNING}],
            },
            "signingConfig": {
                "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
                "caUrls": [service], "oidcUrls": [service], "rekorTlogUrls": [service],
                "rekorTlogConfig": {"selector": "ANY"},
            },
        }  # fmt: skip
        place.write_text(json.dumps(told))
        return place

    def discover(self, body: Any, bearer: str) -> Any:
        """Where a browser is to go, as OpenID Connect Discovery has it."""
        return {"authorization_endpoint": f"{self.url}/oauth/authorize", "token_endpoint": f"{self.url}/oauth/token"}

    def authorize(self, body: Any, bearer: str) -> Any:
        """Somebody logs in and agrees, and the browser is sent back with a code."""
        told = {"code": "a code", "state": body["state"][0]}
        return {"location": f"{body['redirect_uri'][0]}?{urlencode(told)}"}

    def redeem(self, body: Any, bearer: str) -> Any:
        """The token for a code that the browser came back with."""
        return {"access_token": self.token(self.who)} if body["code"] == ["a code"] else None

    def ambient(self, body: Any, bearer: str) -> Any:
        """The token of a workflow, as a code host hands it to what runs there."""
        return {"value": self.token(self.who)}

    def certify(self, body: Any, bearer: str) -> Any:
        """Fulcio: a certificate of ten minutes for the key of a request, naming whom the token names."""
        try:
            public = self.provider.ec_key.public_key()
            claims = jwt.decode(bearer.removeprefix("Bearer "), public, algorithms=["ES256"], audience="sigstore")
        except jwt.InvalidTokenError:
            return None
        request = x509.load_pem_x509_csr(base64.b64decode(body["certificateSigningRequest"]))
        if not request.is_signature_valid:
            return None
        made = self.certificate(request, claims["sub"], claims["iss"])
        chain = [one.public_bytes(Encoding.PEM).decode() for one in (made, self.root)]
        return {"signedCertificateEmbeddedSct": {"chain": {"certificates": chain}}}

    def certificate(self, request: x509.CertificateSigningRequest, who: str, provider: str) -> x509.Certificate:
        """Built twice: without the timestamp for the log of certificates to sign, then with it."""
        is_url = who.startswith("https:")
        name = x509.UniformResourceIdentifier(who) if is_url else x509.RFC822Name(who)
        authority, now = self.authority.ec_key, datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(_NAME)
            .public_key(request.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now)
            .not_valid_after(now + timedelta(minutes=10))
            .add_extension(_use(certifies=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(request.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()), critical=False)
            .add_extension(x509.SubjectAlternativeName([name]), critical=True)
            .add_extension(x509.UnrecognizedExtension(_ISSUER, provider.encode()), critical=False)
            .add_extension(x509.UnrecognizedExtension(_ISSUER_AS_DER, asn1.encode_der(provider)), critical=False)
        )
        listed = self._timestamp(builder.sign(authority, hashes.SHA256()).tbs_certificate_bytes, now)
        builder = builder.add_extension(x509.UnrecognizedExtension(_TIMESTAMPS, listed), critical=False)
        return builder.sign(authority, hashes.SHA256())

    def _timestamp(self, certificate: bytes, now: datetime) -> bytes:
        """The log's promise to list a certificate (RFC 6962, 3.2), in a list of one (3.3)."""
        when = b"\0" + int(now.timestamp() * 1000).to_bytes(8)
        listed = bytes.fromhex(self.authority.public.key_id) + _sized(certificate, 3)
        signed = when[:1] + b"\0" + when[1:] + b"\0\1" + listed + _sized(b"", 2)
        signature = b"\4\3" + _sized(self.certificate_log.sign(signed), 2)
        one = when[:1] + bytes.fromhex(self.certificate_log.public.key_id) + when[1:] + _sized(b"", 2) + signature
        return asn1.encode_der(_sized(_sized(one, 2), 2))

    def enter(self, body: Any, bearer: str) -> Any:
        """Rekor: a signature of a DSSE envelope as the last leaf of the tree, with the proof and the promise that it is there."""
        proposed = body["spec"]["proposedContent"]
        verifier, envelope = proposed["verifiers"][0], json.loads(proposed["envelope"])
        payload, signature = base64.b64decode(envelope["payload"]), envelope["signatures"][0]["sig"]
        signer = x509.load_pem_x509_certificate(base64.b64decode(verifier)).public_key()
        if not PublicKey(signer).verify(encoded(payload), base64.b64decode(signature)):  # type: ignore[arg-type]
            return None
        spec = {
            "envelopeHash": {"algorithm": "sha256", "value": hashlib.sha256(proposed["envelope"].encode()).hexdigest()},
            "payloadHash": {"algorithm": "sha256", "value": hashlib.sha256(payload).hexdigest()},
            "signatures": [{"signature": signature, "verifier": verifier}],
        }
        self.entries.append(_canonical({"apiVersion": "0.0.1", "kind": "dsse", "spec": spec}))
        return self.logged(len(self.entries) - 1)

    def logged(self, index: int) -> Any:
        """An entry of the log, as its API tells it."""
        told = {
            "body": _text(self.entries[index]), "integratedTime": int((datetime.now(UTC) + self.late).timestamp()),
            "logID": self.log.public.key_id, "logIndex": index,
        }  # fmt: skip
        size, root = len(self.entries), tree_root(self.entries)
        note = f"log of a test\n{size}\n{_text(root)}\n"
        signature = _text(bytes.fromhex(self.log.public.key_id)[:4] + self.log.sign(note.encode()))
        proof = {
            "checkpoint": f"{note}\n— test {signature}\n",
            "hashes": [one.hex() for one in path_to(index, self.entries)],
            "logIndex": index, "rootHash": root.hex(), "treeSize": size,
        }  # fmt: skip
        promise = _text(self.log.sign(_canonical(told)))
        return {"an entry": told | {"verification": {"inclusionProof": proof, "signedEntryTimestamp": promise}}}


def tree_root(leaves: list[bytes]) -> bytes:
    """The Merkle tree hash of RFC 6962, 2.1."""
    if len(leaves) == 1:
        return hashlib.sha256(b"\0" + leaves[0]).digest()
    cut = _cut(leaves)
    return hashlib.sha256(b"\1" + tree_root(leaves[:cut]) + tree_root(leaves[cut:])).digest()


def path_to(index: int, leaves: list[bytes]) -> list[bytes]:
    """The audit path of RFC 6962, 2.1.1: what a leaf's place is proven with, from the leaf upwards."""
    if len(leaves) == 1:
        return []
    cut = _cut(leaves)
    if index < cut:
        return [*path_to(index, leaves[:cut]), tree_root(leaves[cut:])]
    return [*path_to(index - cut, leaves[cut:]), tree_root(leaves[:cut])]


def _cut(leaves: list[bytes]) -> int:
    """The largest power of two that is smaller than their number."""
    return 1 << (len(leaves) - 1).bit_length() - 1


def _handler(sigstore: PrivateSigstore) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(parse_qs(urlsplit(self.path).query))

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["Content-Length"])).decode()
            is_form = self.headers["Content-Type"] == "application/x-www-form-urlencoded"
            self._answer(parse_qs(raw) if is_form else json.loads(raw))

        def _answer(self, body: Any) -> None:
            answer = sigstore.answers[urlsplit(self.path).path](body, self.headers["Authorization"] or "")
            reason = answer if isinstance(answer, str) else None
            place = answer.get("location") if isinstance(answer, dict) else None
            self.send_response(302 if place else 200 if answer and not reason else 400, reason)
            if place:
                self.send_header("Location", place)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *args: object) -> None:
            """Say nothing: the tests read what the command says."""

    return Handler


def _root(key: PrivateKey) -> x509.Certificate:
    now, public = datetime.now(UTC), key.ec_key.public_key()
    builder = (
        x509.CertificateBuilder()
        .subject_name(_NAME)
        .issuer_name(_NAME)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=3650))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_use(certifies=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )
    return builder.sign(key.ec_key, hashes.SHA256())


def _use(certifies: bool) -> x509.KeyUsage:
    return x509.KeyUsage(not certifies, False, False, False, False, certifies, certifies, False, False)


def _log(url: str, key: PrivateKey) -> dict[str, Any]:
    raw = key.ec_key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    details = {"rawBytes": _text(raw), "keyDetails": "PKIX_ECDSA_P256_SHA_256", "validFor": _FROM_THE_BEGINNING}
    own = {"keyId": _text(bytes.fromhex(key.public.key_id))}
    return {"baseUrl": url, "hashAlgorithm": "SHA2_256", "publicKey": details, "logId": own}


def _sized(data: bytes, width: int) -> bytes:
    """As TLS has it: its length, then the bytes."""
    return len(data).to_bytes(width) + data


def _canonical(told: dict[str, Any]) -> bytes:
    """As RFC 8785 has it, for texts in ASCII and whole numbers."""
    return json.dumps(told, sort_keys=True, separators=(",", ":")).encode()


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
