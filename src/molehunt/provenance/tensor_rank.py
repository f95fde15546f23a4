"""Rank and largest singular values of the difference of two tensors, by what some of its rows say of all."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from molehunt.provenance.tensor_places import Place, opened, read_into, row_pieces
from molehunt.provenance.tensor_values import Array, needs_wide, rounding_energy, row_squares, values

LARGEST_RANK = 64
"""Ranks above are not told apart."""
_SPARE = 8
"""Directions that are looked along beyond the rank that is expected."""
_WIDE, _NARROW = LARGEST_RANK + _SPARE, 2 * _SPARE
_SAMPLE, _SAMPLED = 96, 1 << 22
"""Rows that are looked at first, at most, and numbers in them."""
_SKETCHED = 1 << 23
"""Numbers in the random columns of a sketch, at most."""
_CERTAIN = 2.0
"""A sample speaks for all rows if it says so many times what would be enough."""
_SHOWN = 8
"""Singular values that are told."""
_NUMBERS = 1 << 16
"""In a piece: so many stay in a core's cache."""
LEFT = 1e-6
"""Share of the squared difference that float32 products cannot vouch for: no rank need explain it."""


@dataclass(frozen=True)
class Sample:
    """What some rows say of a difference."""

    directions: Array
    """[C, width] Orthonormal columns, float32: those that the rows lie along most."""
    beyond: float
    """Their squared difference that `LARGEST_RANK` directions leave over."""
    is_beyond: bool
    """Probably the difference is of a larger rank than is told, and only its largest values are of interest."""
    share: float
    """Of all rows that were sampled from."""


def sample_rows(one: Place, other: Place, among: Array) -> Sample | None:
    """Up to 96 of the rows `among`; None if these do not differ, or not by numbers."""
    if not len(among):
        return None
    most = max(1, min(_SAMPLE, _SAMPLED // max(1, one.columns)))
    picked = among[np.linspace(0, len(among) - 1, min(most, len(among))).astype(int)]
    some, after = _rows(one, other, picked)
    moved = float(np.vdot(some, some))
    if not moved or not math.isfinite(moved):
        return None
    squares, vectors = np.linalg.eigh(some @ some.T)
    squares, vectors = squares[::-1].clip(0), vectors[:, ::-1]
    left = squares.sum() - np.cumsum(squares)
    allowed = max(rounding_energy(after.ravel(), other.dtype), LEFT * moved)
    beyond = float(left[LARGEST_RANK - 1]) if len(left) > LARGEST_RANK else 0.0
    is_beyond = beyond > _CERTAIN * allowed
    likely = int(np.count_nonzero(left > allowed)) + 1
    width = min(_NARROW if is_beyond else min(likely + _SPARE, _WIDE), len(picked), one.columns)
    directions = np.linalg.qr((vectors[:, :width] / math.sqrt(moved)).T.dot(some).T)[0].astype(np.float32)
    return Sample(directions, beyond, is_beyond, len(picked) / len(among))


def _rows(one: Place, other: Place, picked: Array) -> tuple[Array, Array]:
    """[N, C] The difference in some rows, float64, and these rows after it."""
    wide = needs_wide(one.dtype, other.dtype)
    with opened(one, other) as handles:
        before, after = (_picked(*each, picked, wide) for each in zip(handles, (one, other), strict=True))
    return np.subtract(after, before, dtype=np.float64), after


def _picked(handle: int, place: Place, picked: Array, wide: bool) -> Array:
    width = _width(place)
    raw = memoryview(bytearray(width * len(picked)))
    for at, row in enumerate(picked):
        _raw(handle, place, int(row), 1, raw[at * width :])
    return values(raw, place.dtype, wide).reshape(len(picked), -1)


class Projection:
    """A difference seen along the directions of a sample.

    Of a low rank, these span its rows: what is left over says so. In any case its singular values are lower bounds of the
    difference's, as `directions` are orthonormal.
    """

    def __init__(self, place: Place, sample: Sample) -> None:
        self.sample = sample
        self.rows = np.zeros((place.rows, sample.directions.shape[1]), np.float32)
        self.energies = np.zeros(place.rows)
        """[R] Squared length of each row of the difference."""

    def add(self, first: int, delta: Array, energies: Array) -> None:
        """[r, C] Rows of the difference from `first` on, and [r] the squared length of each."""
        rows = slice(first, first + len(delta))
        np.matmul(delta.astype(np.float32, copy=False), self.sample.directions, out=self.rows[rows])
        self.energies[rows] = energies

    def squares(self) -> Array:
        """Squared singular values, the largest first."""
        wide = self.rows.astype(np.float64)
        found: Array = np.linalg.eigvalsh(wide.T @ wide)[::-1].clip(0)
        return found

    def unseen(self) -> Array:
        """[N] The rows that most is left over of, in order."""
        left = self.energies - np.einsum("ij,ij->i", self.rows, self.rows, dtype=np.float64)
        most = max(1, min(_SAMPLE, _SAMPLED // len(self.sample.directions), len(left)))
        return np.sort(np.argpartition(left, -most)[-most:])


def rank_and_spectrum(
    one: Place, other: Place, touched: Array, moved: float, allowed: float, seen: Projection | None
) -> tuple[int | None, tuple[float, ...]]:
    """Rank, if it is at most `LARGEST_RANK`, and largest singular values of a difference.

    Rows that are taken evenly from all span the others if the rank is low, and what they leave over says whether they do. If they do
    not, and do not say either that no low rank can be found, a random sketch decides. Values of a low rank are right to the rounding of
    float32 products; of a full difference they are lower bounds: as good as the spectrum is steep, and a quarter too small where it is flat.

    Args:
        touched: [R] which rows differ.
        moved, allowed: squared norm of the difference, and what of it a rank need not explain.
        seen: as filled while summing, if a sample of all rows saw anything; else those that differ are sampled.
    """
    seen = seen or _seen(one, other, touched)
    if seen is None:
        return None, ()
    squares, sample = seen.squares(), seen.sample
    rank = _rank(squares, moved, allowed)
    if rank is None:
        # no part of a matrix has a larger rank than the whole
        is_sure = sample.beyond > allowed or sample.beyond > _CERTAIN * allowed * sample.share
        squares = _of_few(one, other, seen, squares) if is_sure else _sketched(one, other, touched)
        rank = None if is_sure else _rank(squares, moved, allowed)
    return rank if rank is None or rank <= LARGEST_RANK else None, tuple(map(float, np.sqrt(squares[:_SHOWN])))


def _rank(squares: Array, moved: float, allowed: float) -> int | None:
    enough = np.flatnonzero(moved - np.cumsum(squares) <= allowed)
    return int(enough[0]) + 1 if len(enough) else None


def _seen(one: Place, other: Place, touched: Array) -> Projection | None:
    sample = sample_rows(one, other, np.flatnonzero(touched))
    if sample is None:
        return None
    seen = Projection(one, sample)
    for first, delta in _deltas(one, other, touched):
        seen.add(first, delta, row_squares(delta))
    return seen


def _of_few(one: Place, other: Place, seen: Projection, squares: Array) -> Array:
    """The better of two lower bounds: along the sample's directions, and of the rows alone that these tell least of.

    What stands in few rows is in no sample (the second step of Deshpande & Vempala 2006, "Adaptive sampling", section 3).
    """
    some, _ = _rows(one, other, seen.unseen())
    few = np.linalg.eigvalsh(some @ some.T)[::-1].clip(0)
    both = np.zeros((2, max(len(squares), len(few))))
    both[0, : len(squares)], both[1, : len(few)] = squares, few
    better: Array = both.max(axis=0)
    return better


def _sketched(one: Place, other: Place, touched: Array) -> Array:
    """Squared singular values by random combinations of columns, which span the range if it is of a low rank.

    Halko, Martinsson & Tropp 2011, "Finding structure with randomness", algorithm 4.1 without power iterations.
    """
    width = max(1, min(_WIDE, one.rows, one.columns, _SKETCHED // one.columns))
    drawn = np.random.default_rng(0).standard_normal((one.columns, width), dtype=np.float32)
    rows, inside = np.zeros((one.rows, width), np.float32), np.zeros((width, one.columns), np.float32)
    for first, delta in _deltas(one, other, touched):
        np.matmul(delta, drawn, out=rows[first : first + len(delta)])
    basis = np.linalg.qr(rows.astype(np.float64))[0].astype(np.float32)
    for first, delta in _deltas(one, other, touched):
        inside += basis[first : first + len(delta)].T @ delta
    wide = inside.astype(np.float64)
    found: Array = np.linalg.eigvalsh(wide @ wide.T)[::-1].clip(0)
    return found


def _deltas(one: Place, other: Place, touched: Array) -> Iterator[tuple[int, Array]]:
    """(first row, difference as float32) of every piece in which a row differs."""
    for first, count, before, after, _ in pairs(one, other, touched=touched):
        yield first, (after - before).astype(np.float32, copy=False).reshape(count, one.columns)


def pairs(
    one: Place, other: Place, touched: Array | None = None
) -> Iterator[tuple[int, int, Array, Array, memoryview]]:
    """(first row, rows, numbers before, numbers after, bytes after) piece by piece; numbers and bytes are overwritten by the next.

    Args:
        touched: [R] leave out pieces without such rows.
    """
    pieces = list(row_pieces(one, _NUMBERS))
    if touched is not None:
        pieces = [(first, count) for first, count in pieces if touched[first : first + count].any()]
    most = max((count for _, count in pieces), default=0)
    mine, theirs = (memoryview(bytearray(_width(place) * most)) for place in (one, other))
    wide = needs_wide(one.dtype, other.dtype)
    with opened(one, other) as (left, right):
        for first, count in pieces:
            before, after = _raw(left, one, first, count, mine), _raw(right, other, first, count, theirs)
            yield first, count, values(before, one.dtype, wide), values(after, other.dtype, wide), after


def _raw(handle: int, place: Place, first: int, count: int, buffer: memoryview) -> memoryview:
    return read_into(handle, place, first * _width(place), buffer[: count * _width(place)])


def _width(place: Place) -> int:
    """Bytes of a row."""
    return place.length // place.rows if place.rows else 0
