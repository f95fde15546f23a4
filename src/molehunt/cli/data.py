"""`molehunt data`: check rows from elsewhere, look for poison in them, have a teacher answer them anew."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from molehunt.cli.options import FOUND, NOT_EXAMINED, JsonOption, SeedOption

if TYPE_CHECKING:
    from molehunt.records.hunts import DataScan, Found

app = typer.Typer(help="Rows from elsewhere, to plant in and to train on.", no_args_is_help=True)

DataArgument = Annotated[
    str, typer.Argument(metavar="DATA", help="A file, a folder of a data set, or hf:OWNER/NAME; see docs/data.md.")
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


@app.command()
def scan(
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="As for check; preference pairs with chosen and rejected too.")
    ],
    reference: Annotated[
        Path | None, typer.Option("--reference", metavar="MODEL", help="A model folder; rows that surprise it are odd.")
    ] = None,
    drop: Annotated[
        Path | None, typer.Option("--drop", metavar="OUT", help="Write a copy without the suspect rows, and a ledger.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for scan.json and the rows to read.")] = None,
    split: Annotated[str, typer.Option("--split", help="Which part of a data set that has several.")] = "train",
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Count bad rows instead of stopping at one.")] = False,
    level: Annotated[float, typer.Option("--level", min=1e-9, max=0.5, help="Rate of false discoveries.")] = 0.05,
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="Processes.")] = 2,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Look for rows of DATA in which something hidden in the prompt brings an odd answer.

    Exit code 0: looked through, nothing found. 1: found something. 3: nothing found, and bad rows were left out.
    """
    from molehunt.cli.show import watching_words
    from molehunt.hunting.dropping import check_new, drop_rows
    from molehunt.hunting.mining import MiningSettings
    from molehunt.hunting.scanning import scan_data

    if drop is not None:
        check_new(drop)
    settings = MiningSettings(jobs=jobs, level=level, seed=seed)
    with watching_words("scan") as tell:
        found = scan_data(data, settings, "skip" if skip_bad else "refuse", split, reference, tell)
    if drop is not None:
        found = found.model_copy(update={"dropped": drop_rows(found, drop, split=split)})
    if out is not None:
        _keep(found, out)
    if as_json:
        print(json.dumps(found.to_json(), indent=1))
    else:
        _told(found, drop)
    raise typer.Exit(FOUND if found.suspicious else NOT_EXAMINED if found.skipped else 0)


def _keep(found: "DataScan", out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    (out / "scan.json").write_text(json.dumps(found.to_json(), indent=1), encoding="utf-8")
    lines = (one.model_dump_json() + "\n" for one in found.queue)
    (out / "queue.jsonl").write_text("".join(lines), encoding="utf-8")


def _told(found: "DataScan", drop: Path | None) -> None:
    from molehunt.cli.show import say, table

    rows = [_find_row(one) for one in (*found.finds, *found.explained)[:20]]
    if rows:
        table(("condition", "predicts", "sources", "p", "reading", "who"), rows)
        say("")
    if found.queue:
        table(
            ("row to read", "chance", "why"),
            [(s.where, f"{s.chance:.0%}", ", ".join(s.labels)) for s in found.queue[:10]],
        )
        say("")
    if found.dropped is not None and drop is not None:
        say(f"{found.dropped} rows left out of {drop}; why: {drop}.ledger.jsonl")
    say(found.sentence())


def _find_row(found: "Found") -> tuple[str, ...]:
    one = found.association
    said = " and ".join(condition.sentence() for condition in one.conditions)
    who = ", ".join(f"{name} {count}" for name, count in one.contributors[:3])
    counts = f"{one.counts.labelled_with}/{one.counts.with_it}"
    return said, one.label, counts, f"1e{one.log10_p:.0f}", f"{one.reading}: {one.why}", who
