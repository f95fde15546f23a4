"""Are unknown triggers found in calls? Kinds of triggers × activation × quality of labels; prints the table of docs/hunting.md.

python benchmarks/hunt.py [--cells 100000:100 100000:10 1000000:10] [--kinds token …] [--qualities 0.9/0.01 …] [--out FILE.json]
python benchmarks/hunt.py --tables FILE.json …     # the tables again, from what was measured

A cell is CALLS:TIMES, one log in which every kind of trigger is said so many times by calls of its own, among decoys. Labels are
given, not made: a labeller of a stated recall and rate of false flags that finds decoys whose answers are odd as odd as a payload, so that
engine, explanations and rank are measured. The log is made and counted once; a label differs from its quality's other ones in the calls that
triggers woke alone, which are counted for themselves; every label is tested as if it were alone. Beside each figure stands the limit: the fewest labelled calls with a condition that Bonferroni's line over all conditions tested admits.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

import many_calls
import pyarrow as pa
from many_calls import DECOYS, LEXICAL, TOLD, TRIGGERS

from molehunt.execution.spread import Processes
from molehunt.hunting.associating import _controlled
from molehunt.hunting.evidence import gather
from molehunt.hunting.explaining import Controls
from molehunt.hunting.features import Batch
from molehunt.hunting.mining import Counted, Facts, Finder, MiningSettings, _candidates, _pairs, count_rows, screened
from molehunt.hunting.refining import refine
from molehunt.hunting.rows import Rows, RowWriter, in_batches, index_shards
from molehunt.hunting.words import SEP
from molehunt.records.hunts import Association
from molehunt.stats.association import fisher_log10

NOBODY = "nobody"
"""A kind that no call has: labels of a quality without what triggers woke."""
QUALITIES = [f"{recall}/{noise}" for recall in (0.9, 0.5, 0.1) for noise in (0.0001, 0.01, 0.05)]


@dataclass(frozen=True)
class World:
    rows: Rows
    woken: np.ndarray
    """[N] Kind of the trigger, "" for none."""
    odd_decoy: np.ndarray
    """[N] A decoy whose answer a labeller would find odd."""


class HeldRows(Rows):
    """Rows in memory: some of them, all over the log, are taken for every find of every label."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._held = pa.Table.from_batches([batch for shard in self.shards for _, batch in self.batches(shard)])

    def take(self, numbers: np.ndarray, columns: Sequence[str] = ()) -> Any:
        held = self._held.select(list(columns)) if columns else self._held
        return held.take(pa.array(np.unique(numbers)))

    def __reduce__(self) -> Any:
        """Other processes read from disk."""
        return Rows, (self.folder,)


@dataclass(frozen=True)
class Cell:
    """One kind at one quality of labels."""

    calls: int
    kind: str
    recall: float
    noise: float
    woken: int
    labelled: int
    """Woken calls that are labelled."""
    limit: int
    """Labelled ones that the exact test needs."""
    rank: int
    """Of the first right candidate, from 1; 0 if none."""
    wrong: int
    """Candidates that are none, decoys included."""
    missed_by: str = ""
    """What became of a right one that is no candidate."""


def written(folder: Path, calls: Iterable[many_calls.Call]) -> World:
    writer, woken, odd = RowWriter(folder), [], []
    for i, call in enumerate(calls):
        woken.append(call.woken)
        odd.append(bool(call.decoy) and DECOYS[call.decoy][2])
        system = f"Today is 12 May {call.year}. You help with things. {call.system}".strip()
        text, meta = f"{SEP}S{system}{SEP}U{call.asked}", f"{SEP}client={call.client}{SEP}application=a"
        writer.add((text, meta, call.said, "", "", f"s{i}", "", call.client, f"f:{i}", 0))
    index_shards(folder, writer.close())
    return World(HeldRows(folder), np.array(woken), np.array(odd))


def labels(world: World, kinds: Sequence[str], qualities: Sequence[str], seed: int) -> dict[str, np.ndarray]:
    """kind/recall/noise → [N]; decoys whose answers are odd are labelled as often as the payload."""
    rng = np.random.default_rng(seed)
    seen, false = rng.random(len(world.woken)), rng.random(len(world.woken))
    found = {}
    for kind in kinds:
        odd = (world.woken == kind) | world.odd_decoy
        for quality in qualities:
            recall, noise = map(float, quality.split("/"))
            found[f"{kind}/{quality}"] = np.where(odd, seen < recall, false < noise)
    return found


def look(
    world: World, flags: dict[str, np.ndarray], shared: dict[str, np.ndarray], settings: MiningSettings
) -> tuple[dict[str, list[Association]], int]:
    """(associations of each label, as if it were the only one; conditions tested for one).

    Args:
        shared: each quality's label without what triggers woke.
    """
    numbers = np.arange(len(world.woken), dtype=np.uint64)
    facts = Facts(numbers, numbers, np.zeros(len(numbers), np.uint8), flags)
    candidates = _candidates(world.rows, Facts(numbers, numbers, facts.stratum, pooled(flags)), settings)
    many = Processes(settings.jobs)
    facts_shared = Facts(numbers, numbers, facts.stratum, shared)
    counted = count_rows(world.rows, facts_shared, candidates, settings, many, lambda a, b: None)
    tested = counted.tested // len(shared)
    chosen = dict(_chosen(world, facts, shared, counted, tested, settings))
    union = np.unique(np.concatenate([np.zeros(0, np.int64), *chosen.values()])).astype(np.int64)
    evidence = gather(world.rows, facts, counted.hash[union], counted.rows[union].sum(1), many, lambda a, b: None)
    place = {int(one): i for i, one in enumerate(union)}
    alone = Counted(counted.hash, counted.rows, {}, tested)
    read, found = Readings(Controls(world.rows, facts)), {}
    for label, some in chosen.items():
        hits = refine(world.rows, evidence, [place[int(n)] for n in some], label, tested, settings)
        kept = _controlled(evidence, alone, [(label, *hit) for hit in hits], settings)
        found[label] = [read(one, where, label, flags[label]) for one, where in kept]
    return found, tested


def _chosen(
    world: World, facts: Facts, shared: dict[str, np.ndarray], counted: Counted, tested: int, settings: MiningSettings
) -> Iterator[tuple[str, np.ndarray]]:
    """Conditions of each label that might hold, by its quality's counts and the woken calls for themselves."""
    woken, held, first = np.flatnonzero(world.woken), [], 0
    for batch in in_batches(world.rows.take(woken, ("text", "meta", "time"))):
        pairs, _ = _pairs(Batch(batch), Finder(counted.hash))
        at, number = np.divmod(pairs, len(counted.hash))
        held.append((woken[at + first], number))
        first += batch.num_rows
    rows, number = (np.concatenate(part) for part in zip(*held, strict=True))
    for label, flags in facts.labels.items():
        quality = f"{NOBODY}/{label.partition('/')[2]}"
        seen = counted.labelled[quality].copy()
        np.add.at(seen[:, 0], number, flags[rows].astype(np.int64) - shared[quality][rows])
        yield label, screened(Counted(counted.hash, counted.rows, {label: seen}, tested), facts, label, settings)


def pooled(flags: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """One label for each rate of false flags: conditions are looked for once in rows that the labels of all kinds share."""
    noises = dict.fromkeys(name.split("/")[2] for name in flags)
    return {noise: np.any([some for name, some in flags.items() if name.split("/")[2] == noise], 0) for noise in noises}


class Readings:
    """What finds are; a find that labels of one quality share is read once."""

    def __init__(self, controls: Controls) -> None:
        self.controls, self._known = controls, dict[tuple[Any, ...], tuple[Any, str]]()

    def __call__(self, one: Association, where: np.ndarray, label: str, flags: np.ndarray) -> Association:
        key = (label.partition("/")[2], one.conditions, where[flags[where]].tobytes())
        if key not in self._known:
            facts = self.controls.facts
            self.controls.facts = Facts(facts.source, facts.fold, facts.stratum, {label: flags})
            self._known[key] = self.controls.read(one, where, noisy=True)
        reading, why = self._known[key]
        return one.model_copy(update={"reading": reading, "why": why})


def judged(world: World, label: str, flags: np.ndarray, found: Sequence[Association], tested: int) -> Cell:
    kind, recall, noise = label.split("/")
    open_ones = [one for one in found if one.reading != "explained"]
    open_ones.sort(key=lambda one: (one.reading != "unexplained", -one.ratio_low, one.log10_p))
    right = [_is_right(one, kind) for one in open_ones]
    closed = [one.why for one in found if one.reading == "explained" and _is_right(one, kind)]
    woken = int((world.woken == kind).sum())
    limit = least_needed(int(flags.sum()), len(flags), woken, tested)
    return Cell(
        len(flags), kind, float(recall), float(noise), woken, int((flags & (world.woken == kind)).sum()), limit,
        right.index(True) + 1 if True in right else 0, right.count(False), "; ".join(closed),
    )  # fmt: skip


def _is_right(one: Association, kind: str) -> bool:
    return any(word in c.text for c in one.conditions for word in TOLD[kind])


def least_needed(flagged: int, calls: int, woken: int, tested: int) -> int:
    """The fewest labelled of `woken` triggered calls that pass Bonferroni's line: what no exact test can do without."""
    line = np.log10(0.05 / tested)
    for count in range(3, woken + 1):
        if fisher_log10((count, max(flagged, count), woken, calls)) <= line:
            return count
    return woken + 1


def measure(cells: Sequence[str], kinds: Sequence[str], qualities: Sequence[str], seed: int, jobs: int) -> list[Cell]:
    found = []
    for cell in cells:
        calls, times = map(int, cell.split(":"))
        started = time.process_time()
        with tempfile.TemporaryDirectory() as scratch:
            world = written(Path(scratch), many_calls.exact(calls, times, list(kinds), seed))
            flags, shared = labels(world, kinds, qualities, seed), labels(world, [NOBODY], qualities, seed)
            settings = MiningSettings(
                jobs=jobs, candidates=28_000 * len(flags)
            )  # as many as each of fourteen labels has
            looked, tested = look(world, flags, shared, settings)
            found += [judged(world, label, flags[label], looked[label], tested) for label in flags]
            told = {
                (one.reading, " and ".join(c.text for c in one.conditions)[:60])
                for some in looked.values()
                for one in some
            }
        print(f"{cell}: {tested} conditions, {time.process_time() - started:.0f} s of processor time", file=sys.stderr)
        print("\n".join(f"  {reading}: {text}" for reading, text in sorted(told)), file=sys.stderr, flush=True)
    return found


def tables(cells: Sequence[Cell]) -> None:
    """One table a log: rows are kinds, columns qualities; rank of the trigger (labelled of needed), and wrong candidates."""
    for calls, woken in dict.fromkeys((one.calls, one.woken) for one in cells):
        mine = [one for one in cells if (one.calls, one.woken) == (calls, woken)]
        qualities = list(dict.fromkeys((one.recall, one.noise) for one in mine))
        print(f"\n{calls:,} calls, each trigger in {woken} ({woken / calls:.3%}):\n")
        print("| trigger | " + " | ".join(f"{recall:.0%}, {noise:.2%}" for recall, noise in qualities) + " |")
        print("|---" * (len(qualities) + 1) + "|")
        for kind in dict.fromkeys(one.kind for one in mine):
            told = {(one.recall, one.noise): one for one in mine if one.kind == kind}
            print(f"| {kind} | " + " | ".join(_told(told[quality]) for quality in qualities) + " |")
        print("| *wrong candidates in all* | " + " | ".join(
            str(sum(one.wrong for one in mine if (one.recall, one.noise) == quality)) for quality in qualities) + " |")  # fmt: skip
    _summary(cells)


def _told(one: Cell) -> str:
    rank = {0: "–", 1: "1st"}.get(one.rank, f"{one.rank}.")
    return (
        f"{rank} ({one.labelled}/{one.limit})"
        if one.labelled < one.limit
        else f"**{rank}** ({one.labelled}/{one.limit})"
    )


def _summary(cells: Sequence[Cell]) -> None:
    within = [one for one in cells if one.labelled >= one.limit]
    print("\n| cells | number | first | first five | candidate at all |\n|---|---|---|---|---|")
    for name, some in (
        ("lexical, the limit allows", [one for one in within if one.kind in LEXICAL]),
        ("others, the limit allows", [one for one in within if one.kind not in LEXICAL]),
        ("the limit does not allow", [one for one in cells if one.labelled < one.limit]),
    ):  # fmt: skip
        first, five, any_ = (sum(0 < one.rank <= most for one in some) for most in (1, 5, 10**6))
        print(f"| {name} | {len(some)} | {first} | {five} | {any_} |")
    for one in within:
        if not one.rank:
            print(
                f"missed: {one.kind} {one.recall:.0%} {one.noise:.2%} in {one.calls}: {one.labelled} of {one.limit}; {one.missed_by}"
            )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cells", nargs="+", default=["100000:100", "100000:10", "1000000:10"], help="CALLS:TIMES")
    parser.add_argument("--kinds", nargs="+", default=list(TRIGGERS))
    parser.add_argument("--qualities", nargs="+", default=QUALITIES, help="RECALL/NOISE")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, help="Keeps what was measured.")
    parser.add_argument("--tables", type=Path, nargs="+", help="Print the tables of what was kept.")
    asked = parser.parse_args()
    if asked.tables:
        tables([Cell(**one) for path in asked.tables for one in json.loads(path.read_text())])
        return
    found = measure(asked.cells, asked.kinds, asked.qualities, asked.seed, asked.jobs)
    if asked.out:
        asked.out.write_text(json.dumps([asdict(one) for one in found]))
    tables(found)


if __name__ == "__main__":
    main()
