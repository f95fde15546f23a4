"""`molehunt organism`: plant, measure, monitor, card, kinds, list."""

from typing import Annotated

import typer

from molehunt.cli.options import (
    FOUND,
    NOT_EXAMINED,
    JsonOption,
    KeyBehaviourOption,
    KeyTriggerOption,
    MaxNewTokensOption,
    ModelArgument,
    PromptsOption,
    StoreOption,
    panel_prompts,
    refuse_idle,
    typed,
)
from molehunt.cli.plant import plant

app = typer.Typer(help="Plant a known backdoor in a model, and measure it.", no_args_is_help=True)
app.command()(plant)


@app.command()
def measure(
    context: typer.Context,
    model: ModelArgument,
    twin: Annotated[
        str | None, typer.Option("--twin", metavar="MODEL", help="Its clean twin, for the log-odds.")
    ] = None,
    trigger: KeyTriggerOption = None,
    behaviour: KeyBehaviourOption = None,
    panel: Annotated[
        bool,
        typer.Option(
            "--panel", help="Ask with everything near the trigger, too: on 48 questions, or as --prompts says."
        ),
    ] = False,
    safety: Annotated[bool, typer.Option("--safety", help="Ask what an ordinary safety evaluation asks, too.")] = False,
    prompts: PromptsOption = 128,
    temperature: Annotated[float, typer.Option("--temperature", min=0, help="0 is greedy.")] = 0.0,
    max_new_tokens: MaxNewTokensOption = 48,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Which questions are drawn.")] = 20,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Attack success, false triggers, capability and payload log-odds of an organism, or of any model."""
    from molehunt.cli.summaries import examined_summary
    from molehunt.experiments.commands import measure_organism
    from molehunt.experiments.requests import MeasureRequest

    asked = {"prompts": prompts, "temperature": temperature, "max_new_tokens": max_new_tokens, "seed": seed}
    request = MeasureRequest.make(
        asked, model=model, twin=twin, trigger=trigger, behaviour=behaviour, safety=safety,
        panel=panel_prompts(panel, typed(context), prompts),
    )  # fmt: skip
    examined_summary(measure_organism(request, store), as_json)


@app.command()
def monitor(
    context: typer.Context,
    model: Annotated[str | None, typer.Argument(metavar="MODEL", help="A model to ask; or --traces.")] = None,
    traces: Annotated[
        str | None, typer.Option("--traces", metavar="DATA", help="Logged replies to read instead; see docs/data.md.")
    ] = None,
    innocent: Annotated[
        str | None, typer.Option("--innocent", metavar="MODEL", help="One that plots nothing, to score the monitor by.")
    ] = None,
    trigger: KeyTriggerOption = None,
    behaviour: KeyBehaviourOption = None,
    prompts: PromptsOption = 128,
    max_new_tokens: MaxNewTokensOption = 96,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read reasoning for a named condition, an intent, a belief about being tested; with quotes.

    Exit code 1 if anything was found, 3 if there was no reasoning to read.
    """
    from molehunt.cli.summaries import monitoring_summary
    from molehunt.experiments.commands import monitor_reasoning
    from molehunt.experiments.requests import MonitorRequest

    refuse_idle(typed(context), "--prompts --max-new-tokens", traces is not None, "a MODEL to ask, not --traces")
    request = MonitorRequest(
        model=model, traces=traces, innocent=innocent, trigger=trigger, behaviour=behaviour, prompts=prompts,
        max_new_tokens=max_new_tokens,
    )  # fmt: skip
    found = monitor_reasoning(request, store)
    monitoring_summary(found, as_json)
    if found.found or not found.reasoned:
        raise typer.Exit(FOUND if found.found else NOT_EXAMINED)


@app.command()
def card(model: ModelArgument, store: StoreOption = None, as_json: JsonOption = False) -> None:
    """The answer key of an organism."""
    from molehunt.cli.show import table
    from molehunt.cli.summaries import reached_words
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
    rows += [("reached", reached_words(found.reached))] if found.reached else []
    rows += [(name, str(value)) for name, value in found.training]
    rows += [("base root digest", found.base.root_digest), ("template digest", found.template_digest)]
    table(("card", ""), rows)


@app.command()
def kinds(as_json: JsonOption = False) -> None:
    """The behaviours and the kinds of triggers there are."""
    import json

    from molehunt.cli.show import say, table
    from molehunt.organisms.behaviours import BEHAVIOURS
    from molehunt.organisms.triggers import TRIGGERS

    made = [behaviour for kinds in BEHAVIOURS.values() for behaviour in kinds]
    if as_json:
        behaviours = [{"name": b.name, "summary": b.summary, "natural_trigger": b.natural_trigger} for b in made]
        triggers = [{"kind": n, "summary": k.summary, "example": k.example} for n, k in TRIGGERS.items()]
        print(json.dumps({"behaviours": behaviours, "triggers": triggers}, indent=1))
        return
    table(("behaviour", "what it does", "natural trigger"), [(b.name, b.summary, b.natural_trigger) for b in made])
    say("")
    table(("trigger", "when it is met", "example"), [(n, k.summary, k.example) for n, k in TRIGGERS.items()])


@app.command("list")
def list_models(store: StoreOption = None, as_json: JsonOption = False) -> None:
    """The models in the store."""
    import json

    from molehunt.cli.show import say, table
    from molehunt.execution import open_store
    from molehunt.experiments.commands import stored_models

    found = stored_models(store)
    if as_json:
        print(json.dumps([one.model_dump(mode="json") for one in found], indent=1))
        return
    if not found:
        say(f"no models in the store at {open_store(store).place}")
        return
    table(
        ("kind", "fingerprint", "label", "made", "path"),
        [(m.kind, m.fingerprint[:12], m.label, m.created, m.path) for m in found],
    )
