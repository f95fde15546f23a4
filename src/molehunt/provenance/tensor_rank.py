"""Rank and largest singular values of the difference of two tensors, by a randomized sketch of its range."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from molehunt.provenance.tensor_places import Place, opened, read_into, row_pieces
from molehunt.provenance.tensor_values import Array, needs_wide, rounding_energy, values

LARGEST_RANK = 64
"""Ranks above are not told apart."""
_SPARE = 8
"""Columns of a sketch beyond the rank that it is to find."""
_WIDE, _NARROW = LARGEST_RANK + _SPARE, 2 * _SPARE
_SAMPLE, _SAMPLED = 96, 1 << 23
"""Rows that are looked at first, at most, and numbers in them."""
_SHOWN = 8
"""Singular values that are told."""
_NUMBERS = 1 << 17
"""In a piece: so many stay in a core's cache."""
_LEFT = 1e-6
"""As of `tensor_diff`: what of a sample no rank need explain."""


@dataclass(frozen=True)
class Guess:
    """What some rows say of the rank of a difference."""

    likely: int
    beyond: float
    """Their squared difference that `LARGEST_RANK` directions leave over."""
    scale: float
    """One over the root mean square of the difference."""
    is_beyond: bool
    """Probably of a larger rank than is told."""

    @property
    def width(self) -> int:
        """Columns of the sketch that it asks for: of a full difference only the largest values are of interest.

        Beside rounding, a sketch of r + p columns leaves 1 + r / (p - 1) times what the best r directions would (Halko et al. 2011,
        theorem 10.5): with p = 2r that stays below the twice that is allowed.
        """
        return _NARROW if self.is_beyond else min(3 * self.likely + _SPARE, _WIDE)


def sample_rank(one: Place, other: Place, among: Array) -> Guess | None:
    """By up to 96 of the rows `among`; None if these do not differ, or not by numbers."""
    if not len(among):
        return None
    most = max(1, min(_SAMPLE, _SAMPLED // max(1, one.columns)))
    picked = among[np.linspace(0, len(among) - 1, min(most, len(among))).astype(int)]
    some, noise = np.empty((len(picked), one.columns)), 0.0
    for at, row in enumerate(picked):
        for _, _, before, after, _ in pairs(one, other, int(row)):
            np.subtract(after, before, out=some[at])
            noise += rounding_energy(after, other.dtype)
    moved = float(np.vdot(some, some))
    if not moved or not math.isfinite(moved):
        return None
    squares = np.linalg.eigvalsh(some @ some.T)[::-1].clip(0)
    left, allowed = squares.sum() - np.cumsum(squares), max(noise, _LEFT * moved)
    likely, beyond = int(np.count_nonzero(left > allowed)) + 1, _beyond(left)
    scale = math.sqrt(some.size / moved)
    return Guess(likely, beyond, scale, is_beyond=beyond > allowed * len(among) / len(picked))


def _beyond(left: Array) -> float:
    return float(left[LARGEST_RANK - 1]) if len(left) > LARGEST_RANK else 0.0


class Sketch:
    """Random combinations of a difference's columns; they span its range if it is of a smaller rank.

    Halko, Martinsson & Tropp 2011, "Finding structure with randomness", algorithm 4.1 without power iterations.
    """

    def __init__(self, place: Place, width: int, scale: float) -> None:
        width = min(width, place.rows, place.columns)
        self.width, self.scale = width, scale
        self.drawn = np.random.default_rng(0).standard_normal((place.columns, width), dtype=np.float32)
        self.drawn *= np.float32(scale)
        self.rows = np.zeros((place.rows, width), np.float32)

    @staticmethod
    def for_rank(place: Place, guess: Guess) -> "Sketch":
        """As wide as a guess asks for."""
        return Sketch(place, guess.width, guess.scale)

    def add(self, first: int, delta: Array | None) -> None:
        """Rows of the difference from `first` on; None where there is none."""
        if delta is not None:
            np.matmul(delta.astype(np.float32, copy=False), self.drawn, out=self.rows[first : first + len(delta)])

    def basis(self) -> Array:
        """[R, width] Orthonormal columns."""
        return np.linalg.qr(self.rows.astype(np.float64))[0].astype(np.float32)


def rank_and_spectrum(
    one: Place, other: Place, touched: Array, moved: float, allowed: float, sketch: Sketch | None, guess: Guess | None
) -> tuple[int | None, tuple[float, ...]]:
    """Rank, if it is at most `LARGEST_RANK`, and largest singular values of a difference.

    A sketch that is wide enough gives a low rank exactly, and its values to the rounding of float32 products. Of a full difference it
    gives lower bounds of the values: they are as good as the spectrum is steep, and a quarter too small where it is flat.

    Args:
        touched: [R] which rows differ.
        moved, allowed: squared norm of the difference, and what of it a rank need not explain.
        sketch, guess: as filled while summing, if the sample of all rows saw anything; else those that differ are sampled.
    """
    if sketch is None or guess is None:
        guess = sample_rank(one, other, np.flatnonzero(touched))
        if guess is None:
            return None, ()
        sketch = _drawn(one, other, touched, Sketch.for_rank(one, guess))
    rank, spectrum = _projected(one, other, touched, moved, allowed, sketch)
    is_sure = guess.beyond > allowed  # no part of a matrix has a larger rank than the whole
    if rank is None and not is_sure and sketch.width < min(_WIDE, one.rows, one.columns):
        wide = _drawn(one, other, touched, Sketch(one, _WIDE, guess.scale))
        rank, spectrum = _projected(one, other, touched, moved, allowed, wide)
    return rank if rank is None or rank <= LARGEST_RANK else None, spectrum


def _drawn(one: Place, other: Place, touched: Array, sketch: Sketch) -> Sketch:
    for first, delta in _deltas(one, other, touched):
        sketch.add(first, delta)
    return sketch


def _projected(
    one: Place, other: Place, touched: Array, moved: float, allowed: float, sketch: Sketch
) -> tuple[int | None, tuple[float, ...]]:
    """What the sketch's range leaves over tells whether the rank is smaller than its width."""
    basis, scale = sketch.basis(), np.float32(sketch.scale)
    basis *= scale
    inside = np.zeros((sketch.width, one.columns), np.float32)
    for first, delta in _deltas(one, other, touched):
        inside += basis[first : first + len(delta)].T @ delta
    wide = inside.astype(np.float64)
    squares = np.linalg.eigvalsh(wide @ wide.T)[::-1].clip(0) / float(scale) ** 2
    enough = np.flatnonzero(moved - np.cumsum(squares) <= allowed)
    return int(enough[0]) + 1 if len(enough) else None, tuple(map(float, np.sqrt(squares[:_SHOWN])))


def _deltas(one: Place, other: Place, touched: Array) -> Iterator[tuple[int, Array]]:
    """(first row, difference as float32) of every piece in which a row differs."""
    for first, count, before, after, _ in pairs(one, other, touched=touched):
        yield first, (after - before).astype(np.float32, copy=False).reshape(count, one.columns)


def pairs(
    one: Place, other: Place, row: int | None = None, touched: Array | None = None
) -> Iterator[tuple[int, int, Array, Array, memoryview]]:
    """(first row, rows, numbers before, numbers after, bytes after) piece by piece; numbers and bytes are overwritten by the next.

    Args:
        row: only this one.
        touched: [R] leave out pieces without such rows.
    """
    pieces = list(row_pieces(one, _NUMBERS)) if row is None else [(row, 1)]
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
