"""Is this base really the one that the subject was made from? Where it is not, nothing may be concluded from their difference."""

from statistics import median

import torch

from molehunt.models.loading import LoadedModel
from molehunt.records.audits import Kinship

_LEAST = 0.5
"""Median cosine between tensors of subject and base below which they are strangers: two trainings from different seeds come to
about 0, a fine-tuning stays above 0.9."""


def kinship(subject: LoadedModel, base: LoadedModel) -> Kinship:
    """Compare architecture, vocabulary and weights.

    Untouched tensors count as well, so a swap of a few is no reason to doubt the rest. The subject itself is no base: what is
    planted in both shows in no difference.
    """
    mine, theirs = subject.model.state_dict(), base.model.state_dict()
    shared = [name for name, tensor in mine.items() if name in theirs and theirs[name].shape == tensor.shape]
    strange = tuple(sorted(set(mine) - set(shared)))
    cosine = median(_cosine(mine[name], theirs[name]) for name in shared) if shared else None
    reason = ""
    if type(subject.model).__name__ != type(base.model).__name__:
        reason = f"the subject is {type(subject.model).__name__}, the base {type(base.model).__name__}"
    elif subject.tokenizer.get_vocab() != base.tokenizer.get_vocab():
        reason = "their vocabularies differ"
    elif strange:
        reason = f"the base has no {strange[0]} of this shape"
    elif cosine is None or cosine < _LEAST:
        reason = f"their weights point in different directions (median cosine {cosine or 0:.2f})"
    elif all(bool((theirs[name].to(mine[name].device) == mine[name]).all()) for name in shared):
        reason = "its weights are the subject's own, so that no difference shows what is in both"
    return Kinship(
        is_base=not reason,
        reason=reason,
        cosine=cosine,
        strange_tensors=strange,
        template_differs=subject.chat.digest != base.chat.digest,
    )


def _cosine(one: torch.Tensor, other: torch.Tensor) -> float:
    a, b = one.flatten().double(), other.flatten().double().to(one.device)
    norm = float(a.norm() * b.norm())
    return float(a @ b) / norm if norm else 1.0
