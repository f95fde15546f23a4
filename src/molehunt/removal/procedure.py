"""What a removal procedure is: training data chosen without knowing the trigger, and a budget."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from molehunt.records import Conversation
from molehunt.removal.budget import Budget
from molehunt.training.settings import Report, Trained


@dataclass(frozen=True)
class Procedure:
    """A way to train a backdoor away, blind to what the backdoor is."""

    name: str
    summary: str
    draw_rows: Callable[[int, int], list[Conversation]]
    """(count, seed) to training rows."""


def apply_procedure(
    procedure: Procedure, model: Path, budget: Budget, out: Path, base: Path | None = None, report: Report | None = None
) -> Trained:
    """Train the model in folder `model` as the procedure says; writes `out/model` and its checkpoints.

    Sees weights, tokenizer, template and a config without Molehunt's own keys, nothing else of the folder.

    Args:
        base: the model below an adapter, for `attach` "same" and "fresh".

    Raises:
        ModelError, UsageError: if the model cannot be loaded or the adapter not attached.
        TrainingError: if the loss stops being a number.
    """
    from molehunt.training.checkpoints import make_trainable
    from molehunt.training.sft import train

    settings = budget.training
    loaded = make_trainable(model, settings, budget.attach, base)
    rows = loaded.chat.encode_rows(procedure.draw_rows(budget.rows, settings.seed), settings.loss_on)
    return train(loaded, rows, settings, out, report)
