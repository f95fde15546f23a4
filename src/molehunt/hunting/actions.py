"""Labels of a log that answers alone do not show: new tools and hosts, and reasoning that names a condition."""

from collections.abc import Callable

import numpy as np

from molehunt.hunting import words as w
from molehunt.hunting.rows import Rows
from molehunt.hunting.traits import Traits
from molehunt.hunting.words import U64, Bools, Ints

_NEW = 0.002
"""Share of a stratum's calls up to which a tool or host is new there."""
_FEW = 10
_TRACES = 20_000
_TRACE = 20_000
"""Reasoning of so many calls is read, of each so many characters."""


def new_actions(rows: Rows, traits: Traits) -> Bools:
    """[N] Calls of a tool, or with a host, that hardly any other call of the same application has."""
    found: list[tuple[U64, Ints]] = []
    for shard in rows.shards:
        for first, batch in rows.batches(shard, ("did",)):
            data, starts, ends, at = w.items(batch.column("did"))
            acts = data[starts] if len(starts) else np.zeros(0, np.uint8)
            mine = np.flatnonzero((acts == ord("t")) | (acts == ord("h")))
            hashes = w.hash_spans(data, starts[mine], ends[mine])
            numbers = at[mine] + first
            found.append((w.mix(hashes ^ traits["stratum"][numbers]), numbers))
    flags = np.zeros(len(traits), bool)
    hashes, numbers = (np.concatenate(part) for part in zip(*found, strict=True))
    if len(hashes):
        _, inverse, count = np.unique(hashes, return_inverse=True, return_counts=True)
        _, stratum, size = np.unique(traits["stratum"], return_inverse=True, return_counts=True)
        room = np.maximum(_FEW, _NEW * size[stratum[numbers]])
        flags[numbers[count[inverse] <= room]] = True
    return flags


def named_conditions(rows: Rows, traits: Traits, tell: Callable[[int, int], None]) -> Bools:
    """[N] Calls whose reasoning ties its conduct to a sign, or speaks of hiding; read by the monitor of `evals`."""
    from molehunt.evals.monitor import read_trace

    flags = np.zeros(len(traits), bool)
    worth = np.flatnonzero(traits["reasons"])[:_TRACES]
    if not len(worth):
        return flags
    table = rows.take(worth, ("text", "aside"))
    for number, row in zip(worth.tolist(), table.to_pylist(), strict=True):
        flags[number] = read_trace(row["aside"][:_TRACE], row["text"]).flagged
    tell(len(worth), len(worth))
    return flags
