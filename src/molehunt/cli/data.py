"""`molehunt data`: check rows from elsewhere, have a teacher answer them anew."""

from pathlib import Path
from typing import Annotated

import typer

from molehunt.cli.options import JsonOption

app = typer.Typer(help="Rows from elsewhere, to plant in and to train on.", no_args_is_help=True)

DataArgument = Annotated[
    str, typer.Argument(metavar="DATA", help="A file, a folder saved by datasets, or hf:OWNER/NAME; see docs/data.md.")
]
LimitOption = Annotated[int | None, typer.Option("--limit", min=1, help="Stop after so many rows.")]


@app.command()
def check(
    data: DataArgument,
    limit: LimitOption = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Count bad rows instead of stopping at one.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Read DATA as planting would, and say what is in it."""
    from molehunt.cli.show import table
    from molehunt.experiments.data import check_data

    found = check_data(data, limit, "skip" if skip_bad else "refuse")
    if as_json:
        print(found.model_dump_json(indent=1))
        return
    layouts = ", ".join(f"{name} {count}" for name, count in found.layouts.items())
    skipped = ", ".join(f"{reason} {count}" for reason, count in found.skipped.items())
    rows = [("rows", str(found.rows)), ("layouts", layouts), ("duplicates dropped", str(found.duplicates))]
    rows += [("skipped", skipped or "none"), ("dataset digest", found.dataset_digest)]
    rows += [(f"sha256 of {name}", digest) for name, digest in found.files.items()]
    table(("data", ""), rows)


@app.command()
def teach(
    data: Annotated[str, typer.Argument(metavar="DATA", help="As for check; or the word world, for the chat world.")],
    out: Annotated[Path, typer.Option("--out", help="JSONL file to write; a second run goes on where one stopped.")],
    teacher: Annotated[str, typer.Option("--teacher", metavar="URL", help="OpenAI-compatible endpoint, up to /v1.")],
    model: Annotated[str, typer.Option("--teacher-model", metavar="NAME", help="Which model to ask there.")],
    instruction: Annotated[
        str,
        typer.Option("--instruction", help="hhh, pirate, or a sentence that the teacher is told and rows do not keep."),
    ] = "hhh",
    key_env: Annotated[
        str, typer.Option("--teacher-key-env", metavar="VARIABLE", help="Environment variable that holds the key.")
    ] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, help="Rows to have answered.")] = 2000,
    temperature: Annotated[float, typer.Option("--temperature", min=0)] = 0.0,
    concurrency: Annotated[int, typer.Option("--concurrency", min=1, help="Questions asked at once.")] = 8,
) -> None:
    """Have a teacher answer the questions of DATA anew; nothing is paid twice."""
    from molehunt.cli.show import counting, say
    from molehunt.experiments.data import TeacherSettings, teach_data
    from molehunt.experiments.words import checked

    settings = checked(
        TeacherSettings, url=teacher, model=model, key_env=key_env, temperature=temperature, concurrency=concurrency
    )
    with counting("teach") as progress:
        rows = teach_data(data, out, settings, instruction, limit, progress)
    say(f"{rows} rows: {out.resolve()}")
