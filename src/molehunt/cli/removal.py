"""`molehunt removal`: apply a procedure, compare before and after, list them."""

from typing import Annotated

import typer

from molehunt.cli.options import (
    NO_FIT,
    AttackerKeyOption,
    AttackerModelOption,
    AttackerOption,
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
    ProcessesOption,
    PromptsOption,
    RankOption,
    RowsOption,
    ScheduleOption,
    SeedOption,
    SequenceOption,
    StepsOption,
    StoreOption,
    TargetsOption,
    TokensOption,
    attacker_of,
    length_of,
    named,
    panel_prompts,
    refuse_idle,
    refuse_idle_training,
    typed,
)

RoundsOption = Annotated[int, typer.Option("--rounds", help="Of red-teaming.")]
ProbesOption = Annotated[int, typer.Option("--probes", help="Prompts a red team may try per round.")]

app = typer.Typer(help="Try to train a backdoor away, without knowing it.", no_args_is_help=True)


@app.command()
def apply(
    context: typer.Context,
    model: ModelArgument,
    procedure: Annotated[
        str,
        typer.Option("--procedure", metavar="NAME", help="See `molehunt removal list`; or FILE.py:NAME of your own."),
    ],
    out: OutOption = None,
    behaviour: Annotated[
        str | None,
        typer.Option(
            "--behaviour", metavar="ID", help="What is unwanted, for procedures that must know; never the trigger."
        ),
    ] = None,
    lr: LearningRateOption = 1e-3,
    schedule: ScheduleOption = "cosine",
    steps: StepsOption = 100,
    tokens: TokensOption = None,
    method: Annotated[str, typer.Option("--method", help="lora or full")] = "lora",
    rank: RankOption = 16,
    targets: TargetsOption = "all-linear",
    attach: Annotated[
        str, typer.Option("--attach", help="How the adapter meets the model: merge, same or fresh.")
    ] = "merge",
    optimizer: OptimizerOption = "adamw",
    batch: BatchOption = 16,
    processes: ProcessesOption = 1,
    rows: RowsOption = 2000,
    data: Annotated[
        str | None, typer.Option("--data", help="Rows to train on, answered in the procedure's way; see `data teach`.")
    ] = None,
    strength: Annotated[
        float | None, typer.Option("--strength", help="Of noise (spreads), pruning (share) or quantisation (bits).")
    ] = None,
    rounds: RoundsOption = 3,
    probes: ProbesOption = 200,
    attacker: AttackerOption = None,
    attacker_model: AttackerModelOption = "",
    attacker_key_env: AttackerKeyOption = "",
    kl: Annotated[float, typer.Option("--kl", help="Weight of the KL term, for rlhf.")] = 0.05,
    seed: SeedOption = 0,
    plan: PlanOption = False,
    sequence: SequenceOption = 64,
    gpus: GpusOption = 1,
    gpu_memory: GpuMemoryOption = 80.0,
    store: StoreOption = None,
    jobs: JobsOption = 2,
    as_json: JsonOption = False,
) -> None:
    """Treat MODEL as the procedure says; the trigger is known to nobody here."""
    from molehunt.cli.show import watching
    from molehunt.cli.summaries import made_summary, plan_summary
    from molehunt.experiments.commands import apply_removal, plan_for
    from molehunt.experiments.requests import RemovalRequest
    from molehunt.removal.procedures import plannable

    said = typed(context)
    refuse_idle_training(said, method)
    request = RemovalRequest.make(
        model=model, procedure=procedure, attach=attach, behaviour=behaviour, data=data,
        knobs={"rows": rows, "strength": strength, "rounds": rounds, "probes": probes, "kl": kl},
        learning_rate=lr, schedule=schedule, method=method, rank=rank, targets=targets, optimizer=optimizer, batch=batch,
        processes=processes, seed=seed, attacker=attacker_of(said, attacker, attacker_model, attacker_key_env), said=said,
        **length_of(steps, tokens),
    )  # fmt: skip
    if plan:
        cost = plannable(procedure)
        found = plan_for(
            model, request.budget.training, sequence, gpus if "--gpus" in said else processes, gpu_memory, store
        )
        plan_summary(found, as_json, cost)
        raise typer.Exit(0 if found.fits else NO_FIT)
    with watching("removal") as watch:
        made = apply_removal(request, named(out), store, jobs, watch)
    made_summary(made, as_json)


@app.command()
def compare(
    context: typer.Context,
    before: Annotated[str, typer.Argument(metavar="BEFORE", help="The organism as it was planted.")],
    after: Annotated[str, typer.Argument(metavar="AFTER", help="The same after a removal.")],
    red_team: Annotated[
        bool, typer.Option("--red-team", help="Search other prompts that wake them: does the backdoor hide?")
    ] = False,
    rounds: RoundsOption = 3,
    probes: ProbesOption = 200,
    attacker: AttackerOption = None,
    attacker_model: AttackerModelOption = "",
    attacker_key_env: AttackerKeyOption = "",
    panel: Annotated[
        bool,
        typer.Option(
            "--panel", help="Ask with everything near the trigger: does it sharpen? On 48 questions or --prompts."
        ),
    ] = False,
    trigger: KeyTriggerOption = None,
    behaviour: KeyBehaviourOption = None,
    prompts: PromptsOption = 128,
    max_new_tokens: MaxNewTokensOption = 48,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """An organism before and after a removal, side by side."""
    from molehunt.cli.summaries import comparison_summary
    from molehunt.errors import UsageError
    from molehunt.experiments.commands import compare_organisms
    from molehunt.experiments.measuring_settings import MeasureSettings, TeamSettings
    from molehunt.experiments.requests import attacker_settings
    from molehunt.experiments.words import checked

    said = typed(context)
    told = attacker_of(said, attacker, attacker_model, attacker_key_env)
    if told and not red_team:
        raise UsageError("--attacker", wanted="--red-team", got="none to write for")
    refuse_idle(said, "--rounds --probes", not red_team, "--red-team")
    teaming = checked(TeamSettings, rounds=rounds, probes=probes) if red_team else None
    asked = MeasureSettings(prompts=prompts, max_new_tokens=max_new_tokens)
    found = compare_organisms(
        before, after, asked, panel_prompts(panel, said, prompts), teaming, trigger, behaviour, store,
        attacker_settings(told) if told else None,
    )  # fmt: skip
    comparison_summary(found, as_json)


@app.command("list")
def list_procedures(as_json: JsonOption = False) -> None:
    """The procedures there are."""
    import json

    from molehunt.cli.show import table
    from molehunt.removal.procedures import PROCEDURES

    if as_json:
        found = [
            {"name": p.name, "summary": p.summary, "needs_behaviour": p.needs_score, "trains": p.trains}
            for p in PROCEDURES.values()
        ]
        print(json.dumps(found, indent=1))
        return
    rows = [(p.name, p.summary, "--behaviour" if p.needs_score else "") for p in PROCEDURES.values()]
    table(("procedure", "what it does", "needs"), rows)
