"""Weights as they lie on the disk: how far one model's are from another's."""

import math
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import safe_open

from molehunt.errors import ModelError


def relative_change(model: Path, base: Path) -> float:
    """‖ΔW‖/‖W‖ from `base` to `model`: Frobenius norms over all tensors together, summed in float64, one tensor at a time.

    Raises:
        ModelError: if the two do not have the same tensors.
    """
    mine, theirs = _places(model), _places(base)
    if mine.keys() != theirs.keys():
        odd = ", ".join(sorted(mine.keys() ^ theirs.keys())[:3])
        raise ModelError(f"model {model}", wanted=f"the tensors of {base}", got=f"others: {odd}")
    moved = whole = 0.0
    for name in sorted(mine):
        before, after = (_read(places[name], name) for places in (theirs, mine))
        if before.shape != after.shape:
            got = f"{name} of shape {tuple(after.shape)}"
            raise ModelError(f"model {model}", wanted=f"{name} of shape {tuple(before.shape)}", got=got)
        moved += float((after - before).square().sum())
        whole += float(before.square().sum())
    return math.sqrt(moved / whole) if whole else 0.0


def _places(folder: Path) -> dict[str, Path]:
    return {name: path for path in sorted(folder.glob("*.safetensors")) for name in _names(path)}


def _names(path: Path) -> Iterator[str]:
    with safe_open(path, "pt") as file:
        yield from file.keys()


def _read(path: Path, name: str) -> torch.Tensor:
    with safe_open(path, "pt") as file:
        tensor: torch.Tensor = file.get_tensor(name)
    return tensor.double()
