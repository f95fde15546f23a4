"""The association engine: which condition of the input predicts a label?

Two passes. The first takes the labelled rows (a sample where there are very many) and what conditions occur in them; the
second counts those conditions in all rows. What could be significant by rows is then looked at by distinct sources, exactly
and within strata (`evidence`), and merged to the least that explains it (`refining`). Foreground before background after
DIFF (Abuzaid et al., VLDB Journal 2020), tests and counting by sources as in Tarone (1990) and Mehta, Patel and Gray (1985).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from molehunt.execution.spread import Spread
from molehunt.hunting.features import Batch, features
from molehunt.hunting.rows import Rows, Shard, in_batches
from molehunt.hunting.words import U64, Bools, Bytes, Ints, rising
from molehunt.records.base import Record
from molehunt.stats.association import poisson_log10

Count = Callable[[int, int], None]
"""Told (done, total)."""


class MiningSettings(Record):
    """Bounds of the work, and the level."""

    level: float = 0.05
    """False discoveries among all, and Bonferroni's line."""
    least_sources: int = 3
    """Labelled sources that a condition needs to be thought of."""
    sample: int = 40_000
    """Labelled rows, and as many others, in which conditions are looked for."""
    candidates: int = 400_000
    """Conditions that are counted in all rows."""
    kept: int = 3000
    """Conditions of each label that are looked at by sources."""
    jobs: int = 2
    seed: int = 0


@dataclass(frozen=True)
class Facts:
    """What is known of every row besides its words. N rows."""

    source: U64
    """[N] Which source it comes from: a session; or the row itself."""
    fold: U64
    """[N] Equal for prompts that are nearly the same."""
    stratum: Bytes
    """[N] Small numbers from 0."""
    labels: Mapping[str, Bools]
    """[N] each."""

    @property
    def rows(self) -> int:
        """N."""
        return len(self.source)

    @property
    def strata(self) -> int:
        """How many there are."""
        return int(self.stratum.max()) + 1 if self.rows else 1


@dataclass(frozen=True)
class Counted:
    """Conditions and how often they occur. F conditions, S strata."""

    hash: U64
    """[F], rising."""
    rows: Ints
    """[F, S] rows with it."""
    labelled: Mapping[str, Ints]
    """[F, S] labelled rows with it, for each label."""
    tested: int
    """Conditions, of all there are, that occur often enough to be found."""


_COUNTED_ROWS = 4096
_MOST_BITS = 10


def slice_bits(rows: int) -> int:
    """Conditions are counted, to know how many there are, in one of 2^bits parts of all hashes: in all of them where there are few."""
    return min(_MOST_BITS, max(0, math.ceil(math.log2(max(1, rows) / _COUNTED_ROWS))))


def estimated(seen: int, bits: int) -> int:
    """How many conditions there are at most, surely: what was seen in the slice, and three standard errors."""
    return seen if not bits else math.ceil(seen + 3 * math.sqrt(seen + 1)) << bits


def mine_rows(rows: Rows, facts: Facts, settings: MiningSettings, many: Spread, tell: Count) -> Counted:
    """Both passes."""
    candidates = _candidates(rows, facts, settings)
    return count_rows(rows, facts, candidates, settings, many, tell)


def _candidates(rows: Rows, facts: Facts, settings: MiningSettings) -> U64:
    """Conditions of labelled rows worth counting: from enough rows, and not plainly as common elsewhere."""
    rng = np.random.default_rng(settings.seed)
    background = np.flatnonzero(~_any_label(facts))
    background = np.sort(rng.choice(background, min(len(background), settings.sample), replace=False))
    common_hash, common = _row_counts(rows, background)
    found: list[tuple[U64, np.ndarray]] = []
    for flags in facts.labels.values():
        mine = np.flatnonzero(flags)
        if len(mine) < settings.least_sources:
            continue
        mine = np.sort(rng.choice(mine, min(len(mine), settings.sample), replace=False))
        hashes, count = _row_counts(rows, mine)
        enough = count >= settings.least_sources
        hashes, count = hashes[enough], count[enough]
        elsewhere = _looked_up(common_hash, common, hashes)
        expected = (elsewhere + 1) * len(mine) / (len(background) + 1)
        worth = poisson_log10(count, expected)
        is_raised = (elsewhere < 50) | (worth < -2)
        found.append((hashes[is_raised], worth[is_raised]))
    if not found:
        return np.zeros(0, np.uint64)
    room = max(1, settings.candidates // len(found))
    kept = [hashes[np.argsort(worth, kind="stable")[:room]] for hashes, worth in found]
    return rising(np.concatenate(kept))


def _any_label(facts: Facts) -> Bools:
    flags = np.zeros(facts.rows, bool)
    for one in facts.labels.values():
        flags |= one
    return flags


def _row_counts(rows: Rows, numbers: Ints) -> tuple[U64, Ints]:
    """(conditions, rows with each) of some rows."""
    table = rows.take(numbers, ("text", "meta", "time"))
    totals: list[tuple[U64, Ints]] = []
    for batch in in_batches(table):
        seen = Batch(batch)
        parts = [_distinct(part.hash, part.row) for part in features(seen)]
        totals.append(np.unique(np.concatenate(parts), return_counts=True) if parts else _NONE)
        if len(totals) >= 64:
            totals = [_merged(totals)]
    return _merged(totals)


_NONE: tuple[U64, Ints] = (np.zeros(0, np.uint64), np.zeros(0, np.int64))


def _merged(totals: list[tuple[U64, Ints]]) -> tuple[U64, Ints]:
    if not totals:
        return _NONE
    hashes, counts = (np.concatenate(part) for part in zip(*totals, strict=True))
    found, inverse = np.unique(hashes, return_inverse=True)
    return found, np.bincount(inverse, counts, len(found)).astype(np.int64)


def _distinct(hashes: U64, rows: Ints) -> U64:
    """The hashes, one that a row has several times only once; zeros, which stand for nothing, left out."""
    real = hashes != 0
    hashes, rows = hashes[real], rows[real]
    order = np.argsort(hashes, kind="stable")  # rows rise already
    hashes, rows = hashes[order], rows[order]
    new = np.ones(len(hashes), bool)
    new[1:] = (hashes[1:] != hashes[:-1]) | (rows[1:] != rows[:-1])
    return hashes[new]


def _looked_up(keys: U64, values: Ints, wanted: U64) -> Ints:
    """Values of wanted keys; 0 for those that are not there."""
    if not len(keys):
        return np.zeros(len(wanted), np.int64)
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[at] == wanted, values[at], 0)


class Finder:
    """Finds which of many hashes are among the candidates, and which lie in the slice where all are counted."""

    _BITS = 22

    def __init__(self, candidates: U64, bits: int = _MOST_BITS) -> None:
        self.candidates = candidates
        self._shift = np.uint64(64 - self._BITS)
        self._seen = np.zeros(1 << self._BITS, np.uint8)
        self._seen[min(1, bits) :: 1 << bits] = 2
        self._seen[(candidates >> self._shift).view(np.int64)] |= 1

    def find(self, hashes: U64) -> tuple[Ints, Ints, Ints]:
        """(places in `hashes`, numbers of the candidates there; places of what is in the slice)."""
        marks = self._seen[(hashes >> self._shift).view(np.int64)]
        some = np.flatnonzero(marks)
        marks = marks[some]
        maybe = some[(marks & 1) > 0]
        sliced = some[(marks & 2) > 0]
        if not len(maybe):
            return maybe, maybe, sliced
        wanted = hashes[maybe]
        at = np.minimum(np.searchsorted(self.candidates, wanted), len(self.candidates) - 1)
        real = self.candidates[at] == wanted
        return maybe[real], at[real], sliced


def count_rows(
    rows: Rows, facts: Facts, candidates: U64, settings: MiningSettings, many: Spread, tell: Count
) -> Counted:
    """How many rows of each stratum hold each candidate, all and labelled; and how many conditions there are at all."""
    strata, names = facts.strata, list(facts.labels)
    totals = np.zeros((1 + len(names), len(candidates) * strata), np.int64)
    slices: list[tuple[U64, Ints]] = []
    work = (rows, facts, candidates, settings.least_sources)
    for counts, part in many.over(_count_shard, work, rows.shards, tell):
        for i, one in enumerate(counts):
            totals[i] += one
        slices.append(part)
        slices = [_merged(slices)] if len(slices) > 16 else slices
    _, sizes = _merged(slices)
    enough = int((sizes >= settings.least_sources).sum())
    tested = max(estimated(enough, slice_bits(facts.rows)), len(candidates), 1) * max(1, len(names))
    shaped = totals.reshape(1 + len(names), len(candidates), strata)
    return Counted(candidates, shaped[0], dict(zip(names, shaped[1:], strict=True)), tested)


def _count_shard(work: tuple[Rows, Facts, U64, int], shard: Shard) -> tuple[list[Ints], tuple[U64, Ints]]:
    rows, facts, candidates, _ = work
    finder, strata, flags = Finder(candidates, slice_bits(facts.rows)), facts.strata, list(facts.labels.values())
    totals = [np.zeros(len(candidates) * strata, np.int64) for _ in range(1 + len(flags))]
    slices: list[tuple[U64, Ints]] = []
    for first, batch in rows.batches(shard, ("text", "meta", "time")):
        held, sliced = _pairs(Batch(batch), finder)
        at, number = held // len(candidates) if len(candidates) else held, held % max(1, len(candidates))
        cell = number * strata + facts.stratum[first + at]
        chosen = [np.ones(len(cell), bool), *(one[first + at] for one in flags)]
        for total, mine in zip(totals, chosen, strict=True):
            if mine.any():
                cells, count = np.unique(cell[mine], return_counts=True)
                total[cells] += count
        slices.append(np.unique(sliced, return_counts=True))
        slices = [_merged(slices)] if len(slices) > 64 else slices
    return totals, _merged(slices)


def _pairs(batch: Batch, finder: Finder) -> tuple[Ints, U64]:
    """(row * candidates + candidate, once for each; hashes of the slice in which conditions are counted, once a row)."""
    held, sliced = [], []
    for part in features(batch):
        place, number, at = finder.find(part.hash)
        held.append(part.row[place] * len(finder.candidates) + number)
        sliced.append(_distinct(part.hash[at], part.row[at]))
    if not held:
        return _NONE[1], _NONE[0]
    return rising(np.concatenate(held)), np.concatenate(sliced)


def screened(counted: Counted, facts: Facts, label: str, settings: MiningSettings) -> Ints:
    """Numbers of the conditions that might hold for a label, the most likely first: by rows, which flatters them."""
    size = np.bincount(facts.stratum, minlength=facts.strata).astype(np.float64)
    labelled = np.bincount(facts.stratum[facts.labels[label]], minlength=facts.strata)
    seen = counted.labelled[label].sum(1)
    enough = np.flatnonzero(seen >= settings.least_sources)
    expected = counted.rows[enough] @ (labelled / np.maximum(size, 1))
    log10_p = poisson_log10(seen[enough], expected)
    # by sources a rank may be lost, never so many that what is far from the line would cross it
    line = math.log10(settings.level / counted.tested) + math.log10(settings.kept)
    order = np.argsort(log10_p, kind="stable")[: settings.kept]
    kept: Ints = enough[order[log10_p[order] <= line]]
    return kept
