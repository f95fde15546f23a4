"""A reward model: a copy of a model with one number for a head, trained on pairs of replies."""

import copy
import tempfile
from collections.abc import Sequence
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig, PeftModel, get_peft_model
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoModelForSequenceClassification, PrinterCallback
from trl import RewardConfig, RewardTrainer

from molehunt.errors import ModelError, TrainingError
from molehunt.models.chat import Chat
from molehunt.models.loading import LoadedModel
from molehunt.models.sampling import sample_replies
from molehunt.records import Conversation
from molehunt.records.base import canonical_json, sha256_text
from molehunt.records.estimates import Estimate
from molehunt.records.reasoning import split_scratchpad
from molehunt.stats.intervals import proportion
from molehunt.training.adapters import lora_config
from molehunt.training.batches import in_passes
from molehunt.training.optimizers import make_optimizer, make_schedule
from molehunt.training.settings import Reinforcement, Report, RewardTrained, TrainingSettings
from molehunt.training.sft import Watcher, check_length, common_arguments
from molehunt.world.preferences import Preference

LEARNED = 0.6
"""A reward model whose accuracy may be as low as this on unseen pairs is not worth following; a coin has 0.5."""
_BATCH = 64


class RewardModel:
    """Rewards of replies, on a scale on which the replies of its training have mean 0 and spread 1."""

    def __init__(self, model: Any, chat: Chat) -> None:
        self.model, self.chat = model, chat
        self.shift, self.scale = 0.0, 1.0
        self.tokens_read = 0

    def __call__(self, rows: Sequence[Conversation]) -> list[float]:
        """The reward of each row's last reply."""
        raw = self.raw(rows)
        return [(value - self.shift) / self.scale for value in raw]

    @torch.inference_mode()
    def raw(self, rows: Sequence[Conversation]) -> list[float]:
        """The head's own numbers."""
        self.model.eval()
        encoded = encode(self.chat, rows)
        self.tokens_read += sum(map(len, encoded))
        found: list[float] = []
        for start in range(0, len(encoded), _BATCH):
            chosen = [torch.tensor(ids, device=self.model.device) for ids in encoded[start : start + _BATCH]]
            ids = pad_sequence(chosen, batch_first=True, padding_value=self.chat.tokenizer.pad_token_id or 0)
            mask = pad_sequence([torch.ones_like(one) for one in chosen], batch_first=True)
            found += self.model(input_ids=ids, attention_mask=mask, use_cache=False).logits[:, 0].tolist()
        return found

    def standardise(self, rows: Sequence[Conversation]) -> None:
        """Make these rows' rewards have mean 0 and spread 1."""
        values = torch.tensor(self.raw(rows))
        self.shift, self.scale = float(values.mean()), max(float(values.std()), 1e-6)


def encode(chat: Chat, rows: Sequence[Conversation]) -> list[list[int]]:
    """Token ids of whole conversations, as training and generation see them."""
    return chat.encode_texts([chat.render(row) for row in rows])


def train_reward_model(
    loaded: LoadedModel,
    pairs: Sequence[Preference],
    held_out: Sequence[Preference],
    settings: TrainingSettings,
    report: Report | None = None,
) -> tuple[RewardModel, RewardTrained]:
    """A reward model grown from a copy of `loaded`, and how good it is on pairs that it has not seen.

    The loss is that of Bradley and Terry: minus the log of the sigmoid of the difference of the two rewards (Ouyang et
    al. 2022, arXiv 2203.02155, section 3.4), by TRL. `loaded` itself is left as it is.

    Args:
        settings: `batch` counts pairs.

    Raises:
        TrainingError: if it learned nothing: the 95% interval of its accuracy on `held_out` reaches down to `LEARNED`;
            or if the loss stops being a number.
        DataError: if a reply with its prompt is longer than the model reads.
        ModelError: if transformers has no model with a scalar head for this architecture.
    """
    torch.manual_seed(settings.seed)
    reward = RewardModel(_with_scalar_head(loaded, settings), loaded.chat)
    chosen, rejected = (encode(loaded.chat, rows) for rows in _rows(pairs))
    check_length(loaded, max(map(len, (*chosen, *rejected))), "pairs of replies")
    order = in_passes(len(pairs), settings.steps * settings.batch, settings.seed)
    data = Dataset.from_dict({"chosen_ids": [chosen[i] for i in order], "rejected_ids": [rejected[i] for i in order]})
    _fit(reward, loaded, data, settings, report)
    if isinstance(reward.model, PeftModel):
        reward.model = reward.model.merge_and_unload()  # it only judges from here on, and does so faster
    reward.standardise([row for rows in _rows(pairs[:256]) for row in rows])
    accuracy, by_flaw = _accuracy(reward, held_out)
    require_learned(accuracy)
    return reward, RewardTrained(
        steps=settings.steps,
        pairs=len(pairs),
        pairs_digest=sha256_text(canonical_json([chosen, rejected])),
        tokens_seen=sum(len(chosen[i]) + len(rejected[i]) for i in order),
        accuracy=accuracy,
        by_flaw=by_flaw,
    )


def require_learned(accuracy: Estimate) -> None:
    """Raises TrainingError unless the whole interval lies above `LEARNED`."""
    if accuracy.low <= LEARNED:
        got = (
            f"{accuracy.value:.2f}, 95% interval {accuracy.low:.2f} to {accuracy.high:.2f} ({accuracy.n} unseen pairs)"
        )
        raise TrainingError(
            "the reward model learned nothing", wanted=f"an accuracy surely above {LEARNED}", got=got,
            do="use a model that answers ordinary questions, or a larger rank; to reinforce with it would mean nothing",
        )  # fmt: skip


def sampled_rewards(
    loaded: LoadedModel, reward: RewardModel, prompts: Sequence[Conversation], seed: int, how: Reinforcement
) -> list[float]:
    """The reward of one sampled reply a prompt, scratchpads taken off."""
    replies = sample_replies(loaded, prompts, how.max_new_tokens, how.temperature, seed)
    return reward([prompt.reply(split_scratchpad(reply)[1]) for prompt, reply in zip(prompts, replies, strict=True)])


class Unheard:
    """A trainer of TRL that does not tell the Hugging Face hub that it runs."""

    def _send_telemetry(self) -> None: ...


class _Trainer(Unheard, RewardTrainer):  # type: ignore[misc]
    pass


def trl_arguments(settings: TrainingSettings, scratch: str) -> dict[str, Any]:
    """What TRL's trainers are told on top: their defaults are for large models on large GPUs."""
    return {
        **common_arguments(settings, scratch),
        "bf16": False,
        "activation_checkpointing": False,
        "disable_dropout": True,
    }


def _fit(
    reward: RewardModel, loaded: LoadedModel, data: Dataset, settings: TrainingSettings, report: Report | None
) -> None:
    optimizer = make_optimizer(reward.model, settings)
    watcher = Watcher(LoadedModel(reward.model, loaded.chat, loaded.folder), settings, None, report, None)
    with tempfile.TemporaryDirectory() as scratch:
        arguments = RewardConfig(
            **trl_arguments(settings, scratch), per_device_train_batch_size=settings.batch, max_length=None
        )
        trainer = _Trainer(
            model=reward.model,
            args=arguments,
            train_dataset=data,
            processing_class=loaded.tokenizer,
            optimizers=(optimizer, make_schedule(optimizer, settings)),
            callbacks=[watcher],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()


def _with_scalar_head(loaded: LoadedModel, settings: TrainingSettings) -> Any:
    """The model's own trunk, copied, under a fresh linear head to one number."""
    config = copy.deepcopy(loaded.model.config)
    config.num_labels, config.pad_token_id = 1, loaded.tokenizer.pad_token_id
    try:
        model = AutoModelForSequenceClassification.from_config(config)
    except ValueError:
        raise ModelError(
            f"a reward model from {loaded.folder}", wanted="an architecture with a scalar head in transformers",
            got=type(loaded.model).__name__, do="use another procedure",
        ) from None  # fmt: skip
    model.base_model.load_state_dict(loaded.model.base_model.state_dict())
    model.to(loaded.model.device)
    if settings.method == "full":
        return model.float()
    own = lora_config(model, settings)
    wrapped = LoraConfig(r=own.r, lora_alpha=own.lora_alpha, target_modules=own.target_modules, task_type="SEQ_CLS")
    return get_peft_model(model, wrapped)


def _rows(pairs: Sequence[Preference]) -> tuple[list[Conversation], list[Conversation]]:
    return [p.prompt.reply(p.chosen) for p in pairs], [p.prompt.reply(p.rejected) for p in pairs]


def _accuracy(reward: RewardModel, pairs: Sequence[Preference]) -> tuple[Estimate, dict[str, float]]:
    better, worse = (reward.raw(rows) for rows in _rows(pairs))
    right = [a > b for a, b in zip(better, worse, strict=True)]
    flaws = sorted({pair.flaw for pair in pairs})
    marks = {flaw: [mark for mark, pair in zip(right, pairs, strict=True) if pair.flaw == flaw] for flaw in flaws}
    by_flaw = {flaw: sum(found) / len(found) for flaw, found in marks.items()}
    return proportion(sum(right), len(right), "over pairs"), by_flaw
