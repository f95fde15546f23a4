"""`molehunt logs`: verify, export, import, flag and prune what a gateway wrote."""

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from molehunt.cli.options import FOUND, NOT_EXAMINED, JsonOption

if TYPE_CHECKING:
    from molehunt.logs.redaction import Encryption
    from molehunt.logs.verifying import LogReport
    from molehunt.provenance.keys import PrivateKey

app = typer.Typer(
    help="Logs of what models were asked and answered, in which nothing is changed unseen.", no_args_is_help=True
)
_CODES = {"verified": 0, "broken": FOUND, "not fully verified": NOT_EXAMINED}

LogArgument = Annotated[Path, typer.Argument(metavar="LOG", help="The folder of a log.")]
SignKeyOption = Annotated[Path | None, typer.Option("--key", metavar="KEY.pem", help="Private EC key that signs.")]


@app.command()
def verify(
    log: Annotated[str, typer.Argument(metavar="LOG", help="The folder of a log, or a URL of copied segments.")],
    key: Annotated[
        list[Path] | None, typer.Option("--key", metavar="PUB.pem", help="Key that must have signed; may be repeated.")
    ] = None,
    anchor: Annotated[
        list[Path] | None, typer.Option("--anchor", metavar="FILE", help="Anchors kept elsewhere; may be repeated.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Derive every hash of LOG again and name the first record that is not what it was.

    Exit code 0: all is as it was written. 1: something was changed. 3: not all could be told: records after the last anchor,
    of which nobody knows whether more followed, or pruned segments without a key.
    """
    from molehunt.cli.log_work import verified

    report = verified(log, key or [], anchor or [])
    if as_json:
        print(json.dumps(report.to_json(), indent=1))
    else:
        _shown(report)
    raise typer.Exit(_CODES[report.outcome])


@app.command()
def export(
    log: LogArgument,
    to: Annotated[
        Literal["jsonl", "otlp"], typer.Option("--to", help="jsonl: records; otlp: calls as spans.")
    ] = "jsonl",
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="A new file; standard output if not said.")
    ] = None,
    decrypt: Annotated[
        Path | None, typer.Option("--decrypt", metavar="KEY", help="Key that fields were encrypted with.")
    ] = None,
) -> None:
    """Write what LOG holds as lines of JSON."""
    from molehunt.cli.show import say
    from molehunt.execution.folders import require_new_file
    from molehunt.logs.exporting import export_jsonl, export_otlp

    write = export_otlp if to == "otlp" else export_jsonl
    opened = _encryption(decrypt)
    if out is None:
        write(log, sys.stdout, opened)
        return
    require_new_file(out)
    aside = out.with_name(
        f".{out.name}.{os.getpid()}"
    )  # what is half written is no export, and would be in the next one's way
    try:
        with aside.open("w", encoding="utf-8") as stream:
            count = write(log, stream, opened)
        aside.rename(out)
    finally:
        aside.unlink(missing_ok=True)
    say(f"{count} {'spans' if to == 'otlp' else 'records'}: {out.resolve()}")


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Calls from elsewhere; gzip is seen by itself.")],
    kind: Annotated[str, typer.Option("--from", help="otel, litellm, langfuse or jsonl; see docs/logs.md.")],
    out: Annotated[Path, typer.Option("--out", metavar="LOG", help="The folder of a log, new or not.")],
    worker: Annotated[str, typer.Option("--worker", help="Name of the chain that is appended to.")] = "import",
    key: SignKeyOption = None,
) -> None:
    """Append the calls of FILE to a log, so that they can be hunted in."""
    from molehunt.cli.show import say
    from molehunt.logs.importing import import_log

    done = import_log(file, kind, out, worker, key=_private(key))
    known = f", {done.known} left out, whose ids it has already" if done.known else ""
    say(f"{done.calls} calls{known}: {out.resolve()}")


@app.command()
def flag(
    call: Annotated[str, typer.Argument(metavar="CALL", help="Id of a call, as the log has it.")],
    log: Annotated[Path, typer.Option("--log", metavar="LOG", help="The folder of the log.")],
    incident: Annotated[str, typer.Option("--as", metavar="INCIDENT", help="Id or name of what is complained of.")],
    by: Annotated[str, typer.Option("--by", help="Who says so.")] = "",
    key: SignKeyOption = None,
) -> None:
    """Say of a call that it is an incident; a hunt counts it as such. Nothing that is logged is changed."""
    from molehunt.cli.log_work import flagged
    from molehunt.cli.show import say

    ref = flagged(log, call, incident, by, _private(key))
    say(f"flagged {call} as {incident}: {ref.worker}/{ref.segment:08d}, record {ref.seq}")


@app.command()
def prune(
    log: LogArgument,
    older_than: Annotated[str, typer.Option("--older-than", metavar="TIME", help="Such as 180d, 12h, or 2026-05-01.")],
    key: SignKeyOption = None,
    reason: Annotated[str, typer.Option("--reason", help="Kept in the tombstones.")] = "retention",
    as_json: JsonOption = False,
) -> None:
    """Remove closed segments whose records are all older; signed tombstones keep the chain whole. Refused while LOG/HOLD is there."""
    from molehunt.cli.log_work import moment
    from molehunt.cli.show import say
    from molehunt.logs.keeping import prune as prune_log

    done = [segment.place for segment in prune_log(log, moment(older_than), _private(key), reason)]
    if as_json:
        print(json.dumps({"pruned": done}))
    else:
        say(f"{len(done)} segments pruned" + (f": {', '.join(done)}" if done else ""))


def _shown(report: "LogReport") -> None:
    from molehunt.cli.show import say

    for problem in report.problems:
        say(f"broken: {problem.sentence()}")
    for worker, count in report.unanchored.items():
        say(
            f"{worker}: the last {count} records are not anchored: if more had followed and were cut off, nobody could tell"
        )
    for note in report.notes:
        say(note)
    pruned = f", {report.pruned} of them pruned" if report.pruned else ""
    say(f"{report.outcome}: {report.records} records in {report.segments} segments{pruned}")


def _private(key: Path | None) -> "PrivateKey | None":
    from molehunt.cli.log_work import signing_key

    return signing_key(key)


def _encryption(key: Path | None) -> "Encryption | None":
    from molehunt.logs.redaction import Encryption

    return Encryption.read(key) if key else None
