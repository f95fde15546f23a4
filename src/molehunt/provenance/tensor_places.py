"""Where the tensors of a model folder lie, and their bytes in pieces; nothing is loaded whole."""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from molehunt.provenance.kinds import kind_of
from molehunt.provenance.tensors import HeaderError, read_header

_INDEX = "model.safetensors.index.json"


@dataclass(frozen=True)
class Place:
    """The bytes of one tensor."""

    file: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    """Offset in the file."""
    length: int
    """Bytes."""

    @property
    def rows(self) -> int:
        """Of the tensor as a matrix: its first dimension; a vector is one column."""
        return self.shape[0] if self.shape else 1

    @property
    def columns(self) -> int:
        """All other dimensions together."""
        return self.elements // self.rows if self.rows else 0

    @property
    def elements(self) -> int:
        """Numbers in it."""
        size = 1
        for one in self.shape:
            size *= one
        return size

    def told(self) -> str:
        """Type and shape in words."""
        return f"{self.dtype} {'x'.join(map(str, self.shape)) or 'number'}"


@dataclass
class Weights:
    """All tensors under a folder."""

    places: dict[str, Place] = field(default_factory=dict)
    """By name; below a folder in the folder, with its path before the name."""
    broken: dict[str, str] = field(default_factory=dict)
    """File to what is wrong with it."""


def weights_of(folder: Path, files: list[str]) -> Weights:
    """The tensors of all safetensors among `files`.

    Where a folder holds the same tensor twice, such as shards beside a single file, the shards of its index count, and what is
    left over is named with its file.
    """
    found = Weights()
    shards = _indexed(folder / _INDEX)
    names = sorted((name for name in files if kind_of(name) == "weights"), key=lambda name: (name not in shards, name))
    for name in names:
        path, below = folder / name, name.rpartition("/")[0]
        try:
            header = read_header(path)
        except HeaderError as error:
            found.broken[name] = str(error)
            continue
        with path.open("rb") as stream:
            start = 8 + int.from_bytes(stream.read(8), "little")
        for tensor, told in header.items():
            key = f"{below}/{tensor}" if below else tensor
            first, end = told["data_offsets"]
            place = Place(str(path), told["dtype"], tuple(told["shape"]), start + first, end - first)
            found.places[key if key not in found.places else f"{name}:{tensor}"] = place
    return found


def _indexed(index: Path) -> set[str]:
    try:
        table = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        return {str(file) for file in table.values()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return set()


@contextmanager
def opened(*places: Place) -> Iterator[list[int]]:
    """Handles of the files that tensors lie in."""
    handles: list[int] = []
    try:
        for place in places:
            handles.append(os.open(place.file, os.O_RDONLY))
        yield handles
    finally:
        for handle in handles:
            os.close(handle)


def read_into(handle: int, place: Place, start: int, buffer: memoryview) -> memoryview:
    """As many bytes of a tensor from `start` on as fit.

    Raises:
        OSError: if the file has become shorter.
    """
    wanted = buffer[: min(len(buffer), place.length - start)]
    got = 0
    while got < len(wanted):
        count = os.preadv(handle, [wanted[got:]], place.begin + start + got)
        if not count:
            raise OSError(f"{place.file} has become shorter while it was read")
        got += count
    return wanted


def digest_of(place: Place) -> bytes:
    """SHA-256 of a tensor's bytes, with its type and shape."""
    digest, buffer = hashlib.sha256(place.told().encode()), memoryview(bytearray(min(1 << 20, max(1, place.length))))
    with opened(place) as (handle,):
        for start in range(0, place.length, len(buffer)):
            digest.update(read_into(handle, place, start, buffer))
    return digest.digest()


def are_equal(one: Place, other: Place) -> bool:
    """True if two tensors of one type and shape are the same bytes."""
    mine, theirs = (memoryview(bytearray(_PIECE)) for _ in range(2))
    with opened(one, other) as (first, second):
        for start in range(0, one.length, _PIECE):
            a, b = read_into(first, one, start, mine), read_into(second, other, start, theirs)
            cut = len(a) // 8 * 8
            if a[cut:] != b[cut:] or not np.array_equal(
                np.frombuffer(a[:cut], np.uint64), np.frombuffer(b[:cut], np.uint64)
            ):
                return False
    return True


_PIECE = 1 << 19
"""Bytes; two of them stay in a core's cache."""


def row_pieces(place: Place, most: int) -> Iterator[tuple[int, int]]:
    """(first row, rows) of pieces of at most about `most` numbers."""
    step = max(1, most // max(1, place.columns))
    for first in range(0, place.rows, step):
        yield first, min(step, place.rows - first)
