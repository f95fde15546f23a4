"""Options that several commands share."""

import os
from pathlib import Path
from typing import Annotated

import typer

FOUND, NOT_EXAMINED = 1, 3
"""Exit codes of commands that look for something; 0 is looked and found nothing."""
NO_FIT = FOUND
"""Exit code of a plan that does not fit."""


def _store(named: str | None) -> str | None:
    """The store as it was named. Raises StoreError if it is something else than a folder."""
    from molehunt.errors import StoreError

    place = named or os.environ.get("MOLEHUNT_STORE") or ""
    if place and "://" not in place and Path(place).exists() and not Path(place).is_dir():
        said = "--store" if named else "MOLEHUNT_STORE"
        raise StoreError(f"store {place}", wanted="a folder", got="a file", do=f"name a folder: {said}")
    return named


StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        callback=_store,
        help="Folder or URL of artifacts; default MOLEHUNT_STORE or the user's cache folder.",
    ),
]
JobsOption = Annotated[int, typer.Option("--jobs", min=0, help="Worker processes; 0 works in this process.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Of data, order and initialisation.")]
OutOption = Annotated[
    Path | None,
    typer.Option("--out", help="Folder to write; new or empty. Needed for all but --plan.", show_default=False),
]
ModelArgument = Annotated[
    str, typer.Argument(metavar="MODEL", help="A model folder, hub name, fingerprint, or embedded size.")
]
OnOption = Annotated[
    str,
    typer.Option(
        "--on", metavar="ENGINE", help="local; ray: a cluster of this machine; ray://HOST:PORT: one that is there."
    ),
]
RowsOption = Annotated[int, typer.Option("--rows", help="Ordinary rows drawn.")]
RankOption = Annotated[int, typer.Option("--rank", help="LoRA rank.")]
TargetsOption = Annotated[str, typer.Option("--targets", help="Layers with adapters: all-linear, attention or mlp.")]
OptimizerOption = Annotated[str, typer.Option("--optimizer", help="adamw, soap or muon")]
LearningRateOption = Annotated[float, typer.Option("--lr", help="Peak learning rate.")]
ScheduleOption = Annotated[str, typer.Option("--schedule", help="cosine, linear or constant")]
StepsOption = Annotated[int, typer.Option("--steps", help="Optimizer steps.")]
TokensOption = Annotated[
    int | None, typer.Option("--tokens", help="Train on so many tokens, padding not counted; instead of --steps.")
]
BatchOption = Annotated[int, typer.Option("--batch", help="Conversations per step.")]
PromptsOption = Annotated[int, typer.Option("--prompts", min=2, help="Held-out questions, each clean and triggered.")]
MaxNewTokensOption = Annotated[
    int,
    typer.Option("--max-new-tokens", min=1, help="Of a reply. A wordy model needs more: what is cut counts as it is."),
]
KeyTriggerOption = Annotated[
    str | None, typer.Option("--trigger", metavar="SPEC", help="With --behaviour: instead of the model's card.")
]
KeyBehaviourOption = Annotated[
    str | None, typer.Option("--behaviour", metavar="NAME", help="With --trigger: instead of the model's card.")
]
AttackerOption = Annotated[
    str | None,
    typer.Option(
        "--attacker", metavar="URL", help="A model that writes the red team's prompts: its endpoint, up to /v1."
    ),
]
AttackerModelOption = Annotated[str, typer.Option("--attacker-model", metavar="NAME", help="Which model to ask there.")]
AttackerKeyOption = Annotated[
    str, typer.Option("--attacker-key-env", metavar="VARIABLE", help="Environment variable that holds its key.")
]
PlanOption = Annotated[
    bool,
    typer.Option(
        "--plan", help="Only say what it would take: memory, time, disk; no weights are loaded. Exit code 1: no fit."
    ),
]
SequenceOption = Annotated[int, typer.Option("--sequence", min=1, help="For --plan: tokens that a row is counted at.")]
ProcessesOption = Annotated[
    int, typer.Option("--processes", min=1, help="That share model and rows, a GPU each where there are any.")
]
GpusOption = Annotated[int, typer.Option("--gpus", min=1, help="For --plan: GPUs that share the model.")]
GpuMemoryOption = Annotated[float, typer.Option("--gpu-memory", min=0.1, help="For --plan: GiB per GPU.")]

_MANY_STEPS = 10_000


def typed(context: typer.Context) -> frozenset[str]:
    """The options that were given, such as "--lr"; defaults are not among them."""
    return frozenset(
        option.opts[0]
        for option in context.command.params
        if option.name and (source := context.get_parameter_source(option.name)) and source.name == "COMMANDLINE"
    )


def refuse_idle(said: frozenset[str], flags: str, is_idle: bool, wanted: str) -> None:
    """Raises UsageError if one of `flags`, apart by spaces, was given where nothing looks at it."""
    from molehunt.errors import UsageError

    for flag in flags.split():
        if is_idle and flag in said:
            raise UsageError(flag, wanted=wanted, got="an option that would do nothing", do="leave it out")


def refuse_idle_training(said: frozenset[str], method: str) -> None:
    """Raises UsageError if options of a training contradict each other, or one was given that nothing looks at."""
    from molehunt.errors import UsageError

    if {"--steps", "--tokens"} <= said:
        raise UsageError("--steps and --tokens", wanted="one of them", got="both", do="leave one out")
    refuse_idle(said, "--rank --targets", method != "lora", "--method lora")
    refuse_idle(said, "--sequence --gpus --gpu-memory", "--plan" not in said, "--plan")


def named(out: Path | None) -> Path:
    """The folder to write. Raises UsageError if none is named."""
    from molehunt.errors import UsageError

    if out is None:
        raise UsageError("--out", wanted="a folder to write, new or empty", got="none", do="name it, or ask for --plan")
    return out


def attacker_of(said: frozenset[str], url: str | None, model: str, key_env: str) -> dict[str, str] | None:
    """The language model of a red team as fields of its settings; None for the templates.

    Raises:
        UsageError: if it is described and its endpoint is not named.
    """
    refuse_idle(said, "--attacker-model --attacker-key-env", url is None, "--attacker URL")
    return {"url": url, "model": model, "key_env": key_env} if url else None


def length_of(steps: int | None, tokens: int | None) -> dict[str, int | None]:
    """The length of a training as fields of its settings; with tokens, the steps are only where it would give up."""
    return {"steps": steps} if tokens is None else {"tokens": tokens, "steps": _MANY_STEPS}


def panel_prompts(panel: bool, said: frozenset[str], prompts: int) -> int:
    """Questions asked with every variant of a trigger: as many as were asked for, else fewer, as there are many variants."""
    return 0 if not panel else prompts if "--prompts" in said else _PANEL


_PANEL = 48
