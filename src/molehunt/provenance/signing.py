"""Sign and verify a model folder or a dataset: OpenSSF Model Signing v1.0, through the model-signing library."""

import contextlib
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from molehunt.errors import SigningError
from molehunt.provenance.bundle import LARGEST, BundleError, read_bundle
from molehunt.provenance.comparing import compare, sentence
from molehunt.provenance.hashing import Contents, hash_contents, look
from molehunt.provenance.manifest import Manifest, ManifestError, read_manifest
from molehunt.provenance.trust import (
    NotVerifiableError,
    Signer,
    SigstoreSigner,
    Trust,
    WrongSignatureError,
    in_words,
    seen_by_sigstore,
)
from molehunt.provenance.writing import check_writable, write_whole
from molehunt.records.identity import IGNORED, SIGNATURE, root_of
from molehunt.records.signatures import Signed, VerifyReport


def signature_place(path: Path) -> Path:
    """Where the signature of a folder or file belongs: `model.sig` in the folder, `FILE.sig` beside a file.

    An artifact of the store may not change, so its signature lies beside `files/`.
    """
    here = path.resolve()
    if here.parent.name == "files" and (here.parent.parent / "artifact.json").is_file():
        return here.parent.parent / f"{here.name}.sig"
    return path / SIGNATURE if path.is_dir() else path.with_name(f"{path.name}.sig")


def sign_folder(path: Path, signer: Signer, signature: Path | None = None) -> Signed:
    """Sign every file of a folder, or one file; whole files, SHA-256.

    Args:
        signature: where to write it, if not at `signature_place`. An old one stays until the new one is whole.

    Raises:
        SigningError: if there is something that cannot be signed (links, pipes, names that are no UTF-8), anything changes
            meanwhile, or the signature cannot be written.
    """
    place = signature or signature_place(path)
    check_writable(place)
    contents = look(path)
    _require_signable(contents)
    digests = hash_contents(contents)
    with tempfile.TemporaryDirectory() as aside:
        bundle = _signed(contents, digests, signer, Path(aside))
    seen = seen_by_sigstore(bundle) if isinstance(signer, SigstoreSigner) else signer.seen
    write_whole(place, bundle, aside=path.parent if path.is_dir() else None)
    root = root_of(digests)
    return Signed(
        path=str(path), signature=str(place), root_digest=root, files=len(digests), bytes=contents.bytes, signer=seen
    )  # fmt: skip


def verify_folder(
    path: Path, trust: Trust, signature: Path | None = None, ignore_unsigned: bool = False, at: datetime | None = None
) -> VerifyReport:  # fmt: skip
    """Are the files of a folder, or one file, as they were signed by somebody who is trusted?

    Args:
        ignore_unsigned: let documentation be that is not signed; what a model could load never may.
        at: the time that certificates are judged at; now if None.

    Raises:
        SigningError: if a file cannot be read, or anything changes meanwhile.
    """
    place = signature or signature_place(path)
    said: dict[str, Any] = {"path": str(path), "signature": str(place)}
    if not path.exists():
        raise SigningError(f"{path}", wanted="a folder or file to verify", got="nothing there", do="check the path")
    try:
        raw = _read(place)
        bundle = read_bundle(raw)
        said["signer"] = trust.authenticate(bundle, raw, at or datetime.now(UTC))
        manifest = read_manifest(bundle.payload)
    except NotVerifiableError as error:
        return VerifyReport(**said, outcome="not verifiable", reason=str(error))
    except (BundleError, ManifestError, WrongSignatureError) as error:
        return VerifyReport(**said, outcome="wrong signature", reason=str(error))
    return _compared(path, manifest, ignore_unsigned, said)


def signed_manifest(path: Path, signature: Path | None = None) -> Manifest | None:
    """What the signature of a folder says was signed, believing whoever wrote it; None if there is none that can be read."""
    try:
        return read_manifest(read_bundle(_read(signature or signature_place(path))).payload)
    except (NotVerifiableError, BundleError, ManifestError):
        return None


def _require_signable(contents: Contents) -> None:
    if contents.odd:
        name, what = min(contents.odd.items())
        do = "put the file itself there, or take it out"
        raise SigningError(f"{contents.path}: {name}", wanted="regular files", got=what, do=do)
    if not contents.files:
        raise SigningError(f"{contents.path}", wanted="files to sign", got="an empty folder", do="check the path")


def _signed(contents: Contents, digests: dict[str, bytes], signer: Signer, aside: Path) -> bytes:
    """The library writes the statement and signs it; what it would hash is handed to it."""
    from model_signing import signing

    config = signing.Config().set_hashing_config(_Known(contents, digests))
    signer.prepare(config, aside)
    try:
        with contextlib.redirect_stdout(sys.stderr):  # Sigstore asks there for a code, where no browser can be opened
            config.sign(contents.path, aside / SIGNATURE)
    except OSError as error:
        raise SigningError("signing", wanted="space for a signature", got=error.strerror or str(error)) from None
    except Exception as error:  # the library and Sigstore share no base class
        raise SigningError("signing", wanted=f"a signature by {signer.seen.how}", got=in_words(error)) from None
    return (aside / SIGNATURE).read_bytes()


class _Known:
    """A hashing configuration, as the library calls it, that has hashed already."""

    def __init__(self, contents: Contents, digests: dict[str, bytes]) -> None:
        from model_signing import manifest
        from model_signing._hashing.hashing import Digest

        ignored = sorted((*IGNORED, SIGNATURE)) if contents.path.is_dir() else []
        told = {"method": "files", "hash_type": "sha256", "allow_symlinks": False, "ignore_paths": ignored}
        items = [
            manifest.FileManifestItem(path=PurePosixPath(name), digest=Digest("sha256", digest))
            for name, digest in digests.items()
        ]
        name = contents.path.resolve().name
        self.whole = manifest.Manifest(name, items, manifest.SerializationType.from_args(told))

    def hash(self, *args: object, **kwargs: object) -> Any:
        """What the library is to sign."""
        return self.whole


def _read(place: Path) -> bytes:
    try:
        with place.open("rb") as stream:
            raw = stream.read(LARGEST + 1)
    except FileNotFoundError:
        raise NotVerifiableError(f"there is no signature at {place}") from None
    except OSError as error:
        raise NotVerifiableError(f"{place} cannot be read: {error.strerror}") from None
    if len(raw) > LARGEST:
        raise NotVerifiableError(f"{place} is larger than {LARGEST >> 20} MiB")
    return raw


def _compared(path: Path, manifest: Manifest, ignore_unsigned: bool, said: dict[str, Any]) -> VerifyReport:
    contents = look(path, manifest.follow_links)
    whole = hash_contents(contents)
    found = whole if manifest.is_identity else hash_contents(contents, manifest.method)
    changes, tolerated = compare(contents, found, manifest, ignore_unsigned)
    return VerifyReport(
        **said, outcome="tampered" if changes else "verified", reason=sentence(changes), root_digest=root_of(whole),
        signed_digest=manifest.root, changes=changes, tolerated=tolerated,
        files=len(contents.files) - len(tolerated), bytes=contents.bytes,
    )  # fmt: skip
