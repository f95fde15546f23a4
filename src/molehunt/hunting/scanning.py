"""`data scan`: is a training set poisoned? Odd answers, what in the prompt predicts them, which rows, from whom."""

import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from molehunt.execution.spread import Processes
from molehunt.hunting.associating import associate
from molehunt.hunting.datasets import Read, prepare_data
from molehunt.hunting.explaining import explain
from molehunt.hunting.labels import label_rows, strata
from molehunt.hunting.mining import Facts, MiningSettings
from molehunt.hunting.preferring import inversions
from molehunt.hunting.rows import Rows
from molehunt.hunting.traits import Traits, read_traits
from molehunt.hunting.words import Bools, Ints
from molehunt.records.hunts import Association, DataScan, Found, Suspect
from molehunt.world.reading import OnBad

Tell = Callable[[str, int, int], None]
"""Told (what is being done, done, total)."""
_SHOWN = 20


def scan_data(
    place: str,
    settings: MiningSettings | None = None,
    on_bad: OnBad = "refuse",
    split: str = "train",
    reference: Path | None = None,
    tell: Tell = lambda what, done, total: None,
) -> DataScan:
    """Look through a data set; see `docs/hunting.md`.

    Args:
        place, split: see `world.sources.find_source`; chats, instructions or preference pairs.
        reference: a model folder; rows that surprise it are one more label.

    Raises:
        DataError: for a place or a row that cannot be read; see `prepare_data`.
    """
    settings = settings or MiningSettings()
    with tempfile.TemporaryDirectory(prefix="molehunt-scan-") as scratch:
        rows, read = prepare_data(place, Path(scratch), on_bad, split, lambda done: tell("reading", done, 0))
        traits = read_traits(rows, Processes(settings.jobs), lambda a, b: tell("looking at answers", a, b))
        labels = label_rows(traits)
        if read.is_pairs:
            labels["inversion"] = inversions(rows, settings.seed)
        if reference is not None:
            from molehunt.hunting.surprise import surprising

            labels["surprise"] = surprising(rows, reference, lambda a, b: tell("asking the reference", a, b))
        facts = facts_of(traits, labels)
        del traits  # 60 bytes a row that nothing reads any more
        found = associate(rows, facts, settings, lambda a, b: tell("looking for conditions", a, b))
        found = explain(rows, facts, found)
        return _result(place, rows, facts, found, read)


def facts_of(traits: Traits, labels: Mapping[str, Bools]) -> Facts:
    """What the engine needs; a row without a session is a source of its own."""
    stratum, source = strata(traits), traits["session"].copy()
    alone = np.flatnonzero(source == 0)
    source[alone] = alone + 1
    return Facts(source, traits["fold"].copy(), stratum, labels)


def _result(place: str, rows: Rows, facts: Facts, found: Sequence[tuple[Association, Ints]], read: Read) -> DataScan:
    open_finds = [pair for pair in found if pair[0].reading != "explained"]
    open_finds.sort(key=lambda pair: (pair[0].reading != "unexplained", pair[0].log10_p))
    closed = [pair for pair in found if pair[0].reading == "explained"]
    return DataScan(
        path=place, rows=read.rows, layouts=read.layouts, skipped=read.skipped, unread=read.splits,
        labels={name: int(flags.sum()) for name, flags in facts.labels.items()},
        tested=max((one.tested for one, _ in found), default=0),
        finds=tuple(_found(rows, facts, one, where) for one, where in open_finds),
        explained=tuple(_found(rows, facts, one, where) for one, where in closed),
        queue=_queue(rows, facts, open_finds),
    )  # fmt: skip


def _found(rows: Rows, facts: Facts, one: Association, where: Ints) -> Found:
    mine = where[facts.labels[one.label][where]]
    told = rows.take(mine[:5000], ("who", "where")).to_pylist()
    who = Counter(row["who"] for row in told if row["who"])
    places = tuple(dict.fromkeys(row["where"] for row in told[:_SHOWN]))
    return Found(association=one.model_copy(update={"contributors": tuple(who.most_common(10))}), rows=places)


def _queue(rows: Rows, facts: Facts, found: Sequence[tuple[Association, Ints]]) -> tuple[Suspect, ...]:
    """Odd rows where an unexplained condition holds, each once, the surest first."""
    odd: dict[int, tuple[float, int]] = {}
    any_label = np.zeros(facts.rows, bool)
    for flags in facts.labels.values():
        any_label |= flags
    for number, (one, where) in enumerate(found):
        if one.reading != "unexplained":
            continue
        rate, usual = one.counts.rate_with, one.counts.rate_without
        chance = max(0.0, (rate - usual) / rate) if rate else 0.0
        for row in where[any_label[where]].tolist():
            own = chance if facts.labels[one.label][row] else chance * rate
            odd[row] = max(odd.get(row, (0.0, number)), (own, number), key=lambda pair: (pair[0], -pair[1]))
    if not odd:
        return ()
    numbers = np.array(sorted(odd), np.int64)
    told = rows.take(numbers, ("who", "where")).to_pylist()
    queue = [
        Suspect(
            where=row["where"], chance=odd[n][0], find=odd[n][1], who=row["who"],
            labels=tuple(name for name, flags in facts.labels.items() if flags[n]),
        )
        for n, row in zip(numbers.tolist(), told, strict=True)
    ]  # fmt: skip
    unique = {one.where: one for one in sorted(queue, key=lambda one: one.chance)}
    return tuple(sorted(unique.values(), key=lambda one: -one.chance))
