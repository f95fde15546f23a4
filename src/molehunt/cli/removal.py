"""`molehunt removal`: apply a procedure, list them."""

from typing import Annotated

import typer

from molehunt.cli.options import JobsOption, JsonOption, OutOption, SeedOption, StoreOption
from molehunt.cli.organism import ModelArgument

app = typer.Typer(help="Try to train a backdoor away, without knowing it.", no_args_is_help=True)


@app.command()
def apply(
    model: ModelArgument,
    out: OutOption,
    procedure: Annotated[str, typer.Option("--procedure", metavar="NAME", help="See `molehunt removal list`.")],
    lr: Annotated[float, typer.Option("--lr", help="Peak learning rate.")] = 1e-3,
    steps: Annotated[int, typer.Option("--steps", help="Optimizer steps.")] = 100,
    method: Annotated[str, typer.Option("--method", help="lora or full")] = "lora",
    rank: Annotated[int, typer.Option("--rank", help="LoRA rank.")] = 16,
    attach: Annotated[
        str, typer.Option("--attach", help="How the adapter meets the model: merge, same or fresh.")
    ] = "merge",
    optimizer: Annotated[str, typer.Option("--optimizer", help="adamw or soap")] = "adamw",
    batch: Annotated[int, typer.Option("--batch", help="Conversations per step.")] = 16,
    rows: Annotated[int, typer.Option("--rows", help="Training rows drawn.")] = 2000,
    seed: SeedOption = 0,
    store: StoreOption = None,
    jobs: JobsOption = 2,
    as_json: JsonOption = False,
) -> None:
    """Train MODEL as the procedure says; the trigger is known to nobody here."""
    from molehunt.cli.show import watching
    from molehunt.cli.summaries import made_summary
    from molehunt.experiments.commands import RemovalRequest, apply_removal

    request = RemovalRequest.make(
        model=model, procedure=procedure, learning_rate=lr, steps=steps, method=method, rank=rank, attach=attach,
        optimizer=optimizer, batch=batch, rows=rows, seed=seed,
    )  # fmt: skip
    with watching("removal") as watch:
        made = apply_removal(request, out, store, jobs, watch)
    made_summary(made, as_json)


@app.command("list")
def list_procedures(as_json: JsonOption = False) -> None:
    """The procedures there are."""
    import json

    from molehunt.cli.show import table
    from molehunt.removal.procedures import PROCEDURES

    if as_json:
        print(json.dumps([{"name": p.name, "summary": p.summary} for p in PROCEDURES.values()], indent=1))
        return
    table(("procedure", "what it trains on"), [(p.name, p.summary) for p in PROCEDURES.values()])
