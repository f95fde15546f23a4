"""`molehunt weights bom`: what a model is made of, as a CycloneDX bill of materials."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from molehunt.cli.options import ModelArgument, StoreOption
from molehunt.cli.weights_provenance import AttestationOption

if TYPE_CHECKING:
    from molehunt.records.attestations import Attestation
    from molehunt.records.audits import AuditResult


def bom(
    model: ModelArgument,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write it there; else on standard output.")] = None,
    key: Annotated[
        list[Path] | None, typer.Option("--key", metavar="FILE", help="Whose attestation to go by; else the store's own records.")
    ] = None,
    attestation: AttestationOption = None,
    audit: Annotated[Path | None, typer.Option("--audit", metavar="FILE", help="result.json of an audit of this model.")] = None,
    result: Annotated[
        list[Path] | None, typer.Option("--result", metavar="FILE", help="JSON of measurements: its numbers with intervals.")
    ] = None,
    store: StoreOption = None,
) -> None:  # fmt: skip
    """Write MODEL's bill of materials: files, base, dataset, libraries, what was measured and audited; CycloneDX 1.6."""
    from molehunt.cli.show import say
    from molehunt.cli.weights_places import place_of
    from molehunt.provenance.bom import bill_of_materials, read_metrics, validate
    from molehunt.provenance.writing import write_whole

    folder = place_of(model, store)
    audited = _audit(audit) if audit else None
    metrics = tuple(one for path in result or () for one in read_metrics(path))
    bill = bill_of_materials(folder, _told(folder, store, tuple(key or ()), attestation), audited, metrics)
    validate(bill)
    text = json.dumps(bill, indent=1, ensure_ascii=False)
    if out is None:
        print(text)
        return
    write_whole(out, text.encode() + b"\n")
    say(f"{out}: {len(bill['components'])} components, valid CycloneDX 1.6")


def _told(folder: Path, store: str | None, keys: tuple[Path, ...], place: Path | None) -> "Attestation | None":
    """How it was made: by an attestation if a key was given, else by the store; a model from elsewhere has a bill without that."""
    from molehunt.cli.weights_provenance import recipe_of
    from molehunt.errors import CorruptArtifactError, StoreError
    from molehunt.execution import open_store

    try:
        return recipe_of(folder, open_store(store), keys, place)
    except CorruptArtifactError:
        raise
    except StoreError:
        return None


def _audit(path: Path) -> "AuditResult":
    from pydantic import ValidationError

    from molehunt.errors import DataError
    from molehunt.records.audits import AuditResult

    try:
        return AuditResult.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"audit {path}", wanted="result.json of an audit", got=error.strerror or str(error)) from None
    except (ValidationError, UnicodeDecodeError) as error:
        raise DataError(f"audit {path}", wanted="result.json of an audit", got=str(error).splitlines()[0]) from None
