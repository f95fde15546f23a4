"""`molehunt weights sign | verify`: who vouches for these files, and are they as they were?"""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from molehunt.cli.options import FOUND, NOT_EXAMINED, JsonOption, StoreOption

if TYPE_CHECKING:
    from molehunt.provenance.keys import PrivateKey
    from molehunt.provenance.trust import Signer, Trust
    from molehunt.records.signatures import VerifyReport

CODES = {
    "verified": 0, "checked": 0, "contradicted": FOUND, "tampered": FOUND, "wrong signature": FOUND, "not verifiable": NOT_EXAMINED,
}  # fmt: skip

SignedArgument = Annotated[
    str,
    typer.Argument(metavar="MODEL", help="A model folder, fingerprint or built size; or a dataset, file or folder."),
]
PasswordOption = Annotated[
    Path | None,
    typer.Option("--password-file", metavar="FILE", help="Holds the key's password; else MOLEHUNT_KEY_PASSWORD."),
]
SignatureOption = Annotated[
    Path | None,
    typer.Option("--signature", metavar="FILE", help="Default: model.sig in the folder, FILE.sig beside a file."),
]
TrustConfigOption = Annotated[
    Path | None, typer.Option("--trust-config", metavar="FILE", help="With --sigstore: of a private Sigstore.")
]


def sign(
    model: SignedArgument,
    key: Annotated[Path | None, typer.Option("--key", metavar="FILE", help="Private EC key, PEM.")] = None,
    certificate: Annotated[
        list[Path] | None,
        typer.Option("--certificate", metavar="FILE", help="With --key: its certificate, then who vouches for it; PEM."),
    ] = None,
    sigstore: Annotated[bool, typer.Option("--sigstore", help="Without a key, by an identity; needs the network.")] = False,
    token_env: Annotated[
        str | None, typer.Option("--token-env", metavar="VARIABLE", help="With --sigstore: holds an identity token.")
    ] = None,
    trust_config: TrustConfigOption = None,
    password_file: PasswordOption = None,
    signature: SignatureOption = None,
    as_json: JsonOption = False,
    store: StoreOption = None,
) -> None:  # fmt: skip
    """Sign every file of MODEL by OpenSSF Model Signing v1.0; an older signature stays until the new one is whole."""
    from molehunt.cli.show import say
    from molehunt.cli.weights_places import place_of
    from molehunt.provenance.signing import sign_folder

    signer = _signer(key, tuple(certificate or ()), sigstore, token_env, trust_config, password_file)
    made = sign_folder(place_of(model, store), signer, signature)
    if as_json:
        print(made.model_dump_json(indent=1))
        return
    say(f"{made.path}: {made.files} files signed by {made.signer.who}, root digest {made.root_digest}")
    say(f"signature: {made.signature}")


def verify(
    model: SignedArgument,
    key: Annotated[
        list[Path] | None, typer.Option("--key", metavar="FILE", help="Public EC key, PEM; any of several may have signed.")
    ] = None,
    certificate: Annotated[
        list[Path] | None, typer.Option("--certificate", metavar="FILE", help="Authorities that signers are vouched for by; PEM.")
    ] = None,
    sigstore: Annotated[bool, typer.Option("--sigstore", help="Signed by an identity; needs the network, or --offline.")] = False,
    identity: Annotated[str | None, typer.Option("--identity", help="With --sigstore: mail address or workflow URL.")] = None,
    provider: Annotated[
        str | None, typer.Option("--identity-provider", metavar="URL", help="With --sigstore: who says so.")
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="With --sigstore: ask nobody, and trust whom it named when it was asked last.")
    ] = False,
    trust_config: TrustConfigOption = None,
    password_file: PasswordOption = None,
    signature: SignatureOption = None,
    ignore_unsigned: Annotated[
        bool, typer.Option("--ignore-unsigned", help="Let unsigned documentation be; what could be loaded never may.")
    ] = False,
    at: Annotated[
        str | None, typer.Option("--at", metavar="TIME", help="With --certificate: judge at this time, ISO 8601, not now.")
    ] = None,
    provenance: Annotated[bool, typer.Option("--provenance", help="Check its attestation too: how it was made.")] = False,
    base: Annotated[str | None, typer.Option("--base", help="With --provenance: the model it was made from.")] = None,
    data: Annotated[Path | None, typer.Option("--data", metavar="FILE", help="With --provenance: its rows.")] = None,
    as_json: JsonOption = False,
    store: StoreOption = None,
) -> None:  # fmt: skip
    """Is MODEL as it was signed, by who is trusted? With --provenance: does what is said of its making hold?

    Exit code 0: verified. 1: files were changed, or the signature is a wrong one. 3: nothing says so, such as no signature.
    """
    from molehunt.cli.weights_places import place_of
    from molehunt.cli.weights_provenance import check, provenance_shown
    from molehunt.provenance.signing import verify_folder

    _refuse(bool(base or data) and not provenance, "--base and --data", "--provenance")
    _refuse(at is not None and not certificate, "--at", "--certificate")
    folder = place_of(model, store)
    who = (identity, provider, trust_config, offline)
    trust = _trust(tuple(key or ()), tuple(certificate or ()), sigstore, who, password_file)
    report = verify_folder(folder, trust, signature, ignore_unsigned, _time(at))
    made = check(folder, trust, place_of(base, store) if base else None, data) if provenance else None
    if as_json:
        told = report.to_json() if made is None else {"signature": report.to_json(), "provenance": made.to_json()}
        print(json.dumps(told, indent=1))
    else:
        report_shown(report)
        provenance_shown(made)
    codes = {CODES[report.outcome], CODES[made.outcome] if made else 0}
    raise typer.Exit(FOUND if FOUND in codes else max(codes))


def report_shown(report: "VerifyReport") -> None:
    """A verification on the terminal."""
    from molehunt.cli.show import say, table

    if report.changes:
        table(("file", "what", ""), [(change.name, change.what, change.told) for change in report.changes])
        say("")
    if report.tolerated:
        say(f"not signed, and let be: {', '.join(report.tolerated)}")
    if report.root_digest:
        say(f"root digest {report.root_digest}")
    say(report.sentence())


def private_key(path: Path, password_file: Path | None) -> "PrivateKey":
    """The key of a file. Raises SigningError."""
    from molehunt.provenance.keys import load_private_key

    return load_private_key(path, _password(password_file))


def _signer(
    key: Path | None, certificates: tuple[Path, ...], sigstore: bool, token_env: str | None, trust_config: Path | None,
    password_file: Path | None,
) -> "Signer":  # fmt: skip
    from molehunt.errors import UsageError
    from molehunt.provenance.trust import CertificateSigner, KeySigner, SigstoreSigner, load_certificates

    if sigstore == (key is not None):
        got = "both" if sigstore else "neither"
        raise UsageError("who signs", wanted="--key FILE or --sigstore", got=got, do="name one")
    if key is None:
        _refuse(bool(certificates or password_file), "--certificate and --password-file", "--key FILE")
        return SigstoreSigner(_token(token_env), trust_config)
    _refuse(bool(token_env or trust_config), "--token-env and --trust-config", "--sigstore")
    private = private_key(key, password_file)
    return CertificateSigner(private, load_certificates(certificates)) if certificates else KeySigner(private)


def _trust(
    keys: tuple[Path, ...], certificates: tuple[Path, ...], sigstore: bool,
    who: tuple[str | None, str | None, Path | None, bool], password_file: Path | None,
) -> "Trust":  # fmt: skip
    from molehunt.errors import UsageError
    from molehunt.provenance.keys import load_public_key
    from molehunt.provenance.trust import CertificateTrust, KeyTrust, SigstoreTrust, load_certificates

    if bool(keys) + bool(certificates) + sigstore != 1:
        wanted, do = "--key FILE, --certificate FILE or --sigstore", "name one kind"
        raise UsageError("who is trusted", wanted=wanted, got="none or several", do=do)
    _refuse(any(who) and not sigstore, "--identity, --identity-provider, --trust-config and --offline", "--sigstore")
    if keys:
        return KeyTrust(tuple(load_public_key(one, _password(password_file)) for one in keys))
    if certificates:
        return CertificateTrust(load_certificates(certificates))
    identity, provider, trust_config, offline = who
    _refuse(offline and trust_config is not None, "--offline", "--sigstore without --trust-config, which asks nobody")
    if not identity or not provider:
        do = "--identity you@example.org --identity-provider https://accounts.google.com"
        raise UsageError("--sigstore", wanted="--identity and --identity-provider", got="one missing", do=do)
    return SigstoreTrust(identity, provider, trust_config, offline)


def _refuse(is_idle: bool, what: str, wanted: str) -> None:
    from molehunt.errors import UsageError

    if is_idle:
        raise UsageError(what, wanted=wanted, got="options that would do nothing", do="leave them out")


def _token(variable: str | None) -> str | None:
    from molehunt.errors import UsageError

    token = os.environ.get(variable, "").strip() if variable is not None else None
    if token == "":
        raise UsageError("--token-env", wanted="a variable with an identity token", got=f"{variable} is empty")
    return token


def _password(file: Path | None) -> bytes | None:
    from molehunt.errors import SigningError
    from molehunt.provenance.keys import PASSWORD_VARIABLE

    if file is None:
        return os.fsencode(os.environ.get(PASSWORD_VARIABLE, "")) or None
    try:
        return file.read_bytes().rstrip(b"\r\n")
    except OSError as error:
        raise SigningError(f"password {file}", wanted="a file", got=error.strerror or str(error)) from None


def _time(text: str | None) -> datetime | None:
    from molehunt.errors import UsageError

    try:
        found = datetime.fromisoformat(text) if text is not None else None
    except ValueError:
        raise UsageError("--at", wanted="a time such as 2026-11-21", got=repr(text)) from None
    return found if found is None or found.tzinfo else found.replace(tzinfo=UTC)
