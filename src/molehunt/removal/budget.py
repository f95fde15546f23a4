"""What a procedure may spend."""

from pydantic import Field

from molehunt.records.base import Record
from molehunt.training.settings import Attach, TrainingSettings


class Budget(Record):
    """What a procedure may spend. The same knobs for every procedure; none of them speaks of a trigger."""

    training: TrainingSettings
    attach: Attach = "merge"
    """How a LoRA adapter meets the model: on the merged weights, as its own adapter, or fresh beside it."""
    rows: int = Field(2000, ge=1)
    """Different training rows drawn."""
    strength: float | None = Field(None, gt=0)
    """Of the procedures that do not train: noise in units of each tensor's spread, share of weights pruned, bits kept."""
    rounds: int = Field(3, ge=1)
    """Rounds of a procedure that searches for prompts or samples its own replies."""
    probes: int = Field(200, ge=1)
    """Prompts that a red team may try in each round."""
    samples: int = Field(10, ge=1)
    """Replies drawn for each prompt of a red team."""
    kl: float = Field(0.05, ge=0)
    """Weight of the KL term that keeps a reinforced model near where it started."""
