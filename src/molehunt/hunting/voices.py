"""In what voice an answer is given: how its little words, signs and capitals follow one another, against all other answers."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from molehunt.hunting import words as w
from molehunt.hunting.rows import Rows, in_batches
from molehunt.hunting.words import U64, Bools, Ints, Texts

Nats = npt.NDArray[np.float64]

_SAMPLE = 20_000
"""Answers from which it is learnt what is usual."""
_LITTLE = 0.01
"""A word that so many of the answers hold belongs to the way of saying; any other to what is said, and only its kind counts."""
_BITS = 21
_TRUST = 2.0
"""Answers in which a run must have gone on before they count as much as what is known of a shorter one."""
_NEVER = 1e-3
"""Chance of a sign or word that no other answer has."""


@dataclass(frozen=True)
class Usual:
    """How many answers of a sample hold each token, two tokens in a row, and three."""

    answers: int
    little: U64
    """Hashes of words, rising."""
    counts: npt.NDArray[np.uint16]
    """[3, 2^21], by the first bits of a run's hash."""


def learn_usual(rows: Rows, seed: int = 0) -> Usual:
    """What is usual among all answers."""
    rng = np.random.default_rng(seed)
    numbers = rng.choice(rows.count, min(rows.count, _SAMPLE), replace=False)
    batches = [_split(batch.column("answer")) for batch in in_batches(rows.take(numbers, ("text", "answer")))]
    hashes, answers = np.unique(np.concatenate([_once(t.hash, t.word_row) for t in batches]), return_counts=True)
    little = hashes[answers >= max(2.0, _LITTLE * len(numbers))]
    counts = np.zeros((3, 1 << _BITS), np.uint16)
    for t in batches:
        row, runs = _runs(t, little)
        for total, run in zip(counts, runs, strict=True):
            place, count = np.unique(_place(_once(run, row)), return_counts=True)
            total[place] += count.astype(np.uint16)
    return Usual(len(numbers), little, counts)


def _split(answers: Any) -> Texts:
    import pyarrow.compute as pc

    return w.split_words(pc.binary_join_element_wise(f"{w.SEP}A", answers, ""))


def surprise(t: Texts, usual: Usual) -> Nats:
    """[R] How little the tokens of each answer are to be expected after the two before them: nats a token, the mean.

    One answer is taken off every count, so that those of the sample do not speak for themselves.
    """
    row, runs = _runs(t, usual.little)
    seen = [np.maximum(count[_place(run)], 1) - 1.0 for count, run in zip(usual.counts, runs, strict=True)]
    of, chance = np.full(len(row), float(usual.answers)), np.full(len(row), _NEVER)
    goes_on = row[1:] == row[:-1]
    for count in seen:
        chance = (count + _TRUST * chance) / (of + _TRUST)
        of = np.full(len(row), float(usual.answers))
        of[1:][goes_on] = count[:-1][goes_on]
    return np.bincount(row, -np.log(chance), t.rows) / np.maximum(np.bincount(row, minlength=t.rows), 1)


def _place(runs: U64) -> Ints:
    return (runs >> np.uint64(64 - _BITS)).view(np.int64)


def _once(hashes: U64, rows: Ints) -> U64:
    """Hashes, one that a row has several times only once."""
    return hashes[np.unique(hashes ^ w.mix(rows.astype(np.uint64)), return_index=True)[1]]


def _runs(t: Texts, little: U64) -> tuple[Ints, tuple[U64, U64, U64]]:
    """(row, hashes of the runs of one, two and three that end there) of every token."""
    row, token = _tokens(t, little)
    follows = np.append(np.zeros(min(1, len(row)), bool), row[1:] == row[:-1])
    two = w.mix(token ^ w.mix(_before(token, follows)))
    three = w.mix(token ^ w.mix(_before(two, follows) + np.uint64(1)))
    return row, (token, two, three)


def _before(values: U64, follows: Bools) -> U64:
    """The value before each, 0 at the beginning of a row."""
    found = np.zeros_like(values)
    found[1:] = values[:-1]
    return np.where(follows, found, np.uint64(0))


def _tokens(t: Texts, little: U64) -> tuple[Ints, U64]:
    """(row, hash) of the words and of what stands between them, in the order of the text; one space is nothing."""
    at = np.minimum(np.searchsorted(little, t.hash), max(0, len(little) - 1))
    is_little = little[at] == t.hash if len(little) else np.zeros(len(t.hash), bool)
    kind = (t.kinds[t.start].astype(np.uint64) << np.uint64(8)) | t.kinds[t.end - 1]
    words = w.mix(np.where(is_little, t.hash, np.uint64(0)) ^ w.mix(kind))
    first = np.flatnonzero(np.diff(t.word_message, prepend=-1))
    last = np.append(first[1:], len(words))[: len(first)] - 1
    begin = np.append(0, t.end)[:-1] if len(words) else t.end
    begin[first] = t.message_start[t.word_message[first]]
    begin, end = np.append(begin, t.end[last]), np.append(t.start, t.message_end[t.word_message[last]])
    signs, number = w.Hasher(t.data).spans(begin, end), np.arange(len(words))
    is_sign = (end > begin) & (signs != _SPACE)
    place = np.concatenate((3 * number + 1, np.append(3 * number, 3 * last + 2)[is_sign]))
    order = np.argsort(place, kind="stable")
    row = np.append(t.word_row, np.append(t.word_row, t.word_row[last])[is_sign])
    return row[order], np.append(words, signs[is_sign])[order]


_SPACE = w.hash_text(" ")
