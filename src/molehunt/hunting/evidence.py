"""The rows behind the conditions that might hold: who has them, counted by distinct sources."""

from dataclasses import dataclass

import numpy as np

from molehunt.hunting.features import Batch, features
from molehunt.hunting.mining import Count, Facts, Finder, MiningSettings
from molehunt.hunting.parallel import over_shards
from molehunt.hunting.rows import Rows, Shard, in_batches
from molehunt.hunting.words import U64, Bools, Ints
from molehunt.records.hunts import Condition, Counts
from molehunt.stats.association import Table, fisher_log10, stratified_log10

_PAIRS = 30_000_000
"""Rows of all conditions together that are held."""


@dataclass(frozen=True)
class Evidence:
    """Which rows hold which condition."""

    facts: Facts
    rows: dict[int, Ints]
    """By number of the condition, rows in order."""
    names: dict[int, Condition]

    def table(self, rows: Ints, label: str, left_out: Bools | None = None) -> tuple[list[Table], Counts]:
        """The two-by-two tables, a stratum each, by distinct sources, of a condition that holds in `rows`.

        A source counts once on either side; nearly equal prompts count as one.

        Args:
            left_out: [N] rows that are as if they were not there.
        """
        flags = self.facts.labels[label]
        if left_out is not None:
            rows = rows[~left_out[rows]]
        totals = self._totals(label, left_out)
        tables, with_it, both = [], 0, 0
        for stratum in range(self.facts.strata):
            mine = rows[self.facts.stratum[rows] == stratum]
            labelled, everyone = totals[stratum]
            yes = min(distinct(self.facts, mine[flags[mine]]), labelled)
            no = min(distinct(self.facts, mine[~flags[mine]]), everyone - labelled)
            with_it, both = with_it + yes + no, both + yes
            if everyone and yes + no:
                tables.append((yes, labelled, yes + no, everyone))
        labelled, everyone = (int(sum(part)) for part in zip(*totals, strict=True))
        return tables, Counts(labelled_with=both, labelled=labelled, with_it=with_it, sources=everyone)

    def _totals(self, label: str, left_out: Bools | None) -> list[tuple[int, int]]:
        """(labelled, all) distinct sources of each stratum."""
        flags, found = self.facts.labels[label], []
        for stratum in range(self.facts.strata):
            here = self.facts.stratum == stratum
            if left_out is not None:
                here &= ~left_out
            labelled = distinct(self.facts, np.flatnonzero(here & flags))
            found.append((labelled, labelled + distinct(self.facts, np.flatnonzero(here & ~flags))))
        return found

    def log10_p(self, rows: Ints, label: str, left_out: Bools | None = None) -> tuple[float, Counts]:
        """The exact test's p, and the counts over all strata."""
        tables, counts = self.table(rows, label, left_out)
        if not tables:
            return 0.0, counts
        return (fisher_log10(tables[0]) if len(tables) == 1 else stratified_log10(tables)), counts


def distinct(facts: Facts, rows: Ints) -> int:
    """Different sources that some rows come from; or different prompts, if those are fewer."""
    if len(rows) < 2:
        return len(rows)
    return min(len(np.unique(facts.source[rows])), len(np.unique(facts.fold[rows])))


def gather(
    rows: Rows, facts: Facts, hashes: U64, sizes: Ints, settings: MiningSettings, tell: Count
) -> Evidence:
    """The rows of each condition, in one pass; and what each is called.

    Args:
        hashes: of conditions, rising; the number of a condition is its place here.
        sizes: rows of each; where all together are too many to hold, the commonest are left out.
    """
    order = np.argsort(sizes, kind="stable")
    kept = np.sort(order[np.cumsum(sizes[order]) <= _PAIRS])
    found: dict[int, list[Ints]] = {int(one): [] for one in kept}
    for numbers, places in over_shards(_gather_shard, (rows, hashes[kept]), rows.shards, settings.jobs, tell):
        order = np.lexsort((places, numbers))
        numbers, places = numbers[order], places[order]
        ends = np.searchsorted(numbers, np.arange(len(kept) + 1))
        for i, one in enumerate(kept.tolist()):
            if ends[i + 1] > ends[i]:
                found[one].append(places[ends[i] : ends[i + 1]])
    held = {one: np.sort(np.concatenate(parts)) for one, parts in found.items() if parts}
    return Evidence(facts, held, _names(rows, hashes, held))


def _gather_shard(work: tuple[Rows, U64], shard: Shard) -> tuple[Ints, Ints]:
    """(condition, row), once for each row that has it."""
    rows, hashes = work
    finder, held = Finder(hashes), []
    for first, batch in rows.batches(shard, ("text", "meta", "time")):
        pairs = [np.zeros(0, np.int64)]
        for part in features(Batch(batch)):
            place, number, _ = finder.find(part.hash)
            pairs.append((first + part.row[place]) * len(hashes) + number)
        held.append(np.unique(np.concatenate(pairs)))
    pairs_all = np.concatenate(held) if held else np.zeros(0, np.int64)
    return pairs_all % max(1, len(hashes)), pairs_all // max(1, len(hashes))


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
