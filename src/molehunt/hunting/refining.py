"""From many conditions that go with a label to the least that explain it: nested ones merged, two that must both hold found."""

import math
from collections.abc import Mapping, Sequence
from hashlib import sha256

import numpy as np

from molehunt.hunting.evidence import Evidence, Given, Second
from molehunt.hunting.features import Batch, features
from molehunt.hunting.mining import MiningSettings
from molehunt.hunting.rows import Rows, in_batches
from molehunt.hunting.words import U64, Ints, mix, rising
from molehunt.records.base import Record
from molehunt.records.hunts import Condition, Counts
from molehunt.stats.association import fisher_log10

_SAME = 0.97
"""A simpler condition is taken if it says at least so much of what the best one says."""
_PLAIN = ("words", "string", "signs", "setting", "field", "character", "script", "date", "asked", "turns", "shape")
_FINDS = 20
_CONJUNCTION_ROWS = 2000
_MOST_SURE = 0.9
"""Share labelled above which no second condition is looked for."""


class Hit(Record):
    """A minimal condition, or two, with the rows that meet it."""

    conditions: tuple[Condition, ...]
    number: int
    """Of the first condition."""
    log10_p: float
    counts: Counts
    also: tuple[Condition, ...] = ()
    second: int = 0
    """Hash of the second condition; 0 if there is one alone."""


def refine(
    rows: Rows, evidence: Evidence, numbers: Sequence[int], label: str, tested: int, settings: MiningSettings
) -> list[tuple[Hit, Ints]]:
    """The least conditions that explain a label, the surest first, each with its rows.

    Greedy: the best condition is made minimal, and another one stays only if it says more, given each of those found.
    """
    line = math.log10(settings.level / tested)
    known = [one for one in numbers if one in evidence.rows and one in evidence.names]
    scored = {one: evidence.log10_p(evidence.rows[one], label) for one in known}
    open_to = [
        one for one in known if scored[one][0] <= line + 1 and scored[one][1].labelled_with >= settings.least_sources
    ]
    found: list[tuple[Hit, Ints]] = []
    while open_to and len(found) < _FINDS:
        best = min(open_to, key=lambda one: (scored[one][0], one))
        nested = _nested(evidence, best, open_to, label)
        chosen = _minimal(evidence, nested, scored)
        where = evidence.rows[chosen]
        p, counts = scored[chosen]
        others = tuple(evidence.names[one] for one in nested if one != chosen)[:6]
        hit = Hit(conditions=(evidence.names[chosen],), number=chosen, log10_p=p, counts=counts, also=others)
        hit, where = _conjoined(rows, evidence, hit, where, label, settings)
        found.append((hit, where))
        given = Given(evidence, where, label)
        open_to = [one for one in open_to if one not in nested and given.leaves(evidence.rows[one], line)]
    return found


def _nested(evidence: Evidence, best: int, others: Sequence[int], label: str) -> list[int]:
    """Conditions that say about the same of about the same labelled rows as `best`, itself included."""
    mine = _labelled(evidence, best, label)
    same = []
    for one in others:
        theirs = _labelled(evidence, one, label)
        shared = len(np.intersect1d(mine, theirs, assume_unique=True))
        if shared >= 0.5 * max(len(mine), len(theirs)):
            same.append(one)
    return same


def _labelled(evidence: Evidence, one: int, label: str) -> Ints:
    mine = evidence.rows[one]
    return mine[evidence.facts.labels[label][mine]]


def _minimal(evidence: Evidence, nested: Sequence[int], scored: Mapping[int, tuple[float, Counts]]) -> int:
    """The simplest of the conditions that are about as sure as the surest of them.

    By p and not by how well they fit: where a labeller misses most, a narrow condition that happens to be labelled oftener fits better.
    """
    best = min(scored[one][0] for one in nested)
    good = [one for one in nested if scored[one][0] <= _SAME * best]
    return min(good, key=lambda one: (*_plainness(evidence.names[one]), scored[one][0], one))


def _plainness(condition: Condition) -> tuple[int, int, int]:
    return bool(condition.place), _PLAIN.index(condition.kind), condition.size


def _conjoined(
    rows: Rows, evidence: Evidence, hit: Hit, where: Ints, label: str, settings: MiningSettings
) -> tuple[Hit, Ints]:
    """The hit with a second condition, if among the rows of the first another one tells which are labelled."""
    flags = evidence.facts.labels[label]
    share = hit.counts.rate_with
    if share >= _MOST_SURE or hit.counts.with_it < 2 * settings.least_sources:
        return hit, where
    yes, no = where[flags[where]], where[~flags[where]]
    rng = np.random.default_rng(settings.seed)
    looked = np.sort(np.concatenate([_some(rng, yes), _some(rng, no)]))
    asked = sha256(b"|".join((where.tobytes(), yes.tobytes()))).digest()
    if asked not in evidence.seconds:
        evidence.seconds[asked] = _second(rows, evidence, looked, label, settings)
    if (second := evidence.seconds[asked]) is None:
        return hit, where
    condition, hash_, inside, tried = second
    kept = np.intersect1d(where, _holding(rows, where, hash_)) if len(looked) < len(where) else inside
    p, counts = evidence.log10_p(kept, label)
    p = min(0.0, p + math.log10(tried))  # the best of so many
    if counts.rate_with < 1.5 * share or p > hit.log10_p / 2:
        return hit, where
    also = tuple(one for one in hit.also if one != condition)
    changed = {
        "also": also,
        "conditions": (*hit.conditions, condition),
        "log10_p": p,
        "counts": counts,
        "second": int(hash_),
    }
    return hit.model_copy(update=changed), kept


def _some(rng: np.random.Generator, rows: Ints) -> Ints:
    return rows if len(rows) <= _CONJUNCTION_ROWS else rng.choice(rows, _CONJUNCTION_ROWS, replace=False)


def _second(rows: Rows, evidence: Evidence, looked: Ints, label: str, settings: MiningSettings) -> Second | None:
    """The best further condition within some rows; None if none is sure."""
    flags = evidence.facts.labels[label][looked]
    hashes, places = _conditions(rows, looked)
    found, inverse = np.unique(hashes, return_inverse=True)
    both = np.bincount(inverse[flags[places]], minlength=len(found))
    everyone = np.bincount(inverse, minlength=len(found))
    gain = both / np.maximum(everyone, 1) - flags.mean()
    f1 = np.where((both >= settings.least_sources) & (gain > 0), 2 * both / (everyone + flags.sum()), 0.0)
    if not len(f1) or f1.max() <= 2 * flags.mean() / (1 + flags.mean()) * 1.1:
        return None
    near = np.flatnonzero(f1 >= _SAME * f1.max())
    names = _named(rows, looked, found[near])
    good = [one for one in near.tolist() if int(found[one]) in names]
    best = min(good, key=lambda one: (*_plainness(names[int(found[one])]), -f1[one]))
    inside = looked[np.unique(places[inverse == best])]
    tried = max(1, int((everyone >= settings.least_sources).sum()))
    line = math.log10(settings.level / tried)
    table = (int(both[best]), int(flags.sum()), int(everyone[best]), len(looked))
    return (names[int(found[best])], found[best], inside, tried) if fisher_log10(table) <= line else None


def _conditions(rows: Rows, numbers: Ints) -> tuple[U64, Ints]:
    """(hash, place in `numbers`) of everything that some rows hold, once a row."""
    hashes, places, first = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)], 0
    for batch in in_batches(rows.take(numbers, ("text", "meta", "time"))):
        for part in features(Batch(batch)):
            _, at = np.unique(part.hash ^ mix(part.row.astype(np.uint64)), return_index=True)
            at = at[part.hash[at] != 0]
            hashes.append(part.hash[at])
            places.append(part.row[at] + first)
        first += batch.num_rows
    return np.concatenate(hashes), np.concatenate(places)


def _holding(rows: Rows, numbers: Ints, hash_: np.uint64) -> Ints:
    """Which of some rows hold one condition."""
    found, first = [], 0
    for batch in in_batches(rows.take(numbers, ("text", "meta", "time"))):
        found += [numbers[first + part.row[part.hash == hash_]] for part in features(Batch(batch))]
        first += batch.num_rows
    return rising(np.concatenate(found)) if found else numbers[:0]


def _named(rows: Rows, numbers: Ints, hashes: U64) -> dict[int, Condition]:
    names: dict[int, Condition] = {}
    for batch in in_batches(rows.take(numbers, ("text", "meta", "time"))):
        for part in features(Batch(batch)):
            at = np.flatnonzero(np.isin(part.hash, hashes))
            found, where = np.unique(part.hash[at], return_index=True)
            for one, place in zip(found.tolist(), at[where].tolist(), strict=True):
                if one not in names:
                    names[one] = part.name(place)
        if len(names) == len(hashes):
            break
    return names
