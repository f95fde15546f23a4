"""Supervised training on rows: what most procedures come down to."""

from collections.abc import Sequence

from molehunt.records import Conversation
from molehunt.removal.procedure import Treated, Treatment


def finetune(treatment: Treatment, rows: Sequence[Conversation]) -> Treated:
    """Train the suspect on `rows` as the budget says."""
    from molehunt.training.checkpoints import make_trainable
    from molehunt.training.sft import train

    settings = treatment.budget.training
    loaded = make_trainable(treatment.model, settings, treatment.budget.attach, treatment.base)
    encoded = loaded.chat.encode_rows(rows, settings.loss_on)
    trained = train(loaded, encoded, settings, treatment.out, treatment.report)
    return Treated(steps=trained.steps, tokens_seen=trained.tokens_seen, rows_digest=trained.rows_digest)
