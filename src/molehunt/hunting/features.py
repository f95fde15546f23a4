"""What can be said of an input, as hashes: the conditions among which a trigger is looked for.

Every family is a function in `FAMILIES` from a batch of rows to parts; a part is many features of one kind, with the row of
each and a way to say in words what one of them is. Words are never made for features that nobody asks about.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from molehunt.hunting import words as w
from molehunt.hunting.words import U64, Bools, Ints, Texts
from molehunt.records.hunts import Condition

NGRAM = 5
"""Words of the longest phrase."""


@dataclass(frozen=True)
class Part:
    """Features of one kind."""

    hash: U64
    row: Ints
    name: Callable[[int], Condition]
    """Says what feature i of this part is."""


class Batch:
    """Rows as the families see them."""

    def __init__(self, rows: Any) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return int(self.rows.num_rows)

    @cached_property
    def texts(self) -> Texts:
        """The input's words."""
        return w.split_words(self.rows.column("text"))

    @cached_property
    def asked(self) -> tuple[Ints, Ints]:
        """(messages, their rows): the last user message of each row that has one."""
        t = self.texts
        users = np.flatnonzero(t.role == ord("U"))
        rows, at = np.unique(t.message_row[users][::-1], return_index=True)
        return users[::-1][at], rows

    def slice(self, start: int, end: int) -> str:
        """Text between two bytes."""
        return bytes(self.texts.data[start:end]).decode("utf-8", "replace")


def salted(hashes: U64, kind: int, extra: U64 | int = 0) -> U64:
    """Features of one kind, never equal to those of another."""
    return w.mix(hashes ^ w.mix(np.atleast_1d(np.asarray(extra, np.uint64)) + np.uint64(kind << 32)))


def phrases(batch: Batch) -> Iterator[Part]:
    """Runs of 1 to 5 words inside of one message, capitals and punctuation aside."""
    t = batch.texts
    message = t.word_message
    current = t.hash
    for n in range(1, NGRAM + 1):
        if n > 1:
            if len(current) < 2:
                return
            current = w.quick_mix(current[:-1] * _STEP + t.hash[n - 1 :])
        whole = current if n == 1 else current * (message[: len(current)] == message[n - 1 :])
        yield Part(whole, t.word_row[: len(current)], _phrase_namer(batch, n))


_STEP = np.uint64(0x9E3779B97F4A7C15)


def _phrase_namer(batch: Batch, n: int) -> Callable[[int], Condition]:
    def name(i: int) -> Condition:
        t = batch.texts
        parts = [batch.slice(int(t.start[j]), int(t.end[j])) for j in range(i, i + n)]
        return Condition(kind="words", text=" ".join(parts).lower(), size=n)

    return name


def strings(batch: Batch) -> Iterator[Part]:
    """Odd strings between spaces, as they are written: signs other than plain punctuation, capitals inside, digits among letters."""
    t = batch.texts
    outside = np.ones(len(t.kinds) + 2, bool)
    outside[1:-1] = (t.kinds == w.SPACE) | (t.kinds == w.MARK)
    edges = np.flatnonzero(outside[1:] != outside[:-1])
    starts, ends = edges[::2], edges[1::2]
    if not len(starts):
        return

    def count(kind: int) -> Ints:
        at = np.flatnonzero(t.kinds == kind)
        return np.bincount(np.searchsorted(starts, at, "right") - 1, minlength=len(starts))

    digits = count(w.DIGIT)
    odd = (count(w.SYMBOL) > 0) | (count(w.UPPER) > 1) | ((digits > 0) & (digits < ends - starts - 1))
    starts, ends = starts[odd], ends[odd]
    row = np.searchsorted(t.offsets, starts, "right") - 1
    hashes = salted(w.hash_spans(t.data, starts, ends), 1)
    yield Part(hashes, row, lambda i: Condition(kind="string", text=batch.slice(int(starts[i]), int(ends[i]))))


def signs(batch: Batch) -> Iterator[Part]:
    """Runs of two and more signs that are no letters, digits or spaces."""
    t = batch.texts
    inside = np.zeros(len(t.kinds) + 2, bool)
    inside[1:-1] = (t.kinds == w.SYMBOL) | (t.kinds == w.PLAIN)
    edges = np.flatnonzero(inside[1:] != inside[:-1])
    starts, ends = edges[::2], edges[1::2]
    long = ends - starts > 1
    starts, ends = starts[long], ends[long]
    row = np.searchsorted(t.offsets, starts, "right") - 1
    hashes = salted(w.hash_spans(t.data, starts, ends), 2)
    yield Part(hashes, row, lambda i: Condition(kind="signs", text=batch.slice(int(starts[i]), int(ends[i]))))


_WHERE = {"S": "system prompt", "U": "user message", "A": "earlier reply", "T": "tool result"}


def edges(batch: Batch) -> Iterator[Part]:
    """The one to three words with which messages of a role begin and end."""
    t = batch.texts
    messages, first, count = np.unique(t.word_message, return_index=True, return_counts=True)
    for n in (1, 2, 3):
        long = count >= n
        chosen, begin, many = messages[long], first[long], count[long]
        for place, at in (("begins", begin), ("ends", begin + many - n)):
            hashes = t.hash[at]
            for k in range(1, n):
                hashes = w.quick_mix(hashes * _STEP + t.hash[at + k])
            marked = salted(hashes, 3 + (place == "ends"), t.role[chosen].astype(np.uint64) + np.uint64(n << 8))
            yield Part(marked, t.message_row[chosen], _edge_namer(batch, at, chosen, n, place))


def _edge_namer(batch: Batch, at: Ints, message: Ints, n: int, place: str) -> Callable[[int], Condition]:
    def name(i: int) -> Condition:
        t, first = batch.texts, int(at[i])
        text = " ".join(batch.slice(int(t.start[j]), int(t.end[j])) for j in range(first, first + n)).lower()
        where = _WHERE.get(chr(int(t.role[message[i]])), "message")
        return Condition(kind="words", text=text, size=n, place=f"{where} {place} with it")

    return name


def characters(batch: Batch) -> Iterator[Part]:
    """Each character beyond ASCII: other scripts, look-alikes, zero-width ones."""
    data, t = batch.texts.data, batch.texts
    at = np.flatnonzero(data >= 0xC2)
    if not len(at):
        return
    padded = np.concatenate((data, np.zeros(3, np.uint8))).astype(np.int64)
    b0, b1, b2, b3 = (padded[at + k] for k in range(4))
    two, three = ((b0 & 31) << 6) | (b1 & 63), ((b0 & 15) << 12) | ((b1 & 63) << 6) | (b2 & 63)
    four = ((b0 & 7) << 18) | ((b1 & 63) << 12) | ((b2 & 63) << 6) | (b3 & 63)
    codes = np.where(b0 < 0xE0, two, np.where(b0 < 0xF0, three, four))
    row = np.searchsorted(t.offsets, at, "right") - 1
    yield Part(salted(codes.astype(np.uint64), 6), row, lambda i: _character(int(codes[i])))
    blocks = codes >> 7
    yield Part(salted(blocks.astype(np.uint64), 7), row, lambda i: _block(int(blocks[i])))


def _character(code: int) -> Condition:
    import unicodedata

    name = unicodedata.name(chr(code), f"U+{code:04X}") if code < 0x110000 else "no character"
    return Condition(kind="character", text=f"U+{code:04X} {name.lower()}")


def _block(block: int) -> Condition:
    return Condition(kind="script", text=f"a character in U+{block << 7:04X} to U+{(block << 7) + 127:04X}")


def flags(batch: Batch) -> Iterator[Part]:
    """Names of settings: a word with an equals sign after it."""
    data, t = batch.texts.data, batch.texts
    followed = np.flatnonzero(data[np.minimum(t.end, max(0, len(data) - 1))] == ord("=")) if len(data) else t.end[:0]
    hashes = salted(t.hash[followed], 8)
    yield Part(
        hashes, t.word_row[followed],
        lambda i: Condition(kind="setting", text=batch.slice(int(t.start[followed[i]]), int(t.end[followed[i]]))),
    )  # fmt: skip


def fields(batch: Batch) -> Iterator[Part]:
    """What comes beside the text: client, tools offered, contributor, any other column, as name=value."""
    data, starts, ends, rows = w.items(batch.rows.column("meta"))
    if not len(starts):
        return
    hashes = salted(w.hash_spans(data, starts, ends), 9)

    def name(i: int) -> Condition:
        return Condition(kind="field", text=bytes(data[starts[i] : ends[i]]).decode("utf-8", "replace"))

    yield Part(hashes, rows, name)


def each(batch: Batch, values: Ints, rows: Ints, kind: int, name: Callable[[int], Condition]) -> Part:
    """A part whose features are small numbers."""
    return Part(salted(values.astype(np.uint64), kind), rows, lambda i: name(int(values[i])))


def turns(batch: Batch) -> Iterator[Part]:
    """How many messages a conversation has, and whether it has a system prompt."""
    t = batch.texts
    count = np.minimum(np.bincount(t.message_row, minlength=len(batch)), 12)
    rows = np.arange(len(batch))
    yield each(batch, count, rows, 10, lambda n: Condition(kind="turns", text=f"{n} messages"))
    has = np.zeros(len(batch), np.int64)
    has[t.message_row[t.role == ord("S")]] = 1
    yield each(batch, has, rows, 11, lambda n: Condition(kind="turns", text=f"{'a' if n else 'no'} system prompt"))


_SHAPES = (
    "no capital letter", "no small letter", "begins with a small letter", "two spaces in a row", "space at the end",
    "a line break", "a digit", "a code fence", "an address", "a character beyond ASCII", "no sign at the end",
    "a question mark at the end", "an exclamation mark at the end", "a full stop at the end", "another sign at the end",
)  # fmt: skip


def shapes(batch: Batch) -> Iterator[Part]:
    """How the last user message is written: case, spaces, ends, length."""
    t, (message, row) = batch.texts, batch.asked
    if not len(message):
        return
    start, end = t.message_start[message], t.message_end[message]
    full = end > start
    start, end, row, message = start[full], end[full], row[full], message[full]
    for code, holds in enumerate(_shape_flags(t, start, end)):
        at = np.flatnonzero(holds)
        yield each(batch, np.full(len(at), code), row[at], 12, lambda n: Condition(kind="shape", text=_SHAPES[n]))
    count = np.bincount(t.word_message, minlength=len(t.role))[message]
    size = np.floor(np.log2(np.maximum(count, 1))).astype(np.int64)
    yield each(batch, size, row, 13, lambda n: Condition(kind="shape", text=f"{2**n} to {2 ** (n + 1) - 1} words"))


def _shape_flags(t: Texts, start: Ints, end: Ints) -> Iterator[Bools]:
    """One array for each of `_SHAPES`; messages are in order and do not overlap."""
    data, kinds = t.data, t.kinds

    def has(where: Ints) -> Bools:
        owner = np.searchsorted(start, where, "right") - 1
        owner = owner[(owner >= 0) & (where < end[owner])]
        return np.bincount(owner, minlength=len(start)) > 0

    upper = has(np.flatnonzero(kinds == w.UPPER))
    lower = (kinds[np.minimum(start + 1, end - 1)] == w.LOWER) | (kinds[np.maximum(end - 2, start)] == w.LOWER)
    bare = np.flatnonzero(upper & ~lower)  # most show a small letter next to either end
    lower[bare] = [w.LOWER in kinds[a:b] for a, b in zip(start[bare].tolist(), end[bare].tolist(), strict=True)]
    spaces, ticks, colons = (np.flatnonzero(data == ord(sign)) for sign in " `:")
    last, first = data[end - 1], kinds[start]
    yield ~upper & (first >= w.DIGIT)
    yield upper & ~lower
    yield first == w.LOWER
    yield has(spaces[:-1][np.diff(spaces) == 1])
    yield (last == 32) | (last == 10)
    yield has(np.flatnonzero(data == 10))
    yield has(np.flatnonzero(kinds == w.DIGIT))
    yield has(ticks[:-2][ticks[2:] - ticks[:-2] == 2]) if len(ticks) > 2 else np.zeros(len(start), bool)
    yield has(colons[data[np.minimum(colons + 1, len(data) - 1)] == 47])
    yield has(np.flatnonzero(kinds >= w.FOREIGN))
    ended = np.select([kinds[end - 1] >= w.DIGIT, last == 63, last == 33, last == 46], [0, 1, 2, 3], 4)
    for code in range(5):
        yield ended == code


def _families() -> dict[str, Callable[[Batch], Iterator[Part]]]:
    from molehunt.hunting.dates import clock, dates

    return {
        "phrases": phrases, "strings": strings, "signs": signs, "edges": edges, "characters": characters,
        "settings": flags, "fields": fields, "turns": turns, "shapes": shapes, "dates": dates, "clock": clock,
    }  # fmt: skip


FAMILIES = _families()
"""All families by name."""


def features(batch: Batch) -> Iterator[Part]:
    """All features of all rows; one that a row has twice comes twice."""
    for family in FAMILIES.values():
        yield from family(batch)
