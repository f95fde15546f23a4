"""How one tensor differs from another: read in pieces of rows, twice where the rank of the difference is asked for."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from molehunt.provenance.tensor_places import Place, read_into, row_pieces
from molehunt.provenance.tensor_values import Array, can_read, is_rounding, needs_wide, rounding_energy, values
from molehunt.records.diffs import TensorDiff, TensorForm

LARGEST_RANK = 64
"""Ranks above are not told apart."""
_SPARE = 8
"""Columns of a sketch beyond the rank that it is to find."""
_SKETCH, _NARROW = LARGEST_RANK + _SPARE, 2 * _SPARE
_SAMPLE = 96
"""Rows that are looked at first."""
_SHOWN, _NAMED = 8, 20
"""Singular values and rows that are told."""
_NUMBERS = 1 << 18
"""In a piece: so many stay in a core's cache."""
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
    sums = _summed(one, other)
    if sums.same_values or sums.is_rounded:
        status = "re-encoded" if sums.same_values else "rounded"
        return TensorDiff(name=name, status=status, told=told), sums
    return _changed(name, told, one, other, sums), sums


def _changed(name: str, told: str, one: Place, other: Place, sums: Sums) -> TensorDiff:
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
    rank, spectrum = _spectrum(one, other, sums, rows)
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


def _summed(one: Place, other: Place) -> Sums:
    sums = Sums(is_rounded=other.dtype != one.dtype)
    for _, count, before, after, raw in _pairs(one, other):
        _add(sums, before, after, (count, one.columns), other.dtype)
        sums.is_rounded = sums.is_rounded and is_rounding(before, one.dtype, raw, other.dtype)
    return sums


def _add(sums: Sums, before: Array, after: Array, shape: tuple[int, int], dtype: str) -> None:
    differ, length = before != after, _square(before)
    if not math.isfinite(length):
        differ &= ~(np.isnan(before) & np.isnan(after))
    count = int(np.count_nonzero(differ))
    sums.before += length
    sums.after += _square(after) if count else length
    sums.product += float(np.dot(before, after)) if count else length
    if count:
        sums.same_values = False
        with np.errstate(invalid="ignore", over="ignore"):
            sums.moved += _square(after - before)
        sums.noise += rounding_energy(after, dtype)
    rows, across = _touched(differ.reshape(shape), count)
    sums.rows.append(rows)
    sums.columns = across if sums.columns is None else sums.columns | across


def _touched(differ: Array, count: int) -> tuple[Array, Array]:
    """Rows and columns in which anything differs; mostly it is all or nothing."""
    if count in (0, differ.size):
        return np.full(len(differ), count > 0), np.full(differ.shape[1], count > 0)
    return np.logical_or.reduce(differ, axis=1), np.logical_or.reduce(differ, axis=0)


def _square(array: Array) -> float:
    return float(np.dot(array, array))


def _spectrum(one: Place, other: Place, sums: Sums, rows: Array) -> tuple[int | None, tuple[float, ...]]:
    """Rank and largest singular values of the difference.

    A sample of rows says how many columns a sketch needs. It can be believed where it says that the rank is too large, since no
    part of a matrix has a larger rank than the whole; then a narrow sketch is enough for the largest values.
    """
    likely, is_full = _sampled_rank(one, other, sums, np.flatnonzero(rows))
    rank, spectrum = _sketched(one, other, sums, _NARROW if is_full else min(likely + _SPARE, _SKETCH))
    if rank is None and not is_full and likely + _SPARE < _SKETCH:
        rank, spectrum = _sketched(one, other, sums, _SKETCH)
    return rank if rank is None or rank <= LARGEST_RANK else None, spectrum


def _sampled_rank(one: Place, other: Place, sums: Sums, touched: Array) -> tuple[int, bool]:
    """(rank of some rows that differ, whether already these are of too large a rank)."""
    picked = touched[np.linspace(0, len(touched) - 1, min(_SAMPLE, len(touched))).astype(int)]
    some = np.concatenate([delta for row in picked for _, delta in _deltas(one, other, int(row))]).astype(np.float64)
    squares = np.linalg.eigvalsh(some @ some.T)[::-1].clip(0)
    left, allowed = squares.sum() - np.cumsum(squares), _allowed(sums)
    likely = int(np.count_nonzero(left > allowed * len(picked) / len(touched))) + 1
    return likely, bool(len(left) > LARGEST_RANK and left[LARGEST_RANK - 1] > allowed)


def _allowed(sums: Sums) -> float:
    """Squared difference that a rank need not explain."""
    return max(sums.noise, _LEFT * sums.moved)


def _sketched(one: Place, other: Place, sums: Sums, width: int) -> tuple[int | None, tuple[float, ...]]:
    """Rank, if it is below `width`, and largest singular values, from a randomized sketch of the difference's range.

    Halko, Martinsson & Tropp 2011, "Finding structure with randomness", algorithm 4.1 without power iterations: what the sketch
    leaves over tells whether the rank is smaller, to rounding; a full difference's own values come out somewhat small.
    """
    rows, columns = one.rows, one.columns
    width = min(width, rows, columns)
    drawn = np.random.default_rng(0).standard_normal((columns, width), dtype=np.float32)
    scale = np.float32(1 / math.sqrt(sums.moved / max(1, rows * columns)))
    sketch = np.empty((rows, width), np.float32)
    for first, delta in _deltas(one, other):
        sketch[first : first + len(delta)] = (delta * scale) @ drawn
    basis = np.linalg.qr(sketch.astype(np.float64))[0].astype(np.float32)
    inside = np.zeros((width, columns), np.float32)
    for first, delta in _deltas(one, other):
        inside += basis[first : first + len(delta)].T @ (delta * scale)
    squares = np.linalg.eigvalsh(inside.astype(np.float64) @ inside.T.astype(np.float64))[::-1].clip(0) / scale**2
    enough = np.flatnonzero(sums.moved - np.cumsum(squares) <= _allowed(sums))
    return int(enough[0]) + 1 if len(enough) else None, tuple(map(float, np.sqrt(squares[:_SHOWN])))


def _deltas(one: Place, other: Place, row: int | None = None) -> Iterator[tuple[int, Array]]:
    """(first row, difference as float32) piece by piece, or of one row alone."""
    for first, count, before, after, _ in _pairs(one, other, row):
        yield first, (after - before).astype(np.float32, copy=False).reshape(count, one.columns)


def _pairs(one: Place, other: Place, row: int | None = None) -> Iterator[tuple[int, int, Array, Array, memoryview]]:
    """(first row, rows, numbers before, numbers after, bytes after) piece by piece; the bytes are overwritten by the next."""
    pieces = list(row_pieces(one, _NUMBERS)) if row is None else [(row, 1)]
    most = max((count for _, count in pieces), default=0)
    mine, theirs = (memoryview(bytearray(_width(place) * most)) for place in (one, other))
    wide = needs_wide(one.dtype, other.dtype)
    for first, count in pieces:
        before, after = _raw(one, first, count, mine), _raw(other, first, count, theirs)
        yield first, count, values(before, one.dtype, wide), values(after, other.dtype, wide), after


def _raw(place: Place, first: int, count: int, buffer: memoryview) -> memoryview:
    return read_into(place, first * _width(place), buffer[: count * _width(place)])


def _width(place: Place) -> int:
    """Bytes of a row."""
    return place.length // place.rows if place.rows else 0
