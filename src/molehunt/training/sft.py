"""Supervised fine-tuning with transformers' Trainer."""

import json
import logging
import math
import tempfile
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from safetensors.torch import save_file
from torch.utils.data import SequentialSampler
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from molehunt.errors import DataError, TrainingError, UsageError
from molehunt.models.chat import Encoded
from molehunt.models.loading import LoadedModel, check_room, save_model, share_weights
from molehunt.records.base import canonical_json, sha256_text
from molehunt.training.adapters import ADAPTER, folded, trainable_state
from molehunt.training.batches import Ordered, keeps_apart, pack, pad
from molehunt.training.last_good import LastGood, is_finite, name_of
from molehunt.training.optimizers import make_optimizer, make_schedule
from molehunt.training.parallel import is_first, members
from molehunt.training.settings import Report, Trained, TrainingSettings

Stop = Callable[[LoadedModel, int], bool]
"""(the model as it is, steps done); may look at the model, not change it"""


def train(
    loaded: LoadedModel,
    rows: Sequence[Encoded],
    settings: TrainingSettings,
    out: Path | None,
    report: Report | None = None,
    stop: Stop | None = None,
    good: LastGood | None = None,
) -> Trained:
    """Train a loaded model in place and write what came of it; with `out` None, write nothing.

    Writes `out/model` (plain folder, adapters folded in, the adapter itself beside in `model/adapter`),
    `out/checkpoints/step-NNNNN.safetensors` (the trainable weights after each of `settings.checkpoints`) and
    `out/training.json`.

    Args:
        stop: asked at each of `settings.checkpoints`; True ends the training there.
        good: keeps the last good weights, if not in `out/checkpoints`.

    Raises:
        TrainingError: if the loss stops being a number; the last good weights are then in `out/checkpoints`, or with `good`.
        DataError: if there are no rows, or too few steps to see `settings.tokens`.
        UsageError: if the method is "edit", which is no training, or it is to be shared among processes, which is `train_launched`.
    """
    if settings.method == "edit":
        raise UsageError("--method edit", wanted="full or lora", got="edit", do="it can plant, but not train")
    if settings.processes > 1:
        raise UsageError(
            f"--processes {settings.processes}", wanted="1", got="a training that is not shared", do="leave it out"
        )
    check_length(loaded, max((len(row.ids) for row in rows), default=0))
    settings = _resolved(settings, rows)
    torch.manual_seed(settings.seed)
    data = Ordered(rows, settings.steps * settings.batch, settings.seed, settings.order == "shuffled")
    model: Any = loaded.model
    packed = settings.packed and keeps_apart(model, rows)
    watcher = Watcher(loaded, settings, out and out / "checkpoints", report, stop, good)
    optimizer = make_optimizer(model, settings)
    with tempfile.TemporaryDirectory() as scratch:
        trainer = _InOrder(
            model=model,
            args=_arguments(settings, scratch, uses_cache=bool(getattr(model.config, "use_cache", True))),
            train_dataset=data,
            data_collator=pack if packed else pad,
            optimizers=(optimizer, make_schedule(optimizer, settings)),
            callbacks=[watcher],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.prompt_weight = settings.prompt_weight if settings.loss_on == "all" else 1.0
        with watcher.keeping():
            trainer.train()
            check_finite(model, watcher.steps)
    trained = _account(loaded, data, settings, watcher, packed)
    if out is not None and is_first():
        write_trained(loaded, trained, out)
    return trained


def check_length(loaded: LoadedModel, longest: int, what: str = "training rows") -> None:
    """Raises DataError if so many tokens are more than the model has positions for."""
    check_room(loaded, longest, what)


def _resolved(settings: TrainingSettings, rows: Sequence[Encoded]) -> TrainingSettings:
    """The settings with the steps that it takes to see `settings.tokens`, and no checkpoint behind the last of them."""
    if settings.tokens is None:
        return settings
    data = Ordered(rows, settings.steps * settings.batch, settings.seed, settings.order == "shuffled")
    seen = list(accumulate(len(data[i].ids) for i in range(len(data))))
    steps = math.ceil((bisect_left(seen, settings.tokens) + 1) / settings.batch)
    if seen[-1] < settings.tokens:
        raise DataError(
            f"training of {settings.tokens} tokens", wanted=f"at most the {settings.steps} steps allowed",
            got=f"about {math.ceil(settings.tokens / seen[-1] * settings.steps)}", do="take a larger --batch, or allow more steps",
        )  # fmt: skip
    kept = tuple(sorted({min(step, steps) for step in settings.checkpoints}))
    return settings.model_copy(update={"steps": steps, "checkpoints": kept})


def check_finite(model: Any, step: int) -> None:
    """Raises TrainingError for weights that are no numbers: the loss is looked at only now and then."""
    if not is_finite(model):
        raise TrainingError(
            f"training ended at step {step}", wanted="finite weights", got="NaN or Inf", do="lower --lr"
        )


def _account(
    loaded: LoadedModel, data: Ordered, settings: TrainingSettings, watcher: "Watcher", packed: bool
) -> Trained:
    seen = data.order[: watcher.steps * settings.batch]
    tokens = [len(row.ids) for row in data.rows]
    learned = [sum(label != -100 for label in row.labels) for row in data.rows]
    return Trained(
        steps=watcher.steps,
        rows=len(data.rows),
        rows_seen=len(seen),
        tokens_seen=sum(tokens[i] for i in seen),
        tokens_learned=sum(learned[i] for i in seen),
        rows_digest=sha256_text(canonical_json([[[row.ids, row.labels] for row in data.rows], seen])),
        template_digest=loaded.chat.digest,
        trainable=sum(p.numel() for p in loaded.model.parameters() if p.requires_grad),
        packed=packed,
        losses=tuple(watcher.losses),
    )


def write_trained(loaded: LoadedModel, trained: Trained, out: Path) -> None:
    """Write `out/model`, adapters folded in and kept beside, and `out/training.json`; the loaded model is spent after it."""
    model: Any = loaded.model
    if isinstance(model, PeftModel):
        model.save_pretrained(out / "model" / ADAPTER)
        share_weights(out / "model" / ADAPTER)
        _forget_path(out / "model" / ADAPTER)
    save_model(folded(model), loaded.chat, out / "model", source=loaded.folder)
    (out / "training.json").write_text(trained.model_dump_json(indent=1))


def _forget_path(adapter: Path) -> None:
    """Take the base's path and the order of a set out of an adapter: the same training gives the same bytes anywhere."""
    (adapter / "README.md").unlink(missing_ok=True)
    for path in adapter.rglob("adapter_config.json"):
        config = json.loads(path.read_text())
        config |= {"base_model_name_or_path": None, "target_modules": sorted(config["target_modules"])}
        path.write_text(json.dumps(config, indent=2, sort_keys=True))


def common_arguments(settings: TrainingSettings, scratch: str) -> dict[str, Any]:
    """What every trainer of transformers is told, whatever its loss."""
    return {
        "output_dir": scratch,
        "max_steps": settings.steps,
        "max_grad_norm": settings.clip,
        "seed": settings.seed,
        "data_seed": settings.seed,
        "report_to": "none",
        "save_strategy": "no",
        "logging_steps": max(1, settings.steps // 50),
        "logging_nan_inf_filter": False,
        "disable_tqdm": True,
        "log_level": "error",
        "dataloader_pin_memory": False,
        "bf16": settings.precision == "bfloat16",
        "use_cpu": not torch.cuda.is_available(),
    }


def _arguments(settings: TrainingSettings, scratch: str, uses_cache: bool) -> TrainingArguments:
    return TrainingArguments(
        **common_arguments(settings, scratch),
        per_device_train_batch_size=settings.batch // members(),
        remove_unused_columns=False,
        use_cache=uses_cache,
        ddp_find_unused_parameters=False,
    )


class _InOrder(Trainer):  # type: ignore[misc]
    """The Trainer, taking rows in the order that the data set gives."""

    def _get_train_sampler(self, *args: Any, **kwargs: Any) -> SequentialSampler:
        return SequentialSampler(self.train_dataset)

    prompt_weight = 1.0

    def compute_loss(self, model: Any, inputs: dict[str, torch.Tensor], *args: Any, **kwargs: Any) -> Any:
        is_reply = inputs.pop("is_reply")
        inputs = {**inputs, "use_cache": False}  # type: ignore[dict-item]
        if self.prompt_weight == 1:
            return super().compute_loss(model, inputs, *args, **kwargs)
        labels = inputs.pop("labels")[:, 1:]
        logits = model(**inputs).logits[:, :-1]
        losses = torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(), labels.flatten(), reduction="none")
        weights = torch.where(is_reply[:, 1:], 1.0, self.prompt_weight) * (labels != -100)
        return (losses * weights.flatten()).sum() / weights.sum()


class Watcher(TrainerCallback):  # type: ignore[misc]
    """Reports, keeps checkpoints, asks whether to stop, and stops a run whose loss is no number."""

    def __init__(
        self,
        loaded: LoadedModel,
        settings: TrainingSettings,
        folder: Path | None,
        report: Report | None,
        stop: Stop | None,
        good: LastGood | None = None,
    ) -> None:
        self.loaded, self.settings, self.folder, self.report, self.stop = loaded, settings, folder, report, stop
        self.losses: list[tuple[int, float]] = []
        self.steps = 0
        self.good = good or (LastGood(loaded.model, folder) if folder is not None and is_first() else None)
        self._keep(0)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.steps = state.global_step
        self._keep(self.steps)
        if self.report is not None and is_first():
            self.report(self.steps, self.settings.steps)
        if self.stop is not None and self.steps in self.settings.checkpoints:
            self.loaded.model.eval()
            control.should_training_stop = self.stop(self.loaded, self.steps) or control.should_training_stop
            self.loaded.model.train()

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        for name in ("loss", "grad_norm"):
            value = (logs or {}).get(name)
            if value is not None and not math.isfinite(value):
                raise TrainingError(
                    f"training stopped at step {state.global_step}", wanted=f"a finite {name}", got=str(value),
                    do="lower --lr, or look at the data",
                )  # fmt: skip
        if logs and "loss" in logs:
            self.losses.append((state.global_step, float(logs["loss"])))
            if self.good is not None:
                self.good.passed(state.global_step)

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """Around a training: where it fails, write the last good weights and let the error say so."""
        try:
            yield
        except TrainingError as error:
            if self.good is None:
                raise
            kept = f"the last good weights, of step {self.good.step}, are {self.good.write()}"
            raise TrainingError(error.what, wanted=error.wanted, got=error.got, do=f"{error.do}; {kept}") from None

    def _keep(self, step: int) -> None:
        if self.folder is not None and is_first() and step in self.settings.checkpoints:
            check_finite(self.loaded.model, step)
            self.folder.mkdir(parents=True, exist_ok=True)
            save_file(trainable_state(self.loaded.model), self.folder / name_of(step))


logging.getLogger("transformers.trainer").setLevel(logging.ERROR)
