"""`molehunt weights`: what comes with a model, examined before it is loaded; the words for it, and `scan`."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from molehunt.cli import weights_bom, weights_diff, weights_provenance, weights_registry, weights_signing, weights_watch
from molehunt.cli.options import FOUND, NOT_EXAMINED, JsonOption, StoreOption

if TYPE_CHECKING:
    from molehunt.records.scans import Finding, ScanReport

app = typer.Typer(
    help="Weights as security artifacts: look at a model folder before loading it, sign it, verify it, admit it, watch it.",
    no_args_is_help=True,
)
_CODES = {"nothing found": 0, "found": FOUND, "not fully examined": NOT_EXAMINED}
app.command()(weights_diff.diff)
app.command()(weights_signing.sign)
app.command()(weights_signing.verify)
app.command()(weights_provenance.attest)
app.command()(weights_provenance.reproduce)
app.command()(weights_bom.bom)
app.command()(weights_registry.admit)
app.command()(weights_registry.roles)
app.command()(weights_registry.propose)
app.command()(weights_registry.approve)
app.command()(weights_registry.promote)
app.command()(weights_registry.revoke)
app.command()(weights_registry.ledger)
app.command()(weights_watch.watch)


@app.command()
def scan(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A model folder, fingerprint, or embedded size that was built.")
    ],
    base: Annotated[
        str | None, typer.Option("--base", help="The model it was made from: its chat template is ordinary.")
    ] = None,
    as_json: JsonOption = False,
    as_sarif: Annotated[bool, typer.Option("--sarif", help="Print SARIF 2.1.0 on standard output.")] = False,
    store: StoreOption = None,
) -> None:
    """Look at every file of MODEL without loading any: pickles, remote code, broken weights, what chat templates do.

    Exit code 0: examined, nothing found. 1: found something. 3: not all could be examined, which is never a pass.
    """
    from molehunt.cli.weights_places import place_of
    from molehunt.errors import UsageError
    from molehunt.provenance.scanning import scan_folder
    from molehunt.reports.sarif import scan_sarif

    if as_json and as_sarif:
        raise UsageError("--json and --sarif", wanted="one of them", got="both", do="leave one out")
    report = scan_folder(place_of(model, store), place_of(base, store) if base else None)
    if as_json or as_sarif:
        print(json.dumps(scan_sarif(report) if as_sarif else report.to_json(), indent=1))
    else:
        _shown(report)
    raise typer.Exit(_CODES[report.outcome])


def _shown(report: "ScanReport") -> None:
    from molehunt.cli.show import say, table

    listed = (*report.counted, *report.not_analysed)
    notes = [finding for finding in report.findings if finding.level == "note"]
    if listed or notes:
        table(("level", "rule", "where", "what"), [_row(finding) for finding in (*listed, *notes)])
        say("")
    digest = f"root digest {report.root_digest}" if report.root_digest else "no root digest: some files were not read"
    say(f"{len(report.files)} files, {digest}")
    say(report.sentence())


def _row(finding: "Finding") -> tuple[str, str, str, str]:
    where = finding.file if finding.line is None else f"{finding.file}, line {finding.line}"
    told = (
        finding.message
        if not finding.text or finding.rule != "template-branch"
        else f"{finding.message}: {finding.text}"
    )
    return finding.level, finding.rule, where, " ".join(told.split())
