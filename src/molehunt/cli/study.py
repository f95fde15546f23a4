"""`molehunt study`: plan a designed experiment, run it, report it, judge its claims."""

from pathlib import Path
from typing import Annotated, Any

import typer

from molehunt.cli.options import JobsOption, JsonOption, OnOption, StoreOption

app = typer.Typer(help="Ablations over seeds: which conclusions hold when the setup changes?", no_args_is_help=True)

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="A Python file with a function study().")]
StrictOption = Annotated[
    bool, typer.Option("--strict", help="Refuse a study with a contrast whose arms differ in more than its factor.")
]
WithOption = Annotated[
    list[str] | None, typer.Option("--with", metavar="NAME=VALUE", help="An argument for study(), such as base=MODEL.")
]
GpusOption = Annotated[
    float, typer.Option("--gpus", min=0, help="GPUs of each step, or of each process of one, on a cluster.")
]
MemoryOption = Annotated[float, typer.Option("--memory", min=0, help="GiB of each step, on a cluster.")]
ResumeOption = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Go on from what the store has, as every run does; to make everything anew, name an empty --store.",
    ),
]
NOT_WHOLE = 3
"""Exit code when cells are missing, or when contrasts are confounded."""


def arguments(given: list[str] | None) -> dict[str, Any]:
    """NAME=VALUE pairs; a value that is JSON is read as such, any other is text.

    Raises:
        UsageError: if one is not a pair.
    """
    import json

    from molehunt.errors import UsageError

    found: dict[str, Any] = {}
    for pair in given or []:
        name, equals, text = pair.partition("=")
        if not equals or not name.isidentifier():
            raise UsageError("--with", wanted="NAME=VALUE", got=pair)
        try:
            found[name] = json.loads(text)
        except ValueError:
            found[name] = text
    return found


@app.command()
def plan(
    file: FileArgument, given: WithOption = None, strict: StrictOption = False, store: StoreOption = None, jobs: JobsOption = 2,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """What FILE would run, what it would cost, and in what the arms of each claim differ."""
    from molehunt.cli.study_shown import plan_shown
    from molehunt.execution import open_store
    from molehunt.experiments.studies.design import load_study
    from molehunt.experiments.studies.planning import plan_study

    found = plan_study(load_study(file, arguments(given)), open_store(store), jobs)
    plan_shown(found, as_json)
    if strict and found.confounded:
        raise typer.Exit(NOT_WHOLE)


@app.command()
def run(
    file: FileArgument, given: WithOption = None, strict: StrictOption = False, store: StoreOption = None, jobs: JobsOption = 2,
    on: OnOption = "local", gpus: GpusOption = 0, memory: MemoryOption = 0, resume: ResumeOption = True,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Run what the store lacks of FILE; interrupted at any moment, the same command goes on from there."""
    from molehunt.cli.study_shown import live, run_shown
    from molehunt.execution import Needs, open_store
    from molehunt.experiments.studies.design import load_study
    from molehunt.experiments.studies.running import run_study

    study = load_study(file, arguments(given))
    with live(study.name) as watch:
        done = run_study(study, open_store(store), jobs, watch, strict, on, Needs(gpus, memory))
    run_shown(done, as_json)
    if done.progress.failed:
        raise typer.Exit(NOT_WHOLE)


@app.command()
def report(
    file: FileArgument,
    given: WithOption = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for report.html, result.json and results.parquet.")
    ] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Report what is finished of FILE: claims, effects, verdicts, every arm's settings; says what is missing."""
    from molehunt.cli.show import say
    from molehunt.cli.study_shown import claims_shown, missing_shown
    from molehunt.execution import open_store
    from molehunt.execution.folders import report_folder
    from molehunt.experiments.studies.design import load_study
    from molehunt.experiments.studies.running import read_result
    from molehunt.reports.study_page import study_page

    study = load_study(file, arguments(given))
    out = out or Path(f"molehunt-{study.name}")
    with report_folder(out, "molehunt.study") as aside:
        result = read_result(study, open_store(store), aside)
        (aside / "report.html").write_text(study_page(result), encoding="utf-8")
    if as_json:
        print(result.model_dump_json(by_alias=True, indent=1))
    else:
        claims_shown(result.claims, False)
        missing_shown(result)
        say(f"report: {(out / 'report.html').resolve()}")
    if result.missing:
        raise typer.Exit(NOT_WHOLE)


@app.command()
def claims(
    file: FileArgument, given: WithOption = None, store: StoreOption = None, as_json: JsonOption = False
) -> None:  # fmt: skip
    """Which claims the finished cells of FILE support, contradict, or leave open."""
    import tempfile

    from molehunt.cli.study_shown import claims_shown, missing_shown
    from molehunt.execution import open_store
    from molehunt.experiments.studies.design import load_study
    from molehunt.experiments.studies.running import read_result

    with tempfile.TemporaryDirectory() as aside:
        result = read_result(load_study(file, arguments(given)), open_store(store), Path(aside))
    claims_shown(result.claims, as_json)
    if not as_json:
        missing_shown(result)
    if result.missing:
        raise typer.Exit(NOT_WHOLE)
