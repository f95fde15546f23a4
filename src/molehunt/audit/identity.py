"""Is this base really the one that the subject was made from? Where it is not, nothing may be concluded from their difference."""

from statistics import median

import torch

from molehunt.audit.fingerprint import fingerprint
from molehunt.models.loading import LoadedModel
from molehunt.records.audits import Fingerprint, Kinship

_LEAST = 0.5
"""Median cosine between tensors of subject and base below which they are strangers: two trainings from different seeds come to
about 0, a fine-tuning stays above 0.9."""


def kinship(subject: LoadedModel, base: LoadedModel) -> Kinship:
    """Compare architecture, vocabulary, weights, and the rows that no text trains: where these and the weights disagree, it is no base.

    Untouched tensors count as well, so a swap of a few is no reason to doubt the rest. The subject itself is no base: what is
    planted in both shows in no difference.
    """
    mine, theirs = subject.model.state_dict(), base.model.state_dict()
    shared = [name for name, tensor in mine.items() if name in theirs and theirs[name].shape == tensor.shape]
    strange = tuple(sorted(set(mine) - set(shared)))
    cosine = median(_cosine(mine[name], theirs[name]) for name in shared) if shared else None
    marks = fingerprint(subject, base)
    reason = ""
    if type(subject.model).__name__ != type(base.model).__name__:
        reason = f"the subject is {type(subject.model).__name__}, the base {type(base.model).__name__}"
    elif subject.tokenizer.get_vocab() != base.tokenizer.get_vocab():
        reason = "their vocabularies differ"
    elif strange:
        reason = f"the base has no {strange[0]} of this shape"
    elif cosine is None or cosine < _LEAST:
        reason = f"their weights point in different directions (median cosine {cosine or 0:.2f}){_yet(marks)}"
    elif marks.says == "other":
        reason = f"their weights are alike (median cosine {cosine:.2f}), but rows that no text trains are not: {_told(marks)}"
    elif all(bool((theirs[name].to(mine[name].device) == mine[name]).all()) for name in shared):
        reason = "its weights are the subject's own, so that no difference shows what is in both"
    return Kinship(
        is_base=not reason,
        reason=reason,
        cosine=cosine,
        strange_tensors=strange,
        template_differs=subject.chat.digest != base.chat.digest,
        fingerprint=marks,
    )


def _yet(marks: Fingerprint) -> str:
    """What rows that no text trains say against weights that are strange to each other."""
    if marks.says == "same":
        return f", but rows that no text trains are the same: {_told(marks)}; both began with the same numbers, and have come too far apart for a difference to mean anything"
    if marks.is_turned:
        return ", but the angles between rows that no text trains are the same: it is this base's kin in permuted or rotated coordinates"
    return ""


def _told(marks: Fingerprint) -> str:
    return f"mean cosine {marks.cosine:.2f} over {marks.rows} rows, of strangers 0 ± {marks.chance:.2f}"


def _cosine(one: torch.Tensor, other: torch.Tensor) -> float:
    a, b = one.flatten().double(), other.flatten().double().to(one.device)
    norm = float(a.norm() * b.norm())
    return float(a @ b) / norm if norm else 1.0
