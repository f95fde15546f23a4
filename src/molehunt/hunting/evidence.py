"""The rows behind the conditions that might hold: who has them, counted by distinct sources."""

import numpy as np

from molehunt.execution.spread import Spread
from molehunt.hunting.features import Batch, features
from molehunt.hunting.mining import Count, Facts, Finder
from molehunt.hunting.rows import Rows, Shard, in_batches
from molehunt.hunting.words import U64, Bools, Ints, rising
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
        self._stratum_rows = [np.flatnonzero(facts.stratum == one) for one in range(facts.strata)]
        self._everyone = [distinct(facts, rows) for rows in self._stratum_rows]
        self._labelled: dict[str, list[int]] = {}
        self.seconds: dict[bytes, Second | None] = {}
        """Second conditions that were looked for, by the rows and which of them are labelled: several labels share them."""

    def labelled(self, label: str) -> list[int]:
        """Labelled sources of each stratum."""
        if label not in self._labelled:
            flags = self.facts.labels[label]
            self._labelled[label] = [distinct(self.facts, rows[flags[rows]]) for rows in self._stratum_rows]
        return self._labelled[label]

    def table(self, rows: Ints, label: str, left_out: Ints | None = None) -> tuple[list[Table], Counts]:
        """The two-by-two tables, a stratum each, by distinct sources, of a condition that holds in `rows`.

        A source counts once on either side; nearly equal prompts count as one.

        Args:
            left_out: rows that are as if they were not there.
        """
        if left_out is not None:
            rows = rows[~_within(rows, left_out)]
        tables, sums = [], np.zeros(4, np.int64)
        for stratum in range(self.facts.strata):
            table = self._one(stratum, rows, label, left_out)
            sums += table
            if table[2]:
                tables.append(table)
        both, labelled, with_it, everyone = map(int, sums)
        return tables, Counts(labelled_with=both, labelled=labelled, with_it=with_it, sources=everyone)

    def _one(self, stratum: int, rows: Ints, label: str, left_out: Ints | None) -> Table:
        flags = self.facts.labels[label]
        labelled, everyone = self.labelled(label)[stratum], self._everyone[stratum]
        if left_out is not None:
            gone = left_out[self.facts.stratum[left_out] == stratum]
            gone_labelled = distinct(self.facts, gone[flags[gone]])
            labelled = max(0, labelled - gone_labelled)
            everyone = max(labelled, everyone - gone_labelled - distinct(self.facts, gone[~flags[gone]]))
        mine = rows[self.facts.stratum[rows] == stratum]
        yes = min(distinct(self.facts, mine[flags[mine]]), labelled)
        no = min(distinct(self.facts, mine[~flags[mine]]), everyone - labelled)
        return yes, labelled, yes + no, everyone

    def log10_p(self, rows: Ints, label: str, left_out: Ints | None = None) -> tuple[float, Counts]:
        """The exact test's p, and the counts over all strata."""
        tables, counts = self.table(rows, label, left_out)
        if not tables:
            return 0.0, counts
        return (fisher_log10(tables[0]) if len(tables) == 1 else stratified_log10(tables)), counts

    def holds_given(self, rows: Ints, others: Ints, label: str, line: float) -> bool:
        """A condition's p is below a line, in log10, given another one: among rows that have the other, and among the rest."""
        flags = self.facts.labels[label]
        shared = _within(rows, others)

        def sources(which: Ints) -> tuple[int, int]:
            return distinct(self.facts, which[flags[which]]), distinct(self.facts, which[~flags[which]])

        (yes, no), (all_yes, all_no) = sources(rows[shared]), sources(others)
        inside = (min(yes, all_yes), all_yes, min(yes, all_yes) + min(no, all_no), all_yes + all_no)
        _, counts = self.table(rows, label, left_out=others)
        outside = (counts.labelled_with, counts.labelled, counts.with_it, counts.sources)
        tables = [one for one in (inside, outside) if one[2]]
        z, bound = raised_score(tables)
        return z >= _LEAST_Z and (bound <= line or stratified_log10(tables) <= line)


_LEAST_Z = 4.0
"""What lies nearer to what is expected cannot pass the lines that are drawn here."""


def _within(rows: Ints, others: Ints) -> Bools:
    """Which of some rows are among others, which are in order."""
    if not len(others):
        return np.zeros(len(rows), bool)
    return np.asarray(others[np.minimum(np.searchsorted(others, rows), len(others) - 1)] == rows)


def distinct(facts: Facts, rows: Ints) -> int:
    """Different sources that some rows come from; or different prompts, if those are fewer."""
    if len(rows) < 2:
        return len(rows)
    return min(len(rising(facts.source[rows])), len(rising(facts.fold[rows])))


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
