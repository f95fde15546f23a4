"""Safetensors by their bytes: does the header fit what follows, and are the numbers finite? Read in pieces, never loaded."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

_LONGEST_HEADER = 100_000_000
"""Bytes; the safetensors library refuses more."""
_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "U16": 16, "I16": 16, "U32": 32, "I32": 32, "U64": 64, "I64": 64, "C64": 64,
    "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "F8_E8M0": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "F16": 16, "BF16": 16, "F32": 32, "F64": 64,
}  # fmt: skip
_NOT_FINITE = {
    "F64": ("<u8", 0x7FFF_FFFF_FFFF_FFFF, 0x7FF0_0000_0000_0000), "F32": ("<u4", 0x7FFF_FFFF, 0x7F80_0000),
    "F16": ("<u2", 0x7FFF, 0x7C00), "BF16": ("<u2", 0x7FFF, 0x7F80), "F8_E5M2": ("u1", 0x7F, 0x7C),
    "F8_E4M3": ("u1", 0x7F, 0x7F), "F8_E8M0": ("u1", 0xFF, 0xFF), "C64": ("<u4", 0x7FFF_FFFF, 0x7F80_0000),
}  # fmt: skip
"""Unsigned type of the same width, the bits without the sign, and the least of them that is no finite number."""
_NO_INFINITY = ("F8_E4M3", "F8_E8M0")
_PIECE = 16 << 20
_DIGITS = 10**18


class HeaderError(Exception):
    """What is wrong with a file of tensors, in words."""


def read_header(path: Path) -> dict[str, dict[str, Any]]:
    """Tensors by name with dtype, shape and data_offsets, checked against each other and the file's size.

    Raises:
        HeaderError: if the bytes are not exactly what the header says.
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        start = stream.read(8)
        length = int.from_bytes(start, "little")
        if start.startswith(b"version "):
            raise HeaderError("a pointer of Git LFS: the weights were not fetched")
        if len(start) < 8 or length > min(_LONGEST_HEADER, size - 8):
            raise HeaderError(f"a header of {length} bytes in a file of {size}")
        header = _parsed(stream.read(length))
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise HeaderError("metadata that is no table of texts")
    _check_layout(header, size - 8 - length)
    return header


def count_not_finite(path: Path, header: dict[str, dict[str, Any]]) -> dict[str, tuple[int, int]]:
    """(NaNs, infinities) of each tensor that has any."""
    found = {}
    with path.open("rb") as stream:
        begin = 8 + int.from_bytes(stream.read(8), "little")
        for name, tensor in header.items():
            if tensor["dtype"] in _NOT_FINITE:
                first, end = tensor["data_offsets"]
                stream.seek(begin + first)
                counted = _counted(stream, end - first, tensor["dtype"])
                if any(counted):
                    found[name] = counted
    return found


def _counted(stream: BinaryIO, length: int, dtype: str) -> tuple[int, int]:
    kind, mask, least = _NOT_FINITE[dtype]
    nans = infinities = 0
    for piece in _pieces(stream, length):
        bits = np.frombuffer(piece, kind)
        bits = bits & bits.dtype.type(mask)
        if bits.size and int(bits.max()) >= least:
            at = 0 if dtype in _NO_INFINITY else int(np.count_nonzero(bits == least))
            infinities += at
            nans += int(np.count_nonzero(bits >= least)) - at
    return nans, infinities


def _pieces(stream: BinaryIO, length: int) -> Iterator[bytes]:
    while length > 0 and (piece := stream.read(min(length, _PIECE))):
        yield piece
        length -= len(piece)


def _parsed(text: bytes) -> dict[str, Any]:
    def no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(made := dict(pairs)) < len(pairs):
            raise HeaderError("a header that names something twice")
        return made

    if not text.startswith(b"{"):
        raise HeaderError("a header that does not begin as one")
    try:
        header = json.loads(text, object_pairs_hook=no_twins)
    except (ValueError, RecursionError) as error:
        raise HeaderError(f"a header that is no JSON: {error}") from None
    if not isinstance(header, dict):
        raise HeaderError("a header that is no table")
    return header


def _check_layout(header: dict[str, Any], room: int) -> None:
    """Tensors must lie one after the other, without holes or overlaps, and fill the file."""
    spans = []
    for name, tensor in header.items():
        begin, end = _span(name, tensor)
        spans.append((begin, end, name))
    at = 0
    for begin, end, name in sorted(spans):
        if begin != at:
            raise HeaderError(f"tensors that overlap at {name!r}" if begin < at else f"a hole before {name!r}")
        at = end
    if at > room:
        raise HeaderError(f"tensors of {at} bytes where there are {room}: the file is cut off")
    if at < room:
        raise HeaderError(f"{room - at} bytes after the last tensor")


def _span(name: str, tensor: Any) -> tuple[int, int]:
    if not isinstance(tensor, dict) or set(tensor) != {"dtype", "shape", "data_offsets"}:
        raise HeaderError(f"an entry of the wrong form: {name!r}")
    dtype, shape, span = tensor["dtype"], tensor["shape"], tensor["data_offsets"]
    if dtype not in _BITS if isinstance(dtype, str) else True:
        raise HeaderError(f"an unknown dtype {dtype!r} of {name!r}")
    if not _are_sizes(shape) or not _are_sizes(span) or len(span) != 2 or span[1] < span[0]:
        raise HeaderError(f"a shape or place that cannot be, of {name!r}")
    if math.prod(shape) * _BITS[dtype] != (span[1] - span[0]) * 8:
        raise HeaderError(f"{span[1] - span[0]} bytes for {name!r}, a {dtype} of shape {shape}")
    return span[0], span[1]


def _are_sizes(values: Any) -> bool:
    return isinstance(values, list) and all(type(v) is int and 0 <= v < _DIGITS for v in values)
