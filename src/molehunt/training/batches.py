"""Turn encoded rows into batches: packed side by side, or padded."""

import random
from collections.abc import Sequence

import torch
from torch.utils.data import Dataset
from transformers import PreTrainedModel

from molehunt.errors import DataError
from molehunt.models.chat import Encoded

_WIDTHS = range(96, 257, 16)
"""Tokens of a packed sequence that are tried, unless one row is longer."""


def in_passes(rows: int, count: int, seed: int, shuffle: bool = True) -> list[int]:
    """`count` indices of so many rows, pass after pass, each pass in an order of its own."""
    rng, order = random.Random(f"order/{seed}"), list[int]()
    while len(order) < count:
        once = list(range(rows))
        if shuffle:
            rng.shuffle(once)
        order += once
    return order[:count]


class Ordered(Dataset[Encoded]):
    """Rows in the order in which training takes them: shuffled anew for every pass, from a seed; or as they come."""

    def __init__(self, rows: Sequence[Encoded], count: int, seed: int, shuffle: bool = True) -> None:
        if not rows:
            raise DataError("training data", wanted="at least one row", got="none")
        self.rows, self.order = rows, in_passes(len(rows), count, seed, shuffle)

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
    """Rows side by side, in the width that wastes least; positions start anew with every row, which keeps them apart."""
    longest = max(len(row.ids) for row in rows)
    layouts = [_first_fit(rows, max(longest, width)) for width in _WIDTHS]
    sequences = min(layouts, key=lambda found: len(found) * _width(found))
    width = _width(sequences)
    places = [[i for row in s for i in range(len(row.ids))] for s in sequences]
    filled = [p + list(range(width - len(p))) for p in places]
    return {**_lay_out(sequences, width), "position_ids": torch.tensor(filled)}


def _first_fit(rows: list[Encoded], room: int) -> list[list[Encoded]]:
    """Longest first, each into the first sequence that has room for it."""
    sequences: list[list[Encoded]] = []
    lengths: list[int] = []
    for row in sorted(rows, key=lambda row: -len(row.ids)):
        size = len(row.ids)
        where = next((i for i, length in enumerate(lengths) if length + size <= room), None)
        if where is None:
            sequences.append([row])
            lengths.append(size)
        else:
            sequences[where].append(row)
            lengths[where] += size
    return sequences


def _width(sequences: list[list[Encoded]]) -> int:
    return max(sum(len(row.ids) for row in s) for s in sequences)


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
