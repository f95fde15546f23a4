"""The rows behind the conditions that might hold: who has them, counted by distinct sources."""

from collections.abc import Sequence

import numpy as np

from molehunt.execution.spread import Spread
from molehunt.hunting.features import Batch, features
from molehunt.hunting.mining import Count, Facts, Finder
from molehunt.hunting.rows import Rows, Shard, in_batches
from molehunt.hunting.words import U64, Ints, grouped, rising
from molehunt.records.hunts import Condition, Counts
from molehunt.stats.association import Table, fisher_log10, raised_score, stratified_log10

_PAIRS = 30_000_000
"""Rows of all conditions together that are held."""


Second = tuple[Condition, np.uint64, Ints, int]
"""(condition, its hash, rows with it, conditions tried) of the best further condition within some rows."""


class Evidence:
    """Which rows hold which condition."""

    def __init__(self, facts: Facts, rows: dict[int, Ints], names: dict[int, Condition]) -> None:
        self.facts, self.rows, self.names = facts, rows, names
        """`rows` and `names` by number of the condition; rows in order."""
        self._kinds = [one for one in map(_Kinds, (facts.source, facts.fold)) if not one.all_differ]
        self._stratum_rows = [np.flatnonzero(facts.stratum == one) for one in range(facts.strata)]
        self._everyone = [self.distinct(rows) for rows in self._stratum_rows]
        self._labelled: dict[str, list[int]] = {}
        self.seconds: dict[bytes, Second | None] = {}
        """Second conditions that were looked for, by the rows and which of them are labelled: several labels share them."""

    def distinct(self, rows: Ints) -> int:
        """Different sources that some rows come from; or different prompts, if those are fewer."""
        return min((one.count(rows) for one in self._kinds), default=len(rows))

    def sources(self, rows: Ints, label: str) -> tuple[int, int]:
        """(labelled, not labelled) sources of some rows."""
        flags = self.facts.labels[label][rows]
        return self.distinct(rows[flags]), self.distinct(rows[~flags])

    def whole(self, label: str) -> list[tuple[int, int]]:
        """(labelled sources, sources) of each stratum."""
        if label not in self._labelled:
            flags = self.facts.labels[label]
            self._labelled[label] = [self.distinct(rows[flags[rows]]) for rows in self._stratum_rows]
        return list(zip(self._labelled[label], self._everyone, strict=True))

    def table(
        self, rows: Ints, label: str, whole: Sequence[tuple[int, int]] | None = None
    ) -> tuple[list[Table], Counts]:
        """The two-by-two tables, a stratum each, by distinct sources, of a condition that holds in `rows`.

        A source counts once on either side; nearly equal prompts count as one.

        Args:
            whole: (labelled sources, sources) of each stratum, if these are not all.
        """
        tables, sums = [], np.zeros(4, np.int64)
        stratum = self.facts.stratum[rows]
        for number, (labelled, everyone) in enumerate(whole or self.whole(label)):
            yes, no = self.sources(rows[stratum == number], label)
            yes, no = min(yes, labelled), min(no, everyone - labelled)
            sums += (table := (yes, labelled, yes + no, everyone))
            if table[2]:
                tables.append(table)
        both, all_labelled, with_it, all_sources = map(int, sums)
        return tables, Counts(labelled_with=both, labelled=all_labelled, with_it=with_it, sources=all_sources)

    def log10_p(self, rows: Ints, label: str) -> tuple[float, Counts]:
        """The exact test's p, and the counts over all strata."""
        tables, counts = self.table(rows, label)
        if not tables:
            return 0.0, counts
        return (fisher_log10(tables[0]) if len(tables) == 1 else stratified_log10(tables)), counts


class Given:
    """A condition that was found; asks whether another one says more."""

    def __init__(self, evidence: Evidence, rows: Ints, label: str) -> None:
        self._evidence, self._label = evidence, label
        self._has = np.zeros(evidence.facts.rows, bool)
        self._has[rows] = True
        self._inside = evidence.sources(rows, label)
        self._rest, stratum = [], evidence.facts.stratum[rows]
        for number, (labelled, everyone) in enumerate(evidence.whole(label)):
            gone_labelled, gone = evidence.sources(rows[stratum == number], label)
            left = max(0, labelled - gone_labelled)
            self._rest.append((left, max(left, everyone - gone_labelled - gone)))

    def leaves(self, rows: Ints, line: float) -> bool:
        """A condition's p is below a line, in log10: among rows that have this one, and among the rest."""
        shared = self._has[rows]
        (yes, no), (all_yes, all_no) = self._evidence.sources(rows[shared], self._label), self._inside
        inside = (min(yes, all_yes), all_yes, min(yes, all_yes) + min(no, all_no), all_yes + all_no)
        _, counts = self._evidence.table(rows[~shared], self._label, self._rest)
        outside = (counts.labelled_with, counts.labelled, counts.with_it, counts.sources)
        tables = [one for one in (inside, outside) if one[2]]
        z, bound = raised_score(tables)
        return z >= _LEAST_Z and (bound <= line or stratified_log10(tables) <= line)


_LEAST_Z = 4.0
"""What lies nearer to what is expected cannot pass the lines that are drawn here."""


class _Kinds:
    """How many different keys some rows have."""

    def __init__(self, keys: U64) -> None:
        self._number, sizes = grouped(keys)
        self._kinds = len(sizes)
        self.all_differ = self._kinds == len(keys)

    def count(self, rows: Ints) -> int:
        mine = self._number[rows]
        if len(mine) * _MANY < self._kinds:
            return len(rising(mine))
        seen = np.zeros(self._kinds, bool)  # for many rows, cheaper than to sort them
        seen[mine] = True
        return int(np.count_nonzero(seen))


_MANY = 16


def gather(rows: Rows, facts: Facts, hashes: U64, sizes: Ints, many: Spread, tell: Count) -> Evidence:
    """The rows of each condition, in one pass; and what each is called.

    Args:
        hashes: of conditions, rising; the number of a condition is its place here.
        sizes: rows of each; where all together are too many to hold, the commonest are left out.
    """
    order = np.argsort(sizes, kind="stable")
    kept = np.sort(order[np.cumsum(sizes[order]) <= _PAIRS])
    ends = np.cumsum(sizes[kept])
    begins = ends - sizes[kept]
    held, filled = np.empty(int(sizes[kept].sum()), np.int64), begins.copy()
    for numbers, places in many.over(_gather_shard, (rows, hashes[kept]), rows.shards, tell):
        count = np.bincount(numbers, minlength=len(kept))
        held[np.arange(len(numbers)) + np.repeat(filled - (np.cumsum(count) - count), count)] = places
        filled += count
    found = {}
    for one, begin, end in zip(kept.tolist(), begins.tolist(), filled.tolist(), strict=True):
        if end > begin:
            held[begin:end].sort()  # shards come as they are done
            found[one] = held[begin:end]
    return Evidence(facts, found, _names(rows, hashes, found))


def _gather_shard(work: tuple[Rows, U64], shard: Shard) -> tuple[Ints, Ints]:
    """(condition, row), once for each row that has it, conditions in order."""
    rows, hashes = work
    finder, numbers, places = Finder(hashes), [_NOTHING], [_NOTHING]
    for first, batch in rows.batches(shard, ("text", "meta", "time")):
        pairs = [_NOTHING]
        for part in features(Batch(batch)):
            place, number, _ = finder.find(part.hash)
            pairs.append(number * len(batch) + part.row[place])
        pairs_all = rising(np.concatenate(pairs))
        numbers.append(pairs_all // len(batch))
        places.append(first + pairs_all % len(batch))
    number = np.concatenate(numbers)
    order = np.argsort(number, kind="stable")
    return number[order], np.concatenate(places)[order]


_NOTHING: Ints = np.zeros(0, np.int64)


def _names(rows: Rows, hashes: U64, held: dict[int, Ints]) -> dict[int, Condition]:
    """What each condition is, read off the first row that has it."""
    wanted = set(held)
    names: dict[int, Condition] = {}
    firsts = np.unique([places[0] for places in held.values()]).astype(np.int64) if held else np.zeros(0, np.int64)
    finder = Finder(hashes)
    for batch in in_batches(rows.take(firsts, ("text", "meta", "time"))):
        for part in features(Batch(batch)):
            place, number, _ = finder.find(part.hash)
            numbers, at = np.unique(number, return_index=True)
            for one, where in zip(numbers.tolist(), place[at].tolist(), strict=True):
                if one in wanted and one not in names:
                    names[one] = part.name(where)
    return names
