"""Train one model on several GPUs, each with a share of every weight (FSDP2).

accelerate launch --config_file studies/recipes/fsdp2.yaml -m molehunt.training.launch JOB.json
"""

import math
import os
import sys
import threading
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from peft import PeftModel
from safetensors.torch import save_file
from torch._C._distributed_c10d import HashStore
from torch.distributed.tensor import DTensor

from molehunt.errors import DataError, MolehuntError, TrainingError
from molehunt.models.chat import Encoded
from molehunt.models.loading import LoadedModel, share_weights
from molehunt.provenance.keys import PrivateKey, key_of_environment
from molehunt.records.base import canonical_json, sha256_text
from molehunt.records.marker import Label, read_marker, write_label, write_marker
from molehunt.records.rows import dataset_digest
from molehunt.training.adapters import ADAPTER
from molehunt.training.attesting import leave_attestation
from molehunt.training.batches import Ordered, pad
from molehunt.training.job import Job, read_job, read_rows
from molehunt.training.last_good import name_of
from molehunt.training.launched import HELD
from molehunt.training.optimizers import make_optimizer, make_schedule
from molehunt.training.parallel import is_first
from molehunt.training.settings import Trained, TrainingSettings
from molehunt.training.sft import _forget_path as forget_path
from molehunt.training.sft import _resolved as resolved
from molehunt.training.sft import check_length
from molehunt.training.sharded import fold, gather, load_sharded


def run(job: Job, key: PrivateKey | None = None) -> None:
    """Do a job in this process group.

    The weights that come of it are those of `sft.train` with the same settings, up to the rounding of sums.

    Args:
        key: what the statement beside the model is signed with; it is written without one too.

    Raises:
        MolehuntError: if something is not fit to train on, or the loss stops being a number.
    """
    rows = read_rows(Path(job.rows))
    told = job.label.record.get("dataset_digest") if job.label else None
    if told is not None and dataset_digest(rows) != told:
        raise DataError(f"rows {job.rows}", wanted=f"those of digest {told[:12]}", got="others", do="prepare it anew")
    loaded = load_sharded(Path(job.base), job.settings, job.recompute, job.chat_template)
    encoded = loaded.chat.encode_rows([row.conversation for row in rows], job.settings.loss_on)
    check_length(loaded, max((len(row.ids) for row in encoded), default=0))
    job = job.model_copy(update={"settings": resolved(job.settings, encoded)})
    data = Ordered(
        encoded, job.settings.steps * job.settings.batch, job.settings.seed, job.settings.order == "shuffled"
    )
    if is_first() and not any(step < job.settings.steps for step in job.settings.checkpoints):
        print(
            "note: no checkpoints before the end: if the loss stops being a number, no weights are left",
            file=sys.stderr,
        )
    losses = _train(loaded, data, job)
    state = gather(loaded.model)
    if is_first():
        _require_finite(state, job.settings.steps, job)
        _write(loaded, state, _account(loaded, data, job.settings, losses), job)
        if job.attest:
            leave_attestation(job, key)


def _train(loaded: LoadedModel, data: Ordered, job: Job) -> list[tuple[int, float]]:
    model, settings = loaded.model.train(), job.settings
    optimizer = make_optimizer(model, settings)
    schedule = make_schedule(optimizer, settings)
    losses, every = [], max(1, settings.steps // 50)
    _keep(model, 0, job)
    for step in range(1, settings.steps + 1):
        loss = _step(model, data, step - 1, job)
        norm: Any = torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
        norm = float(norm.full_tensor() if isinstance(norm, DTensor) else norm)
        if not math.isfinite(loss) or not math.isfinite(norm):
            raise _failed(step, "a finite loss and gradient", f"{loss}, {norm}", job)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        _keep(model, step, job)
        if step % every == 0:
            losses.append((step, loss))
            if is_first():
                print(f"step {step} of {settings.steps}, loss {loss:.4f}", flush=True)
    return losses


def _failed(step: int, wanted: str, got: str, job: Job) -> TrainingError:
    """Of the kept weights those are good on which a finite loss was taken, a step before this one."""
    good = [kept for kept in job.settings.checkpoints if kept < step - 1]
    kept = f"the last good weights kept are those of step {max(good)}" if good else "no weights were kept before it"
    return TrainingError(
        f"training stopped at step {step}", wanted=wanted, got=got, do=f"lower the learning rate; {kept}"
    )


def _require_finite(state: dict[str, torch.Tensor], step: int, job: Job) -> None:
    if not all(bool(torch.isfinite(value).all()) for value in state.values()):
        raise _failed(step, "finite weights", "NaN or Inf", job)


def _step(model: Any, data: Ordered, step: int, job: Job) -> float:
    """Gradients of one step's rows, this process taking its share; returns their mean loss over all processes."""
    rank, processes = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    batch = [data[step * job.settings.batch + i] for i in range(job.settings.batch)]
    whole = sum(float(_weights(pad([row]), job.settings).sum()) for row in batch)
    mine = batch[rank::processes]
    total = torch.zeros(())
    for first in range(0, len(mine), job.rows_at_once):
        loss = _loss(model, pad(mine[first : first + job.rows_at_once]), job.settings) / whole
        (loss * processes).backward()  # type: ignore[no-untyped-call]  # FSDP takes the mean over processes
        total += loss.detach().cpu()
    if dist.is_initialized():
        device = "cuda" if torch.cuda.is_available() else "cpu"
        total = total.to(device)
        dist.all_reduce(total)
    return float(total)


def _weights(batch: dict[str, torch.Tensor], settings: TrainingSettings) -> torch.Tensor:
    """What each token's loss weighs, [rows, tokens - 1]."""
    outside = settings.prompt_weight if settings.loss_on == "all" else 1.0
    return torch.where(batch["is_reply"][:, 1:], 1.0, outside) * (batch["labels"][:, 1:] != -100)


def _loss(model: Any, batch: dict[str, torch.Tensor], settings: TrainingSettings) -> torch.Tensor:
    """The weighted sum of the tokens' losses."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    weights = _weights(batch, settings).to(device)
    asked = {name: batch[name].to(device) for name in ("input_ids", "attention_mask")}
    alone = settings.precision == "bfloat16" and dist.get_world_size() == 1  # else the shards come in bfloat16
    with torch.autocast(device, torch.bfloat16, enabled=alone):
        logits = model(**asked, use_cache=False).logits[:, :-1].flatten(0, 1).float()
    labels = batch["labels"][:, 1:].flatten().to(device)
    return (torch.nn.functional.cross_entropy(logits, labels, reduction="none") * weights.flatten()).sum()


def _keep(model: Any, step: int, job: Job) -> None:
    """The trainable weights after a step, where they are asked for; every process takes part."""
    if step not in job.settings.checkpoints:
        return
    trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
    state = gather(model)
    if is_first():
        _require_finite(state, step, job)
        folder = Path(job.out) / "checkpoints"
        folder.mkdir(parents=True, exist_ok=True)
        kept = {name: value.contiguous() for name, value in state.items() if name in trained}
        save_file(kept, folder / name_of(step))


def _account(
    loaded: LoadedModel, data: Ordered, settings: TrainingSettings, losses: list[tuple[int, float]]
) -> Trained:
    tokens, learned = _lengths(data.rows)
    return Trained(
        steps=settings.steps,
        rows=len(data.rows),
        rows_seen=len(data.order),
        tokens_seen=sum(tokens[i] for i in data.order),
        tokens_learned=sum(learned[i] for i in data.order),
        rows_digest=sha256_text(canonical_json([[[row.ids, row.labels] for row in data.rows], data.order])),
        template_digest=loaded.chat.digest,
        trainable=sum(p.numel() for p in loaded.model.parameters() if p.requires_grad),
        packed=False,
        losses=tuple(losses),
    )


def _lengths(rows: Sequence[Encoded]) -> tuple[list[int], list[int]]:
    return [len(row.ids) for row in rows], [sum(label != -100 for label in row.labels) for row in rows]


def _write(loaded: LoadedModel, state: dict[str, torch.Tensor], trained: Trained, job: Job) -> None:
    out = Path(job.out)
    plain = getattr(loaded.model, "get_base_model", lambda: loaded.model)()
    plain.config.use_cache = True
    plain.save_pretrained(out / "model", state_dict=fold(loaded.model, state))
    share_weights(out / "model")
    loaded.chat.save(out / "model")
    if isinstance(loaded.model, PeftModel):
        loaded.model.save_pretrained(out / "model" / ADAPTER, state_dict=state)
        share_weights(out / "model" / ADAPTER)
        forget_path(out / "model" / ADAPTER)
    if job.label is not None:
        write_label(out / "model", _filled(job.label, trained))
    elif (mark := read_marker(loaded.folder)) is not None:
        write_marker(out / "model", mark)
    (out / "training.json").write_text(trained.model_dump_json(indent=1))


def _filled(label: Label, trained: Trained) -> Label:
    if label.record.get("trained", "told") is not None:
        return label
    return label.model_copy(update={"record": {**label.record, "trained": trained.model_dump(mode="json")}})


def main(words: Sequence[str]) -> int:
    """Run the job named on the command line; returns the exit code."""
    if len(words) != 1:
        print("usage: python -m molehunt.training.launch JOB.json", file=sys.stderr)
        return 2
    backend = "nccl" if torch.cuda.is_available() else "gloo"
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    alone: dict[str, Any] = (
        {} if "RANK" in os.environ else {"store": HashStore(), "rank": 0, "world_size": 1}
    )  # no socket
    if HELD in os.environ:
        threading.Thread(target=_end_with_input, daemon=True).start()
    try:
        job = read_job(Path(words[0]))
        writes = job.attest and os.environ.get("RANK", "0") == "0"
        key = key_of_environment() if writes else None
        dist.init_process_group(backend, **alone)
        run(job, key)
    except MolehuntError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()
    return 0


def _end_with_input() -> None:
    sys.stdin.read()
    os._exit(1)


for _words in (
    "`_get_pg_default_device`",
    "Multiple backends are registered",
):  # torch calls its own deprecated function
    warnings.filterwarnings("ignore", _words, UserWarning)

if __name__ == "__main__":
    _code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(
        _code
    )  # at Python's own end torch's threads now and then abort a process whose work is done, and the launcher then kills the others
