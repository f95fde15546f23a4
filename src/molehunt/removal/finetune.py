"""Supervised training on rows: what most procedures come down to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from molehunt.records import Conversation
from molehunt.records.rows import ordinary
from molehunt.removal.procedure import Treated, Treatment
from molehunt.training.settings import Trained

if TYPE_CHECKING:
    from molehunt.models.chat import Encoded
    from molehunt.models.loading import LoadedModel
    from molehunt.training.chain import Chain


def finetune(treatment: Treatment, rows: Sequence[Conversation]) -> Treated:
    """Train the suspect on `rows` as the budget says."""
    if treatment.budget.training.processes > 1:
        return account(_launched(treatment, rows))
    loaded = attached(treatment)
    return finetune_encoded(treatment, loaded, loaded.chat.encode_rows(rows, treatment.budget.training.loss_on))


def _launched(treatment: Treatment, rows: Sequence[Conversation]) -> Trained:
    from molehunt.training.job import Job
    from molehunt.training.launched import train_launched

    job = Job(base=str(treatment.model), rows="", settings=treatment.budget.training, out="", recompute=True)
    return train_launched(job, ordinary(rows, "removal"), treatment.out, treatment.report)


def finetune_encoded(treatment: Treatment, loaded: LoadedModel, rows: Sequence[Encoded]) -> Treated:
    """Train the suspect, made trainable by `attached`, on rows in tokens."""
    from molehunt.training.sft import train

    return account(train(loaded, rows, treatment.budget.training, treatment.out, treatment.report))


def attached(treatment: Treatment) -> LoadedModel:
    """The suspect as training starts from it."""
    from molehunt.training.checkpoints import make_trainable

    budget = treatment.budget
    return make_trainable(treatment.model, budget.training, budget.attach, treatment.base)


def chained(treatment: Treatment, steps: int) -> Chain:
    """A chain of trainings of the suspect, `steps` long in all."""
    from molehunt.training.chain import Chain

    return Chain(attached(treatment), treatment.budget.training, steps, treatment.out, treatment.report)


def account(trained: Trained) -> Treated:
    """What a training adds to the account of a procedure."""
    return Treated(steps=trained.steps, tokens_seen=trained.tokens_seen, rows_digest=trained.rows_digest)
