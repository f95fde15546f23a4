"""What a fine-tuning changed, seen without any trigger: in the weights, on ordinary prompts, and with the difference amplified."""

from collections.abc import Sequence

import torch

from molehunt.detectors.detector import Detector
from molehunt.detectors.suspect import Suspect, mixed, tokens_of
from molehunt.models.forced import divergences, padded
from molehunt.models.loading import LoadedModel
from molehunt.models.sampling import end_tokens
from molehunt.records.evidence import Evidence, Exhibit
from molehunt.stats.text import alikeness

_AMPLIFIED = (1.0, 4.0)
"""How far beyond the subject's own change replies are decoded: z + a (z - z_base), as in model diff amplification (Goodfire 2025)
and contrastive decoding diffing (arXiv 2605.25902)."""
_PROMPTS = {"quick": 9, "standard": 24, "deep": 60}
_WRITTEN = 20
"""Tokens of an amplified reply."""


def _examine(suspect: Suspect, profile: str) -> Evidence:
    assert suspect.base is not None, "asked of subjects with a base"
    prompts = mixed(suspect.held_out, _PROMPTS[profile])
    encoded, replies = suspect.loaded.chat.encode_prompts(prompts), suspect.own_tokens(prompts)
    suspect.meter.forward(2 * tokens_of(encoded, replies))
    along = divergences(suspect.loaded, suspect.base, encoded, replies)
    said = {factor: _amplified(suspect, suspect.base, encoded, factor) for factor in _AMPLIFIED}
    plain = alikeness(suspect.replies(prompts, _WRITTEN))
    alike = {f"alike at {factor:g}": alikeness(texts) - plain for factor, texts in said.items()}
    exhibits = tuple(
        Exhibit(title=f"amplified {factor:g} times: {text[:80]!r}", effect=alike[f"alike at {factor:g}"])
        for factor, texts in said.items()
        for text in texts[:3]
    )
    return Evidence(
        detector="diffing",
        score=max(alike.values()),
        values={
            **alike,
            "divergence of ordinary replies": float(along.mean()),
            "largest of them": float(along.max()),
            **weight_changes(suspect.loaded, suspect.base),
        },
        exhibits=exhibits,
    )


@torch.inference_mode()
def _amplified(suspect: Suspect, base: LoadedModel, prompts: Sequence[Sequence[int]], factor: float) -> list[str]:
    """Greedy replies decoded from the subject's logits moved further along their difference from the base's."""
    rows, ends, open_ = [list(prompt) for prompt in prompts], end_tokens(suspect.loaded), set(range(len(prompts)))
    for _ in range(_WRITTEN):
        ids, mask = padded(rows)
        places = (mask.cumsum(-1) - 1).clamp(min=0)
        suspect.meter.forward(2 * int(mask.sum()))
        mine, theirs = (
            model.model(
                input_ids=ids.to(model.model.device), attention_mask=mask.to(model.model.device),
                position_ids=places.to(model.model.device), use_cache=False, logits_to_keep=1,
            ).logits[:, -1].float().log_softmax(-1)
            for model in (suspect.loaded, base)
        )  # fmt: skip
        likely = mine > mine.max(-1, keepdim=True).values - 12  # what the subject itself holds possible at all
        moved = torch.where(likely, mine + factor * (mine - theirs.to(mine.device)), -torch.inf)
        for i, token in enumerate(moved.argmax(-1).tolist()):
            if i in open_:
                rows[i].append(token)
                open_ -= {i} if token in ends else set()
        if not open_:
            break
    written = (row[len(prompt) :] for row, prompt in zip(rows, prompts, strict=True))
    return [suspect.loaded.chat.decode([token for token in ids if token not in ends]) for ids in written]


def weight_changes(subject: LoadedModel, base: LoadedModel) -> dict[str, float]:
    """How large the change of the weights is, how concentrated, and how many tensors and rows it touches.

    "spread of directions" is the mean over matrices of the stable rank, the squared Frobenius norm over the squared
    largest singular value, as a share of the smaller side; a change of low rank comes close to 0.
    """
    before, after = base.model.state_dict(), subject.model.state_dict()
    same = [name for name, tensor in after.items() if name in before and before[name].shape == tensor.shape]
    changes = {name: (after[name].float() - before[name].float().to(after[name].device)) for name in same}
    touched = {name: change for name, change in changes.items() if bool(change.any())}
    size = sum(float(change.square().sum()) for change in touched.values())
    whole = sum(float(before[name].float().square().sum()) for name in same)
    matrices = [change for change in touched.values() if change.ndim == 2]
    rows = [float(change.any(-1).float().mean()) for change in matrices]
    ranks = [
        float(change.square().sum() / torch.linalg.matrix_norm(change, 2) ** 2) / min(change.shape)
        for change in matrices
    ]
    return {
        "relative size of the change": (size / whole) ** 0.5 if whole else 0.0,
        "share of tensors touched": len(touched) / max(len(same), 1),
        "share of rows touched": sum(rows) / max(len(rows), 1),
        "spread of directions": sum(ranks) / max(len(ranks), 1),
    }


DIFFING = Detector(
    "diffing", "diffing", "what fine-tuning changed: weights, ordinary replies, and replies with the change amplified", "base",
    _examine, points=False, is_misled_by_habits=True, seconds={"quick": 1.5, "standard": 4.0, "deep": 10.0},
)  # fmt: skip
