"""What a training would take before it is begun: memory, time and disk, from the model's config alone."""

import math
from pathlib import Path
from typing import Any, Literal

import torch

from molehunt.errors import UsageError
from molehunt.records.base import Record
from molehunt.training.footprint import Footprint, count, read_config
from molehunt.training.settings import TrainingSettings

Precision = Literal["float32", "mixed", "bfloat16"]
"""mixed: trained weights, gradients and optimizer states in float32, arithmetic and (unless sharded) frozen weights in
bfloat16. bfloat16: all of them."""

GIB = 2**30
_ROOM = 0.9
"""Share of a GPU that a plan may fill: the rest is the CUDA context's, the communicator's and lost between blocks."""
_H100 = 989e12
"""Operations a second of an H100 or H200 in dense bfloat16, by the maker's data sheet."""


class TrainingPlan(Record):
    """What a training would take. Memory is bytes per GPU; see `plan_training` for how each figure comes about."""

    parameters: int
    trainable: int
    tokens: int
    """Tokens of all steps, each row at the full length."""
    sequence: int
    """Tokens that each row is counted at."""
    batch: int
    """Rows of a step."""
    gpus: int
    rows_per_gpu: int
    """Rows that a GPU holds at once."""
    precision: Precision
    sharded: bool
    checkpointing: bool
    weights: int
    gradients: int
    optimizer: int
    activations: int
    """Kept by the forward pass, without checkpointing."""
    activations_checkpointed: int
    """Kept by it if each block is computed anew in the backward pass."""
    logits: int
    """Of the loss: log-probabilities and two gradients of their size, in float32."""
    gathered: int
    """Whole weights beside the shards: two blocks and the ends; or the bfloat16 copy of float32 weights."""
    peak: int
    gpu_memory: int
    obstacle: str
    """Why nothing here can run it, however large the GPUs; empty if something can."""
    fits: bool
    """It can be run, and the peak leaves room on each GPU."""
    flops: float
    """Of the whole training, recomputation counted."""
    flops_per_second: float
    """Peak of one GPU that is assumed."""
    utilisation: float
    """Share of it that is assumed to be reached."""
    seconds: float
    disk_weights: int
    disk_checkpoints: int


def plan_training(
    config: dict[str, Any] | Path,
    settings: TrainingSettings,
    sequence: int,
    gpus: int = 1,
    gpu_memory_gib: float = 80.0,
    flops_per_second: float = _H100,
    utilisation: float = 0.4,
    precision: Precision | None = None,
    sharded: bool | None = None,
    checkpointing: bool = False,
    rows_per_gpu: int | None = None,
) -> TrainingPlan:
    """Plan a training from a model's config; no weights are read or made.

    Memory. Weights, gradients and optimizer states are counted on the model's shapes (optimizers: `footprint._states`);
    with FSDP2 each GPU holds its share of the three and, whole, two blocks and the ends (Zhao et al. 2023, arXiv
    2304.11277, section 3), without it every GPU holds all, and DDP a second copy of the gradients. Activations are the
    tensors that autograd keeps when the model runs without numbers, for attention that keeps no table of scores;
    with checkpointing one input a block and one whole block (Chen et al. 2016, arXiv 1604.06174, section 4). Gradients
    come while activations go, so that the peak is weights + states + gathered + the larger of (activations + logits)
    and gradients.

    Time. Forward and backward take 6 operations a weight and token (Kaplan et al. 2020, arXiv 2001.08361, section 2.1),
    4 where the weight is frozen, as no gradient is taken on it; attention takes 12 x layers x width x sequence a token
    (Chowdhery et al. 2022, arXiv 2204.02311, appendix B); checkpointing adds another forward pass, a third of each.

    Args:
        config: of the model: its dict, its folder, or its config.json.
        sequence: tokens of a row; rows are counted at this length.
        flops_per_second: peak of one GPU; the default is an H100's or H200's in dense bfloat16.
        utilisation: share of that peak that is reached, recomputation counted.
        precision: as a rule that of the settings; "bfloat16" for weights, gradients and states of two bytes, which the
            plan counts and nothing here trains.
        sharded: FSDP2; as a rule where there are several GPUs.
        rows_per_gpu: rows that a GPU holds at once; all of its share of a batch as a rule.

    Raises:
        ModelError: if the config is none of a causal language model that can be built.
        UsageError: if a figure is out of range.
    """
    if settings.method == "edit":
        raise UsageError("plan", wanted="method full or lora", got="edit, which trains nothing")
    _check(settings, sequence, gpus, gpu_memory_gib, flops_per_second, utilisation, rows_per_gpu)
    precision = precision or ("mixed" if settings.precision == "bfloat16" else "float32")
    sharded = gpus > 1 if sharded is None else sharded
    rows = rows_per_gpu or -(-settings.batch // gpus)
    dtype = torch.float32 if precision == "float32" else torch.bfloat16
    found = count(read_config(config), settings, rows, sequence, dtype)
    parts = _memory(found, settings, precision, gpus, sharded, rows * sequence)
    kept = found.saved_checkpointed if checkpointing else found.saved
    peak = sum(parts[name] for name in ("weights", "optimizer", "gathered"))
    peak += max(kept + parts["logits"], parts["gradients"])
    tokens = min(settings.steps * settings.batch * sequence, settings.tokens or math.inf)
    flops = tokens * _per_token(found, sequence, checkpointing)
    return TrainingPlan(
        parameters=found.parameters,
        trainable=found.trainable,
        tokens=int(tokens),
        sequence=sequence,
        batch=settings.batch,
        gpus=gpus,
        rows_per_gpu=rows,
        precision=precision,
        sharded=sharded,
        checkpointing=checkpointing,
        **parts,
        activations=found.saved,
        activations_checkpointed=found.saved_checkpointed,
        peak=peak,
        gpu_memory=int(gpu_memory_gib * GIB),
        obstacle=(obstacle := _obstacle(settings, precision, sharded)),
        fits=not obstacle and peak <= _ROOM * gpu_memory_gib * GIB,
        flops=flops,
        flops_per_second=flops_per_second,
        utilisation=utilisation,
        seconds=flops / (gpus * flops_per_second * utilisation),
        **_disk(found, settings, precision),
    )


def _check(settings: TrainingSettings, sequence: int, gpus: int, *above_zero: float | None) -> None:
    for name, value in (("sequence", sequence), ("gpus", gpus)):
        if value < 1:
            raise UsageError(f"plan: {name}", wanted="at least 1", got=str(value))
    names = ("gpu_memory_gib", "flops_per_second", "utilisation", "rows_per_gpu")
    for name, number in zip(names, above_zero, strict=True):
        if number is not None and not 0 < number < float("inf"):
            raise UsageError(f"plan: {name}", wanted="a number above 0", got=str(number))
    if (share := above_zero[2]) is not None and share > 1:
        raise UsageError("plan: utilisation", wanted="at most 1", got=str(share))
    if settings.batch % gpus:
        raise UsageError("plan: gpus", wanted=f"a divisor of the batch of {settings.batch}", got=str(gpus))


def _obstacle(settings: TrainingSettings, precision: Precision, sharded: bool) -> str:
    if precision == "bfloat16":
        return "no training here keeps trained weights in bfloat16"
    if sharded and settings.optimizer != "adamw":
        return f"{settings.optimizer} needs whole matrices, and several GPUs hold shards of them"
    return ""


def _memory(
    found: Footprint, settings: TrainingSettings, precision: Precision, gpus: int, sharded: bool, tokens: int
) -> dict[str, int]:
    """Bytes per GPU by part."""
    trained, computed = (2 if precision == "bfloat16" else 4), (4 if precision == "float32" else 2)
    rest = found.parameters if settings.method == "lora" else found.parameters - found.trainable
    frozen = rest * (trained if sharded else computed)  # shards of one block have one type
    share = gpus if sharded else 1
    if sharded:
        gathered = (2 * found.largest_block + found.outside_blocks) * computed
    else:
        gathered = found.trainable * computed if computed < trained else 0
    copies = 2 if gpus > 1 and not sharded else 1
    return {
        "weights": (found.trainable * trained + frozen) // share,
        "gradients": copies * found.trainable * trained // share,
        "optimizer": found.states * trained // share,
        "logits": 3 * 4 * tokens * found.vocabulary,
        "gathered": gathered,
    }


def _per_token(found: Footprint, sequence: int, checkpointing: bool) -> float:
    """Operations for one token."""
    is_full = found.trainable == found.parameters
    weights = 6 * found.multiplied if is_full else 4 * found.multiplied + 6 * found.trainable
    again = 2 * found.multiplied + 4 * found.layers * found.width * sequence if checkpointing else 0
    return float(weights + 12 * found.layers * found.width * sequence + again)


def _disk(found: Footprint, settings: TrainingSettings, precision: Precision) -> dict[str, int]:
    trained, computed = (2 if precision == "bfloat16" else 4), (4 if precision == "float32" else 2)
    if settings.method == "lora":
        weights = found.parameters * computed + found.trainable * trained
    else:
        weights = found.parameters * trained
    kept = sum(step <= settings.steps for step in settings.checkpoints)
    return {"disk_weights": weights, "disk_checkpoints": kept * found.trainable * trained}


def plan_lines(plan: TrainingPlan) -> list[tuple[str, str]]:
    """(what, how much) for a reader, in the order in which he asks."""
    spread = "shards (FSDP2)" if plan.sharded else "a whole copy each"
    kept = plan.activations_checkpointed if plan.checkpointing else plan.activations
    other = plan.activations if plan.checkpointing else plan.activations_checkpointed
    whole = ", its whole share" if plan.rows_per_gpu * plan.gpus >= plan.batch else ""
    device = ", an H100's or H200's in dense bfloat16" if plan.flops_per_second == _H100 else ""
    return [
        ("weights trained", f"{plan.trainable:,} of {plan.parameters:,}"),
        ("GPUs", f"{plan.gpus} of {_size(plan.gpu_memory)}, {spread}, {plan.precision}"),
        ("rows", f"{plan.batch} a step, counted at {plan.sequence} tokens each; {plan.rows_per_gpu} at once on each GPU{whole}"),
        ("memory: weights", _size(plan.weights)),
        ("memory: gradients", _size(plan.gradients)),
        ("memory: optimizer", _size(plan.optimizer)),
        ("memory: gathered", _size(plan.gathered)),
        ("memory: activations", f"{_size(kept)} ({_size(other)} {'without' if plan.checkpointing else 'with'} checkpointing)"),
        ("memory: loss", _size(plan.logits)),
        ("memory: peak", f"{_size(plan.peak)} of {_size(plan.gpu_memory)} a GPU"),
        ("fits", "yes" if plan.fits else f"no: {plan.obstacle or f'more than {_ROOM:.0%} of a GPU'}"),
        ("tokens", f"{plan.tokens:,}"),
        ("time", f"{_time(plan.seconds)}, at {plan.utilisation:.0%} of {plan.flops_per_second / 1e12:,.3g} TFLOP/s a GPU{device}"),
        ("disk", f"{_size(plan.disk_weights)} model, {_size(plan.disk_checkpoints)} checkpoints"),
    ]  # fmt: skip


def _size(count: int) -> str:
    for unit, size in (("GiB", 2**30), ("MiB", 2**20)):
        if count >= size:
            return f"{count / size:,.1f} {unit}"
    return f"{count / 1024:,.1f} KiB"


def _time(seconds: float) -> str:
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:,.1f} seconds"


def utilisation(plan: TrainingPlan, seconds: float, flops_per_second: float) -> float:
    """Share of the GPUs' peak that a training of this plan reached in `seconds`, recomputation counted.

    Without checkpointing this is the model FLOPs utilisation of Chowdhery et al. 2022 (arXiv 2204.02311, section 4.1).
    """
    return plan.flops / (plan.gpus * flops_per_second * seconds)
