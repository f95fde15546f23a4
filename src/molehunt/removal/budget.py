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
