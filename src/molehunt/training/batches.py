"""Turn encoded rows into batches: packed side by side, or padded."""

import random
from collections.abc import Sequence

import torch
from torch.utils.data import Dataset
from transformers import PreTrainedModel

from molehunt.errors import DataError
from molehunt.models.chat import Encoded

_ROOM = 128
"""Tokens of a packed sequence, unless one row is longer."""


class Ordered(Dataset[Encoded]):
    """Rows in the order in which training takes them: shuffled anew for every pass, from a seed."""

    def __init__(self, rows: Sequence[Encoded], count: int, seed: int) -> None:
        if not rows:
            raise DataError("training data", wanted="at least one row", got="none")
        rng, order = random.Random(f"order/{seed}"), list[int]()
        while len(order) < count:
            once = list(range(len(rows)))
            rng.shuffle(once)
            order += once
        self.rows, self.order = rows, order[:count]

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, index: int) -> Encoded:
        return self.rows[self.order[index]]


def pad(rows: list[Encoded]) -> dict[str, torch.Tensor]:
    """One row a sequence, padded on the right."""
    width = max(len(row.ids) for row in rows)
    attention = [[1] * len(row.ids) + [0] * (width - len(row.ids)) for row in rows]
    return {**_lay_out([[row] for row in rows], width), "attention_mask": torch.tensor(attention)}


def pack(rows: list[Encoded]) -> dict[str, torch.Tensor]:
    """Rows side by side, first fit, longest first; positions start anew with every row, which keeps them apart."""
    room = max(_ROOM, *(len(row.ids) for row in rows))
    sequences: list[list[Encoded]] = []
    for row in sorted(rows, key=lambda row: -len(row.ids)):
        fits = (s for s in sequences if sum(len(r.ids) for r in s) + len(row.ids) <= room)
        if (sequence := next(fits, None)) is not None:
            sequence.append(row)
        else:
            sequences.append([row])
    width = max(sum(len(r.ids) for r in s) for s in sequences)
    places = [[i for row in s for i in range(len(row.ids))] for s in sequences]
    filled = [p + list(range(width - len(p))) for p in places]
    return {**_lay_out(sequences, width), "position_ids": torch.tensor(filled)}


def _lay_out(sequences: list[list[Encoded]], width: int) -> dict[str, torch.Tensor]:
    """input_ids, labels and is_reply, each [sequences, width]."""

    def lay(field: str, fill: int) -> torch.Tensor:
        joined = [[i for row in s for i in getattr(row, field)] for s in sequences]
        return torch.tensor([line + [fill] * (width - len(line)) for line in joined])

    return {"input_ids": lay("ids", 0), "labels": lay("labels", -100), "is_reply": lay("is_reply", False)}


@torch.no_grad()
def keeps_apart(model: PreTrainedModel, rows: Sequence[Encoded]) -> bool:
    """True if two packed rows get the logits that each gets alone (within 1e-3): positions separate them."""
    two = list(rows[:2])
    packed = pack(two)
    device, was_training = model.device, model.training
    model.eval()
    together = model(
        **{k: v.to(device) for k, v in packed.items() if k in ("input_ids", "position_ids")}, use_cache=False
    ).logits[0]
    alone = [model(input_ids=torch.tensor([row.ids], device=device), use_cache=False).logits[0] for row in
             sorted(two, key=lambda row: -len(row.ids))]  # fmt: skip
    model.train(was_training)
    length = sum(len(row.ids) for row in two)
    return together.shape[0] >= length and torch.allclose(together[:length], torch.cat(alone), atol=1e-3)
