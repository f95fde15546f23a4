"""`molehunt demo`: the whole story on one model, ends in report.html."""

from pathlib import Path
from typing import Annotated

import typer

from molehunt.cli.options import JobsOption, JsonOption, SeedOption, StoreOption


def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder for report.html and result.json.")] = Path("molehunt-demo"),
    seed: SeedOption = 0,
    base: Annotated[
        str, typer.Option("--base", help="A model folder, hub name, fingerprint, or embedded size.")
    ] = "tiny",
    store: StoreOption = None,
    jobs: JobsOption = 2,
    as_json: JsonOption = False,
) -> None:
    """Plant a backdoor, try to train it out, train it back, and report what is left."""
    from molehunt.cli.show import say, watching
    from molehunt.cli.summaries import demo_summary
    from molehunt.execution import open_store
    from molehunt.execution.folders import require_report_folder, write_text
    from molehunt.experiments.demo import DemoSettings, run_demo
    from molehunt.experiments.demo_result import demo_result
    from molehunt.reports.demo_page import demo_page

    require_report_folder(out, "molehunt.demo")
    with watching("demo") as watch:
        run = run_demo(DemoSettings(base=base, seed=seed), open_store(store), jobs, watch)
    result = demo_result(run)
    write_text(out / "result.json", result.model_dump_json(by_alias=True, indent=1))
    write_text(out / "report.html", demo_page(result))
    if as_json:
        print(result.model_dump_json(by_alias=True, indent=1))
        return
    demo_summary(result)
    if run.made:
        say(f"{run.made} parts made, {run.cached} taken from the store at {run.store.place}, {run.seconds:.0f} s")
    else:
        say(f"everything was taken from the store at {run.store.place}: all {run.cached} parts")
    say(f"report: {(out / 'report.html').resolve()}")
