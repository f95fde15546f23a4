"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

StoreOption = Annotated[
    Path | None,
    typer.Option("--store", help="Where artifacts are kept; default MOLEHUNT_STORE or the user's cache folder."),
]
JobsOption = Annotated[int, typer.Option("--jobs", min=0, help="Worker processes; 0 works in this process.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Of data, order and initialisation.")]
OutOption = Annotated[Path, typer.Option("--out", help="Folder to write; new or empty.")]
