"""`molehunt zoo`: build labelled models on which audits are calibrated, and list them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from molehunt.cli.options import JobsOption, JsonOption, StoreOption

if TYPE_CHECKING:
    from molehunt.records.zoo import Zoo, ZooPlan

app = typer.Typer(help="Labelled organisms and clean controls, to calibrate audits on.", no_args_is_help=True)
NOT_WHOLE = 3
"""Exit code when models are missing."""


@app.command()
def build(
    spec: Annotated[str, typer.Argument(metavar="SPEC", help="A TOML file, or `embedded`, which comes with Molehunt.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for zoo.json; new, empty, or with an earlier zoo.")
    ] = None,
    copy: Annotated[
        bool, typer.Option("--copy", help="Copy the models out of the store, beside zoo.json, under names that tell nothing.")
    ] = False,
    plan: Annotated[bool, typer.Option("--plan", help="Only say how many models, how long, how much disk.")] = False,
    store: StoreOption = None,
    jobs: JobsOption = 2,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Make what the store lacks of SPEC; interrupted at any moment, the same command goes on from there.

    Exit code 3 if a model could not be made; the rest is, and zoo.json names what is missing and why.
    """
    from molehunt.cli.show import say, watching
    from molehunt.execution import open_store
    from molehunt.experiments.zoo.building import build_zoo, plan_zoo, require_zoo_folder, write_zoo
    from molehunt.experiments.zoo.spec import load_spec

    stated, kept = load_spec(spec), open_store(store)
    planned = plan_zoo(stated, kept, jobs)
    if plan or not as_json:
        _plan_shown(planned, as_json)
    if plan:
        return
    out = out or Path(f"molehunt-zoo-{stated.name}")
    require_zoo_folder(out)
    with watching("zoo") as watch:
        built = build_zoo(stated, kept, jobs, watch)
    zoo = write_zoo(built.zoo, out, kept if copy else None)
    if as_json:
        print(zoo.model_dump_json(by_alias=True, indent=1))
    else:
        say("")
        _summary_shown(zoo)
        say(f"zoo: {(out / 'zoo.json').resolve()}")
    if zoo.missing:
        raise typer.Exit(NOT_WHOLE)


@app.command("list")
def list_zoo(
    zoo: Annotated[Path, typer.Argument(metavar="ZOO", help="A zoo.json, or the folder that holds one.")],
    as_json: JsonOption = False,
) -> None:
    """The models of a zoo, their labels, and how alike planted and clean ones are."""
    from molehunt.cli.show import say, table
    from molehunt.records.zoo import read_zoo

    found = read_zoo(zoo)
    if as_json:
        print(found.model_dump_json(by_alias=True, indent=1))
    else:
        rows = [
            (e.name, "planted" if e.planted else "clean", e.kind, str(e.facts.steps), f"{e.facts.change:.3f}",
             "–" if e.facts.shown is None else f"{e.facts.shown:.0%}", e.model[:12])
            for e in found.entries
        ]  # fmt: skip
        table(("model", "label", "kind", "steps", "change", "shown", "fingerprint"), rows)
        say("")
        _summary_shown(found)
    if found.missing:
        raise typer.Exit(NOT_WHOLE)


def _plan_shown(plan: "ZooPlan", as_json: bool) -> None:
    from molehunt.cli.show import say, table

    if as_json:
        print(plan.model_dump_json(by_alias=True, indent=1))
        return
    rows = [(r.name, r.makes, str(r.planted), str(r.clean), _time(r.seconds)) for r in plan.recipes]
    table(("recipe", "makes", "planted", "clean", "work of one core"), rows)
    source = "from parts made here" if plan.measured_costs else "if nothing else runs"
    say("")
    say(
        f"{plan.models} models on {plan.bases} bases; {plan.stored} of {plan.steps} parts are in the store; "
        f"about {_time(plan.seconds)} {source}, {plan.disk / 2**20:.0f} MiB of disk"
    )


def _summary_shown(zoo: "Zoo") -> None:
    from statistics import median

    from molehunt.cli.show import say, table

    def middle(values: list[float]) -> str:
        return f"{median(values):.3g}" if values else "–"

    rows = []
    for label, is_planted in (("planted", True), ("clean", False)):
        facts = [entry.facts for entry in zoo.entries if entry.planted is is_planted]
        changes = sorted(f.change for f in facts)
        between = f"{changes[0]:.3f} to {changes[-1]:.3f}" if changes else "–"
        rows.append((label, str(len(facts)), middle([float(f.steps) for f in facts]), middle(changes), between))
    table(("label", "models", "median steps", "median change", "change"), rows)
    if zoo.same:
        say(f"{len(zoo.same)} models left out that have the very weights of another: see `same` in zoo.json")
    for name, why in zoo.missing.items():
        say(f"missing: {name}: {why}")


def _time(seconds: float) -> str:
    from molehunt.cli.study_shown import time_words

    return time_words(seconds)
