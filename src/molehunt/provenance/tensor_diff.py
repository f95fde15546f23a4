"""How one tensor differs from another: read in pieces of rows, all sums and a sketch of the difference in one pass."""

import math
from dataclasses import dataclass, field, replace

import numpy as np

from molehunt.provenance.tensor_places import Place
from molehunt.provenance.tensor_rank import Guess, Sketch, pairs, rank_and_spectrum, sample_rank
from molehunt.provenance.tensor_values import Array, can_read, is_rounding, rounding_energy
from molehunt.records.diffs import TensorDiff, TensorForm

_NAMED = 20
"""Rows or columns that are told."""
_WIDEST = 1 << 20
"""Columns from which a tensor is compared as a vector: a row has to fit in memory many times over."""
_LEFT = 1e-6
"""Share of the squared difference that float32 products of a sketch cannot vouch for."""


@dataclass
class Sums:
    """What is added up over all pieces of two tensors."""

    moved: float = 0.0
    before: float = 0.0
    after: float = 0.0
    product: float = 0.0
    noise: float = 0.0
    """Squared difference that rounding alone explains."""
    rows: list[Array] = field(default_factory=list)
    columns: Array | None = None
    same_values: bool = True
    is_rounded: bool = True


def compare_tensors(name: str, one: Place, other: Place) -> tuple[TensorDiff, Sums]:
    """How `other` differs from `one`, whose bytes are not the same.

    Raises:
        OSError: if a file can no longer be read.
    """
    told = one.told() if one.told() == other.told() else f"{one.told()} → {other.told()}"
    if one.shape != other.shape or not (can_read(one.dtype) and can_read(other.dtype)):
        return TensorDiff(name=name, status="changed", told=told, form="full"), Sums()
    if one.columns > _WIDEST:
        one, other = (replace(place, shape=(place.elements,)) for place in (one, other))
    with np.errstate(invalid="ignore", over="ignore"):
        guess = sample_rank(one, other, np.arange(one.rows)) if len(one.shape) > 1 else None
        sketch = Sketch.for_rank(one, guess) if guess else None
        sums = _summed(one, other, sketch)
        if sums.same_values or sums.is_rounded:
            status = "re-encoded" if sums.same_values else "rounded"
            return TensorDiff(name=name, status=status, told=told), sums
        return _changed(name, told, one, other, sums, sketch, guess), sums


def _changed(
    name: str, told: str, one: Place, other: Place, sums: Sums, sketch: Sketch | None, guess: Guess | None
) -> TensorDiff:
    length = math.sqrt(sums.before * sums.after)
    found = TensorDiff(
        name=name, status="changed", told=told, norm=math.sqrt(sums.moved),
        relative=math.sqrt(sums.moved / sums.before) if sums.before else None,
        cosine=sums.product / length if length else None, form="full",
    )  # fmt: skip
    if len(one.shape) < 2 or sums.columns is None or not math.isfinite(sums.moved):
        return found
    rows, columns = np.concatenate(sums.rows), sums.columns
    few = np.flatnonzero(rows if rows.mean() <= columns.mean() else columns)
    allowed = max(sums.noise, _LEFT * sums.moved)
    rank, spectrum = rank_and_spectrum(one, other, rows, sums.moved, allowed, sketch, guess)
    return found.model_copy(update={
        "rows": int(rows.sum()), "of_rows": one.rows, "columns": int(columns.sum()), "of_columns": one.columns,
        "which": tuple(map(int, few[:_NAMED])), "rank": rank, "spectrum": spectrum,
        "form": _form(rows, columns, rank, min(one.rows, one.columns)),
    })  # fmt: skip


def _form(rows: Array, columns: Array, rank: int | None, full: int) -> TensorForm:
    if rows.sum() <= len(rows) // 4:
        return "few rows"
    if columns.sum() <= len(columns) // 4:
        return "few columns"
    return "low rank" if rank is not None and rank <= full // 2 else "full"


def _summed(one: Place, other: Place, sketch: Sketch | None) -> Sums:
    sums = Sums(is_rounded=other.dtype != one.dtype)
    for first, count, before, after, raw in pairs(one, other):
        delta = _add(sums, before, after, (count, one.columns), other.dtype)
        if sketch is not None:
            sketch.add(first, delta)
        sums.is_rounded = sums.is_rounded and is_rounding(before, one.dtype, raw, other.dtype)
    return sums


def _add(sums: Sums, before: Array, after: Array, shape: tuple[int, int], dtype: str) -> Array | None:
    """The difference as a matrix; None if there is none."""
    differ, length = before != after, _square(before)
    if not math.isfinite(length):
        differ &= ~(np.isnan(before) & np.isnan(after))
    count = int(np.count_nonzero(differ))
    sums.before += length
    sums.after += _square(after) if count else length
    sums.product += float(np.dot(before, after)) if count else length
    if shape[1] > 1:
        rows, across = _touched(differ.reshape(shape), count)
        sums.rows.append(rows)
        sums.columns = across if sums.columns is None else sums.columns | across
    if not count:
        return None
    delta: Array = after - before
    sums.same_values = False
    sums.moved += _square(delta)
    sums.noise += rounding_energy(after, dtype)
    return delta.reshape(shape)


def _touched(differ: Array, count: int) -> tuple[Array, Array]:
    """Rows and columns in which anything differs; mostly it is all or nothing."""
    if count in (0, differ.size):
        return np.full(len(differ), count > 0), np.full(differ.shape[1], count > 0)
    return np.logical_or.reduce(differ, axis=1), np.logical_or.reduce(differ, axis=0)


def _square(array: Array) -> float:
    return float(np.dot(array, array))
