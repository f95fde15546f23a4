"""How one tensor differs from another: read in pieces of rows, all sums and a view of the difference in one pass."""

import math
from dataclasses import dataclass, field, replace

import numpy as np

from molehunt.provenance.tensor_places import Place
from molehunt.provenance.tensor_rank import LEFT, Projection, pairs, rank_and_spectrum, sample_rows
from molehunt.provenance.tensor_values import (
    Array,
    can_read,
    is_rounding,
    rounding_energy,
    rounding_limit,
    row_squares,
    square,
)
from molehunt.records.diffs import TensorDiff, TensorForm

_NAMED = 20
"""Rows or columns that are told."""
_WIDEST = 1 << 18
"""Columns from which a tensor is compared as a vector: a row has to fit in memory many times over."""


@dataclass
class Sums:
    """What is added up over all pieces of two tensors."""

    moved: float = 0.0
    before: float = 0.0
    after: float = 0.0
    noise: float = 0.0
    """Squared difference that rounding alone explains, or more."""
    rows: list[Array] = field(default_factory=list)
    columns: Array | None = None
    same_values: bool = True
    is_rounded: bool = True

    @property
    def cosine(self) -> float | None:
        """Between both, as vectors: ‖b - a‖² = ‖a‖² + ‖b‖² - 2ab."""
        length = math.sqrt(self.before * self.after)
        return (self.before + self.after - self.moved) / 2 / length if length else None


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
        sample = sample_rows(one, other, np.arange(one.rows)) if len(one.shape) > 1 else None
        seen = Projection(one, sample) if sample else None
        sums = _summed(one, other, seen)
        if sums.same_values or sums.is_rounded:
            status = "re-encoded" if sums.same_values else "rounded"
            return TensorDiff(name=name, status=status, told=told), sums
        return _changed(name, told, one, other, sums, seen), sums


def _changed(name: str, told: str, one: Place, other: Place, sums: Sums, seen: Projection | None) -> TensorDiff:
    found = TensorDiff(
        name=name, status="changed", told=told, norm=math.sqrt(sums.moved),
        relative=math.sqrt(sums.moved / sums.before) if sums.before else None, cosine=sums.cosine, form="full",
    )  # fmt: skip
    if len(one.shape) < 2 or sums.columns is None or not math.isfinite(sums.moved):
        return found
    rows, columns = np.concatenate(sums.rows), sums.columns
    few = np.flatnonzero(rows if rows.mean() <= columns.mean() else columns)
    rank, spectrum = rank_and_spectrum(one, other, rows, sums.moved, max(sums.noise, LEFT * sums.moved), seen)
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


def _summed(one: Place, other: Place, seen: Projection | None) -> Sums:
    sums = Sums(is_rounded=other.dtype != one.dtype)
    is_exact = seen is None or not seen.sample.is_beyond
    for first, count, before, after, raw in pairs(one, other):
        delta = _add(sums, before, after, (count, one.columns))
        if delta is not None:
            energies = row_squares(delta)
            sums.moved += float(energies.sum())
            sums.noise += rounding_energy(after, other.dtype) if is_exact else 0.0
            if seen is not None:
                seen.add(first, delta, energies)
        sums.is_rounded = sums.is_rounded and is_rounding(before, one.dtype, raw, other.dtype)
    sums.noise = sums.noise if is_exact else rounding_limit(sums.after, other.dtype)
    return sums


def _add(sums: Sums, before: Array, after: Array, shape: tuple[int, int]) -> Array | None:
    """The difference as a matrix; None if there is none."""
    differ, length = before != after, square(before)
    if not math.isfinite(length):
        differ &= ~(np.isnan(before) & np.isnan(after))
    count = int(np.count_nonzero(differ))
    sums.before += length
    sums.after += square(after) if count else length
    if shape[1] > 1:
        rows, across = _touched(differ.reshape(shape), count)
        sums.rows.append(rows)
        sums.columns = across if sums.columns is None else sums.columns | across
    if not count:
        return None
    sums.same_values = False
    delta: Array = after - before
    return delta.reshape(shape)


def _touched(differ: Array, count: int) -> tuple[Array, Array]:
    """Rows and columns in which anything differs; mostly it is all or nothing."""
    if count in (0, differ.size):
        return np.full(len(differ), count > 0), np.full(differ.shape[1], count > 0)
    return np.logical_or.reduce(differ, axis=1), np.logical_or.reduce(differ, axis=0)
