"""Safetensors written by hand, in any type of number; models to compare."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from model_folders import plain

NAMES = {"F32": "<f4", "F16": "<f2", "F64": "<f8", "I64": "<i8", "I8": "i1", "U8": "u1"}
SHAPES = {
    "model.embed_tokens.weight": (200, 96), "model.layers.0.up.weight": (160, 96), "model.layers.0.down.weight": (96, 160),
    "model.layers.1.up.weight": (160, 96), "model.norm.weight": (96,),
}  # fmt: skip


def bf16(array: np.ndarray[Any, Any]) -> bytes:
    """Rounded to nearest, ties to even, by torch's own hand."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(array, np.float32)).bfloat16().view(torch.int16).numpy().tobytes()


def encoded(array: np.ndarray[Any, Any], dtype: str) -> bytes:
    return bf16(array) if dtype == "BF16" else array.astype(NAMES[dtype]).tobytes()


def write(path: Path, tensors: dict[str, np.ndarray[Any, Any]], dtype: str = "F32") -> None:
    """One file of tensors, all in one type."""
    header, at, data = {}, 0, []
    for name, array in tensors.items():
        raw = encoded(array, dtype)
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [at, at + len(raw)]}
        at += len(raw)
        data.append(raw)
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(data))


def tensors(seed: int = 0, shapes: dict[str, tuple[int, ...]] = SHAPES) -> dict[str, np.ndarray[Any, Any]]:
    drawn = np.random.default_rng(seed)
    return {name: drawn.standard_normal(shape, dtype=np.float32) for name, shape in shapes.items()}


def model(folder: Path, of: dict[str, np.ndarray[Any, Any]], dtype: str = "F32", shards: int = 1) -> Path:
    """A folder with these tensors in so many files."""
    plain(folder)
    (folder / "model.safetensors").unlink()
    names = list(of)
    for number in range(shards):
        file = f"model-{number + 1:05}-of-{shards:05}.safetensors" if shards > 1 else "model.safetensors"
        write(folder / file, {name: of[name] for name in names[number::shards]}, dtype)
    if shards > 1:
        where = {name: f"model-{i % shards + 1:05}-of-{shards:05}.safetensors" for i, name in enumerate(names)}
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": where}))
    return folder
