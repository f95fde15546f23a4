"""Texts of many rows at once as arrays: messages, words, and hashes of both; numpy only.

A row's text is its messages, each after a mark (`SEP`) and a letter for its role. Hashes are polynomial over bytes modulo
2^64 with random byte values, then mixed; they are the same on every machine and in every run.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt

U64 = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]
_Number = TypeVar("_Number", np.int32, np.int64, np.uint64)

SEP: Final = "\x1e"
"""Before every message of a text and every item of a list."""
ROLES: Final = {"system": "S", "developer": "S", "user": "U", "assistant": "A", "tool": "T", "function": "T"}
"""The letter after the mark; any other role is a tool's."""
BATCH_BYTES: Final = 2**18
"""Bytes of text worked on at once: few enough for a processor's cache."""

_K1, _K2, _K3 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_BASE: Final = 0x2545F4914F6CDD1D
_S30, _S27, _S31 = np.uint64(30), np.uint64(27), np.uint64(31)


def mix(values: U64) -> U64:
    """Spread 64-bit values over all bits (SplitMix64; Steele, Lea, Flood 2014)."""
    x = np.atleast_1d(values) + _K1
    x = (x ^ (x >> _S30)) * _K2
    x = (x ^ (x >> _S27)) * _K3
    return x ^ (x >> _S31)


def quick_mix(values: U64) -> U64:
    """A cheaper spreading, for what is combined with others before it is looked up."""
    x = values * _K2
    return x ^ (x >> _S31)


def rising(values: npt.NDArray[_Number]) -> npt.NDArray[_Number]:
    """The different ones, in order: as `np.unique`, which puts numbers into a hash table first and takes ten times as long (NumPy 2.4)."""
    values = np.sort(values)
    is_new = np.ones(len(values), bool)
    is_new[1:] = values[1:] != values[:-1]
    return values[is_new]


def grouped(keys: U64) -> tuple[npt.NDArray[np.int32], Ints]:
    """([N] number of each key among the rising ones, [K] how often each occurs): as `np.unique`, in half its memory."""
    order = np.argsort(keys, kind="stable")
    in_order = keys[order]
    number = np.zeros(len(keys), np.int32)
    np.cumsum(in_order[1:] != in_order[:-1], out=number[1:])
    found = np.empty(len(keys), np.int32)
    found[order] = number
    return found, np.bincount(number)


SPACE, PLAIN, SYMBOL, MARK = 0, 1, 2, 3
DIGIT, UPPER, LOWER, FOREIGN, ALONE = 8, 9, 10, 11, 12
"""Kinds of bytes; those from `DIGIT` make words: letters, digits, and all of other scripts. `ALONE` begins a character of
a script that puts no space between words (CJK, kana, hangul)."""


def _kinds() -> bytes:
    table = bytearray([SYMBOL]) * 256
    groups = {SPACE: bytes(range(33)) + b"\x7f", PLAIN: b".,;:!?'\"()-", DIGIT: b"0123456789", MARK: SEP.encode()}
    for kind, members in groups.items():
        for byte in members:
            table[byte] = kind
    for first, last, kind in ((65, 91, UPPER), (97, 123, LOWER), (128, 256, FOREIGN), (0xE3, 0xEE, ALONE)):
        table[first:last] = bytes([kind]) * (last - first)
    return bytes(table)


KINDS = _kinds()
_FOLDED = bytes(range(256)).lower()


def translate(data: Bytes, table: bytes) -> Bytes:
    """Each byte looked up in a table; much faster than indexing."""
    return np.frombuffer(data.tobytes().translate(table), np.uint8)


@cache
def _powers(length: int) -> tuple[U64, U64]:
    base, inverse = np.uint64(_BASE), np.uint64(pow(_BASE, -1, 2**64))
    return _cumprod(base, length), _cumprod(inverse, length)


def _cumprod(factor: np.uint64, length: int) -> U64:
    row = np.full(length, factor, np.uint64)
    row[0] = 1
    return np.cumprod(row)


class Hasher:
    """Hashes of any spans of one byte string in constant time each."""

    def __init__(self, data: Bytes, fold: bool = False) -> None:
        size = 1 << max(16, int(len(data) + 1).bit_length())
        powers, self._inverse = _powers(size)
        values = (translate(data, _FOLDED) if fold else data).astype(np.uint64)
        values += np.uint64(0x1F3)
        values *= powers[: len(data)]
        self._sums = np.zeros(len(data) + 1, np.uint64)
        np.cumsum(values, out=self._sums[1:])

    def spans(self, starts: Ints, ends: Ints) -> U64:
        """One hash for each span; equal bytes have equal hashes wherever they stand."""
        return quick_mix((self._sums[ends] - self._sums[starts]) * self._inverse[starts])


def hash_spans(data: Bytes, starts: Ints, ends: Ints) -> U64:
    """The same for a few spans of a long text: only their bytes are read."""
    sizes = ends - starts
    first = np.cumsum(sizes) - sizes
    at = np.arange(int(sizes.sum())) + np.repeat(starts - first, sizes)
    return Hasher(data[at]).spans(first, first + sizes)


def hash_text(text: str) -> np.uint64:
    """The hash of one text, as `hash_column` gives it."""
    data = np.frombuffer(text.encode("utf-8", "replace"), np.uint8)
    return np.uint64(Hasher(data).spans(np.array([0]), np.array([len(data)]))[0])


def column(array: Any) -> tuple[Bytes, Ints]:
    """Bytes and offsets [n + 1] of an Arrow array of strings, without copying the text."""
    import pyarrow as pa

    array = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], pa.string())
    if not len(array):
        return np.zeros(0, np.uint8), np.zeros(1, np.int64)
    _, offsets, data = array.buffers()
    kind = np.int64 if pa.types.is_large_string(array.type) else np.int32
    ends = np.frombuffer(offsets, kind)[array.offset : array.offset + len(array) + 1].astype(np.int64)
    held = np.frombuffer(data, np.uint8) if data else np.zeros(0, np.uint8)
    return held[ends[0] : ends[-1]], ends - ends[0]


def hash_column(array: Any) -> U64:
    """One hash for each string of an Arrow array."""
    data, offsets = column(array)
    return Hasher(data).spans(offsets[:-1], offsets[1:])


def items(array: Any) -> tuple[Bytes, Ints, Ints, Ints]:
    """What `SEP` marks in each string: bytes, and for each item its start, its end and its row."""
    data, offsets = column(array)
    marks = np.flatnonzero(data == ord(SEP))
    rows = np.searchsorted(offsets, marks, "right") - 1
    ends = np.append(marks[1:], len(data))
    return data, marks + 1, np.minimum(ends, offsets[rows + 1]), rows


@dataclass(frozen=True)
class Texts:
    """The words of the texts of a batch of rows. M messages, W words, R rows."""

    data: Bytes
    kinds: Bytes
    """Of each byte; the letter of a role is a `MARK` too."""
    offsets: Ints
    """[R + 1]"""
    message_start: Ints
    """[M], at the first byte after mark and letter."""
    message_end: Ints
    role: Bytes
    """[M], letters."""
    message_row: Ints
    start: Ints
    """[W]"""
    end: Ints
    word_message: Ints
    """[W]; words lie in the order of the text, so each message's stand together."""
    word_row: Ints
    hash: U64
    """[W], small letters."""

    @property
    def rows(self) -> int:
        """R."""
        return len(self.offsets) - 1


def split_words(array: Any) -> Texts:
    """Messages and words of an Arrow array of texts."""
    data, offsets = column(array)
    kinds = translate(data, KINDS).copy()
    marks = np.flatnonzero(kinds == MARK)
    kinds[np.minimum(marks + 1, max(0, len(data) - 1))] = MARK
    message_row = np.searchsorted(offsets, marks, "right") - 1
    message_end = np.minimum(np.append(marks[1:], len(data)), offsets[message_row + 1]) if len(marks) else marks
    starts, ends = _word_bounds(kinds)
    many = np.diff(np.searchsorted(starts, np.append(marks, len(data))))
    word_message = np.repeat(np.arange(len(marks)), many)
    hashes = Hasher(data, fold=True).spans(starts, ends)
    role = data[np.minimum(marks + 1, len(data) - 1)] if len(marks) else np.zeros(0, np.uint8)
    return Texts(
        data, kinds, offsets, np.minimum(marks + 2, message_end), message_end, role, message_row, starts, ends,
        word_message, np.repeat(message_row, many), hashes,
    )  # fmt: skip


def _word_bounds(kinds: Bytes) -> tuple[Ints, Ints]:
    """Starts and ends of words."""
    inside = np.zeros(len(kinds) + 2, np.int8)
    inside[1:-1] = kinds >= DIGIT
    edges = np.flatnonzero(inside[1:] != inside[:-1])
    starts, ends = edges[::2], edges[1::2]
    alone = np.flatnonzero(kinds == ALONE)
    if not len(alone):
        return starts, ends
    after = alone + 3  # its three bytes; what follows begins anew
    inner = np.concatenate((alone, after[(after < len(kinds)) & (inside[np.minimum(after, len(kinds) - 1) + 1] > 0)]))
    starts = np.unique(np.concatenate((starts, inner)))
    stops = ends[np.searchsorted(ends, starts, "right")]
    return starts, np.minimum(np.append(starts[1:], len(kinds)), stops)
