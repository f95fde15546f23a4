"""`molehunt weights diff`: what is different between two model folders, tensor by tensor."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from molehunt.cli.options import FOUND, NOT_EXAMINED, JsonOption, StoreOption

if TYPE_CHECKING:
    from molehunt.records.diffs import DiffReport, TensorDiff

_CODES = {"same model": 0, "differs": FOUND, "not fully examined": NOT_EXAMINED}
_MOST = 40
"""Tensors in the table; JSON has all."""


def diff(
    a: Annotated[str, typer.Argument(metavar="A", help="The model before: folder, fingerprint or built size.")],
    b: Annotated[str, typer.Argument(metavar="B", help="The model after.")],
    as_json: JsonOption = False,
    store: StoreOption = None,
) -> None:
    """How B differs from A, tensor by tensor and file by file; shards and types of numbers alone make no difference.

    Exit code 0: the same model. 1: they differ. 3: something could not be compared.
    """
    from molehunt.cli.show import counting
    from molehunt.cli.weights_places import place_of
    from molehunt.provenance.model_diff import diff_models

    one, other = place_of(a, store), place_of(b, store)
    with counting("comparing") as watch:
        report = diff_models(one, other, watch=watch)
    if as_json:
        print(json.dumps(report.to_json(), indent=1))
    else:
        _shown(report)
    raise typer.Exit(_CODES[report.outcome])


def _shown(report: "DiffReport") -> None:
    from molehunt.cli.show import say, table

    if report.tensors:
        head = ("tensor", "", "type, shape", "‖Δ‖/‖W‖", "rank", "rows", "columns", "form")
        table(head, [_row(one) for one in report.tensors[:_MOST]])
        rest = len(report.tensors) - _MOST
        say(f"and {rest} more tensors; --json has all\n" if rest > 0 else "")
    if report.changes or report.notes:
        rows = [(one.what, one.name, one.before, one.after) for one in report.changes]
        table(("what", "", "A", "B"), rows + [("no part", one.name, one.before, one.after) for one in report.notes])
        say("")
    for name, why in report.not_examined.items():
        say(f"not examined: {name}: {why}")
    say(report.sentence())


def _row(one: "TensorDiff") -> tuple[str, ...]:
    if one.status != "changed" or one.norm is None:
        return one.name, one.status, one.told, "", "", "", "", ""
    rank = "" if not one.of_rows else f"{one.rank}" if one.rank is not None else "full"
    rows, columns = (
        f"{some} of {of}" if some is not None else ""
        for some, of in ((one.rows, one.of_rows), (one.columns, one.of_columns))
    )
    relative = f"{one.relative:.2g}" if one.relative is not None else ""
    return one.name, one.status, one.told, relative, rank, rows, columns, one.form
