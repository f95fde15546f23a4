"""All of a log searched for one trigger: which sessions, clients and actions it touched, from when to when."""

from collections import Counter, defaultdict
from datetime import UTC, datetime
from typing import Any

import numpy as np

from molehunt.hunting.mining import Facts
from molehunt.hunting.rows import Rows
from molehunt.hunting.words import SEP, Bools, Ints
from molehunt.records.hunts import Exhibit, Sweep, Touched

_READ = 50_000
"""Calls with the trigger that are told one by one; all are counted."""
_SESSIONS, _EXHIBITS = 200, 6
_LONGEST = 4000


def sweep(rows: Rows, facts: Facts, where: Ints, odd: Bools) -> Sweep:
    """What the trigger touched.

    Args:
        where: every call of the log in which it occurs.
        odd: [N] calls that some labeller finds odd.
    """
    read = where[:_READ]
    columns = ("meta", "did", "session", "who", "where", "time")
    told = rows.take(read, columns).to_pylist()
    sessions: dict[str, list[tuple[dict[str, Any], bool]]] = defaultdict(list)
    for row, is_odd in zip(told, odd[np.unique(read)].tolist(), strict=True):
        sessions[row["session"] or row["where"]].append((row, is_odd))
    touched = sorted(
        (_touched(name, calls) for name, calls in sessions.items()), key=lambda one: (-one.odd, one.session)
    )
    acts = Counter(act for row in told for act in _items(row["did"]))
    called = Counter(_called(row["meta"]) for row in told)
    models = Counter[str]()
    for (name, digest), count in called.items():
        models[digest or name] += count
    times = [row["time"] for row in told if row["time"]]
    return Sweep(
        calls=len(where), odd=int(odd[where].sum()), sessions=len(np.unique(facts.source[where])),
        clients=tuple(Counter(row["who"] for row in told if row["who"]).most_common(50)),
        models=tuple((name, count) for name, count in models.most_common(20) if name),
        called=tuple(pair for pair, _ in called.most_common(50) if any(pair)), actions=tuple(acts.most_common(50)), first=moment(min(times, default=0)), last=moment(max(times, default=0)),
        touched=tuple(touched[:_SESSIONS]),
    )  # fmt: skip


def _touched(session: str, calls: list[tuple[dict[str, Any], bool]]) -> Touched:
    times = [row["time"] for row, _ in calls if row["time"]]
    acts = dict.fromkeys(act for row, _ in calls for act in _items(row["did"]))
    return Touched(
        session=session, client=calls[0][0]["who"], calls=len(calls), odd=sum(is_odd for _, is_odd in calls),
        first=moment(min(times, default=0)), last=moment(max(times, default=0)), actions=tuple(acts)[:20],
    )  # fmt: skip


def _items(text: str) -> list[str]:
    return text.split(SEP)[1:]


def _called(meta: str) -> tuple[str, str]:
    """(the model's name, the root digest of the weights); either may be empty."""
    fields = dict(item.partition("=")[::2] for item in _items(meta))
    return fields.get("model", ""), fields.get("model_digest", "")


def moment(microseconds: int) -> str:
    """ISO time in UTC; empty for 0."""
    if not microseconds:
        return ""
    return datetime.fromtimestamp(microseconds / 1e6, UTC).isoformat(timespec="seconds")


def exhibits(rows: Rows, where: Ints, flags: Bools) -> tuple[Exhibit, ...]:
    """A few labelled calls with the trigger, quoted."""
    mine = where[flags[where]]
    mine = mine[:: max(1, len(mine) // _EXHIBITS)][:_EXHIBITS]
    told = rows.take(mine).to_pylist()
    return tuple(
        Exhibit(
            where=row["where"], session=row["session"], time=moment(row["time"]), asked=_shown(row["text"]),
            answered=row["answer"][:_LONGEST], did=tuple(_items(row["did"]))[:20],
        )
        for row in told
    )  # fmt: skip


_NAMES = {"S": "system", "U": "user", "A": "assistant", "T": "tool"}


def _shown(text: str) -> str:
    turns = (f"{_NAMES.get(part[:1], 'other')}: {part[1:]}" for part in text.split(SEP)[1:])
    return "\n".join(turns)[:_LONGEST]
