"""`molehunt weights attest | reproduce`: how a model was made, and whether that gives the same model again."""

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from molehunt.cli.options import FOUND, JobsOption, JsonOption, ModelArgument, StoreOption
from molehunt.cli.weights_signing import PasswordOption

if TYPE_CHECKING:
    from molehunt.execution import Store
    from molehunt.provenance.trust import Trust
    from molehunt.records.attestations import Attestation, Claim, ProvenanceReport

AttestationOption = Annotated[
    Path | None,
    typer.Option("--attestation", metavar="FILE", help="Default: MODEL.attestation.json beside the folder."),
]


def attest(
    model: ModelArgument,
    key: Annotated[Path, typer.Option("--key", metavar="FILE", help="Private EC key, PEM.")],
    password_file: PasswordOption = None,
    attestation: AttestationOption = None,
    as_json: JsonOption = False,
    store: StoreOption = None,
) -> None:
    """Write and sign how MODEL was made: recipe, base, data, seeds and versions, as in-toto with SLSA provenance v1."""
    from molehunt.cli.show import say
    from molehunt.cli.weights_places import place_of
    from molehunt.cli.weights_signing import private_key
    from molehunt.experiments.attesting import attest as attested
    from molehunt.provenance.attestation import write_attestation

    private = private_key(key, password_file)
    folder = place_of(model, store)
    told = attested(folder, _opened(store))
    place = write_attestation(folder, told, private, attestation)
    if as_json:
        print(json.dumps({"attestation": str(place), **told.model_dump(mode="json")}, indent=1))
        return
    for one in told.materials:
        say(f"{one.name}: {one.sha256}")
    say(f"{folder}: root digest {told.root_digest}, {len(told.recipe)} steps, attested in {place}")


def reproduce(
    model: ModelArgument,
    key: Annotated[
        list[Path] | None, typer.Option("--key", metavar="FILE", help="Whose attestation to go by; else the store's own records, or an unsigned one.")
    ] = None,
    attestation: AttestationOption = None,
    work: Annotated[
        Path | None, typer.Option("--work", metavar="FOLDER", help="A new or empty store to work in, kept; else one that goes.")
    ] = None,
    jobs: JobsOption = 2,
    as_json: JsonOption = False,
    store: StoreOption = None,
) -> None:  # fmt: skip
    """Make MODEL again from its recipe in a fresh store, and compare root digests.

    Exit code 0: recomputed, or consistent where floating point differs. 1: something else came out.
    """
    from molehunt.cli.show import say, watching
    from molehunt.cli.weights_places import place_of
    from molehunt.execution import Store
    from molehunt.execution.folders import require_new_folder
    from molehunt.experiments.reproducing import reproduce as made_again

    folder, own = place_of(model, store), _opened(store)
    told = recipe_of(folder, own, tuple(key or ()), attestation)
    if work is not None:
        require_new_folder(work)
    with tempfile.TemporaryDirectory() as aside, watching("making it again") as watch:
        result = made_again(folder, told, own, Store(work or Path(aside)), jobs, watch)
    if as_json:
        print(result.model_dump_json(indent=1))
    else:
        claims_shown(result.claims)
        say(result.sentence())
    raise typer.Exit(FOUND if result.grade == "contradicted" else 0)


def check(folder: Path, trust: "Trust", base: Path | None, data: Path | None) -> "ProvenanceReport":
    """The attestation of a folder, checked; for `weights verify --provenance`."""
    from molehunt.errors import UsageError
    from molehunt.provenance.grading import check_provenance
    from molehunt.provenance.trust import KeyTrust

    if not isinstance(trust, KeyTrust):
        raise UsageError("--provenance", wanted="--key FILE: attestations are signed with a key", got="none")
    return check_provenance(folder, trust, base, data)


def provenance_shown(report: "ProvenanceReport | None") -> None:
    """A checked attestation on the terminal, if one was asked for."""
    from molehunt.cli.show import say

    if report is not None:
        say("")
        claims_shown(report.claims)
        say(report.sentence())


def claims_shown(claims: "tuple[Claim, ...]") -> None:
    """A table of what is claimed and how far it was checked."""
    from molehunt.cli.show import say, table

    if claims:
        table(("claim", "grade", ""), [(one.name, one.grade, one.told) for one in claims])
        say("")


def recipe_of(folder: Path, store: "Store", keys: tuple[Path, ...], place: Path | None) -> "Attestation":
    """By an attestation whose signature is verified; without a key by the store's own records."""
    from molehunt.errors import SigningError
    from molehunt.provenance.attestation import UnsignedError, attestation_place
    from molehunt.provenance.bundle import BundleError
    from molehunt.provenance.grading import verified
    from molehunt.provenance.keys import load_public_key
    from molehunt.provenance.manifest import ManifestError
    from molehunt.provenance.trust import KeyTrust, WrongSignatureError

    if not keys:
        return _unsigned(folder, store, place or attestation_place(folder))
    place = place or attestation_place(folder)
    try:
        return verified(place, KeyTrust(tuple(map(load_public_key, keys))))[1]
    except FileNotFoundError:
        raise SigningError(f"attestation {place}", wanted="one", got="no such file", do="leave out --key") from None
    except (BundleError, ManifestError, WrongSignatureError, UnsignedError) as error:
        raise SigningError(f"attestation {place}", wanted="one signed with that key", got=str(error)) from None


def _unsigned(folder: Path, store: "Store", place: Path) -> "Attestation":
    """By the store's own records, else by a statement that nobody signed: what comes out of its recipe shows whether it is true."""
    from molehunt.errors import StoreError
    from molehunt.experiments.attesting import attest as attested
    from molehunt.provenance.attestation import UnsignedError, load_bundle
    from molehunt.provenance.bundle import BundleError
    from molehunt.provenance.manifest import ManifestError

    try:
        return attested(folder, store)
    except StoreError:
        try:
            load_bundle(place)
        except UnsignedError as unsigned:
            return unsigned.told
        except (FileNotFoundError, BundleError, ManifestError):
            pass
        raise


def _opened(store: str | None) -> "Store":
    from molehunt.execution import open_store

    return open_store(store)
