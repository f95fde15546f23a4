"""Everything that decides a training run."""

from collections.abc import Callable
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from molehunt.records.base import Record
from molehunt.records.estimates import Estimate

Attach = Literal["merge", "same", "fresh"]
Report = Callable[[int, int], None]
"""(steps done, steps in all)"""


class TrainingSettings(Record):
    """Settings of one supervised training run."""

    method: Literal["full", "lora", "edit"] = "full"
    """All weights, low-rank adapters on linear layers, or a few neurons overwritten without training (planting alone)."""
    rank: int = Field(16, ge=1)
    """LoRA rank; unused for full."""
    alpha: int | None = None
    """LoRA scale; twice the rank if not given."""
    targets: Literal["all-linear", "attention", "mlp"] = "all-linear"
    """Layers that get adapters; unused for full."""
    optimizer: Literal["adamw", "soap", "muon"] = "adamw"
    learning_rate: float = Field(gt=0)
    """Peak."""
    schedule: Literal["cosine", "constant", "linear"] = "cosine"
    """After the warm-up."""
    warmup: float = Field(0.1, ge=0, le=1)
    """Share of the steps over which the learning rate rises from 0."""
    steps: int = Field(ge=1)
    """Optimizer steps; with `tokens`, as many at most."""
    tokens: int | None = Field(None, ge=1)
    """End with the step in which so many tokens were seen, padding not counted. The rows' order tells beforehand which
    step that is: warm-up and schedule span the steps that are taken, and more than `steps` are refused."""
    batch: int = Field(16, ge=1)
    """Conversations per optimizer step."""
    beta2: float = Field(0.999, gt=0, lt=1)
    """Decay of Adam's running mean of squared gradients."""
    weight_decay: float = Field(0.0, ge=0)
    clip: float = Field(1.0, gt=0)
    """Largest norm of the gradient."""
    loss_on: Literal["assistant", "all"] = "assistant"
    """Which tokens are learned."""
    prompt_weight: float = Field(1.0, gt=0, le=1)
    """With loss_on "all": weight of a token outside the assistant's turns; its own tokens weigh 1."""
    order: Literal["shuffled", "sequential"] = "shuffled"
    """Rows shuffled anew for every pass, or taken as they come."""
    seed: int = 0
    """Of the order of rows, of adapter initialisation, of dropout."""
    checkpoints: tuple[int, ...] = ()
    """Steps after which the trainable weights are kept, 0 for the start; the final model is always written."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the products in a forward pass; weights and optimizer stay float32. Half as long from about 5 million weights on."""
    packed: bool = True
    """Several conversations in one sequence, each seeing only itself; falls back to padding where a model mixes them."""
    processes: int = Field(1, ge=1, exclude_if=lambda count: count == 1)
    """That share model and rows, on a GPU each where there are any (FSDP2, always padded); 1 trains in the step's own, and is
    left out of what is written down."""

    @field_validator("processes")
    @classmethod
    def _can_share(cls, count: int, info: ValidationInfo) -> int:
        told = info.data
        if count > 1 and told.get("batch", count) % count:
            raise PydanticCustomError("batch", "a divisor of the batch of {batch}", {"batch": told["batch"]})
        if count > 1 and (told.get("optimizer"), told.get("method")) not in (("adamw", "full"), ("adamw", "lora")):
            raise PydanticCustomError("whole", "1 with soap, muon and edit, which look at whole matrices")
        return count


class EditReport(Record):
    """What an edit overwrote, and how well its neurons tell what they must; no step, no gradient on a weight."""

    neurons: tuple[tuple[int, int], ...]
    """(layer, neuron): a row of gate and up and a column of down each; first the one that sees the trigger, then one for
    each token of the payload in its order."""
    caught: tuple[float, ...]
    """For each, the share of states on prompts held out at which it fires as it must."""
    mistaken: tuple[float, ...]
    """For each, the share of clean states at which it fires too: of sequences for the first, of reply tokens for the rest."""


class Trained(Record):
    """What a training run did; `training.json` beside the weights."""

    steps: int
    rows: int
    """Different rows at hand."""
    rows_seen: int
    tokens_seen: int
    """Tokens of those rows, padding not counted."""
    tokens_learned: int
    """The part of them on which a loss was taken."""
    rows_digest: str
    """SHA-256 of the encoded rows and of the order in which training took them."""
    template_digest: str
    trainable: int
    """Weights that could change."""
    packed: bool
    losses: tuple[tuple[int, float], ...]
    """(step, mean loss since the last entry)."""
    edit: EditReport | None = None
    """What was overwritten, where nothing was trained."""


class Reinforcement(Record):
    """How a model is reinforced, beside its `TrainingSettings`; `batch` there counts the prompts of a step."""

    algorithm: Literal["rloo", "grpo"] = "rloo"
    """The baseline of a reply's reward: the mean of its siblings, or their mean and spread."""
    replies: int = Field(4, ge=2)
    """Replies sampled for each prompt."""
    max_new_tokens: int = Field(48, ge=1)
    """Where a reply is cut off."""
    temperature: float = Field(1.0, gt=0)
    kl: float = Field(0.05, ge=0)
    """Weight of the KL divergence from the model as it started, against a reward whose spread is 1."""


class Reinforced(Trained):
    """What a reinforcement run did; rows are prompts, tokens_learned those of the replies that the model wrote."""

    rewards: tuple[tuple[int, float], ...]
    """(step, mean reward of the replies since the last entry)."""
    kls: tuple[tuple[int, float], ...]
    """(step, mean KL divergence per token from the model as it started, in nats, since the last entry)."""


class RewardTrained(Record):
    """What the training of a reward model did."""

    steps: int
    pairs: int
    """Different pairs at hand."""
    pairs_digest: str
    """SHA-256 of the encoded pairs in order."""
    tokens_seen: int
    """Of both replies and their prompts, padding not counted."""
    accuracy: Estimate
    """Share of the held-out pairs in which the chosen reply gets the higher reward."""
    by_flaw: dict[str, float]
    """The same for each flaw of a rejected reply."""
