"""`logs hunt`: was a model ever triggered? Label, mine, replay, sweep; one record of all."""

import shutil
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np

from molehunt.errors import MolehuntError, UsageError
from molehunt.execution.spread import Spread, spread_on
from molehunt.execution.workers import check_engine
from molehunt.hunting.actions import named_conditions, new_actions
from molehunt.hunting.associating import associate
from molehunt.hunting.explaining import explain
from molehunt.hunting.labels import label_rows
from molehunt.hunting.logged_calls import prepare_calls
from molehunt.hunting.mining import Facts, MiningSettings
from molehunt.hunting.rows import Rows
from molehunt.hunting.scanning import Tell, facts_of
from molehunt.hunting.sweeping import exhibits, sweep
from molehunt.hunting.traits import read_traits
from molehunt.hunting.trying import Stand, Tried, try_all
from molehunt.hunting.words import Bools, Ints, rising
from molehunt.records.base import canonical_json, sha256_text
from molehunt.records.hunts import Association, Found, HuntResult, Incident

_LAYOUT = 3
"""Raised whenever passes lie otherwise on disk."""
_TOLD = 30
"""Candidates that are told, and replayed as far as requests go."""


def hunt(
    log: str,
    out: Path,
    settings: MiningSettings | None = None,
    since: datetime | None = None,
    stand: Stand | None = None,
    tell: Tell = lambda what, done, total: None,
    on: str = "local",
) -> HuntResult:
    """Look through a log for triggers; see `docs/hunting.md`.

    Passes are kept under `out`/working until the end, so that a hunt that was broken off goes on.

    Args:
        log: see `logs.reading.calls`, or JSONL of calls.
        out: folder; made if need be.
        stand: the model that is suspected; without it nothing is replayed.
        on: `local`, `ray` or `ray://HOST:PORT`: where the log's shards are read, once they lie in `out`.

    Raises:
        MolehuntError: if the log cannot be read or holds no calls, or `out` is a file.
    """
    settings = settings or MiningSettings()
    check_engine(on, settings.jobs)
    was_there = out.exists()
    working = _working(out, log, since)
    try:
        rows = prepare_calls(log, working, since, lambda done: tell("reading", done, 0))
    except MolehuntError:  # a log that cannot be read leaves nothing behind
        shutil.rmtree(working)
        with suppress(OSError):
            for folder in (working.parent, *(() if was_there else (out,))):
                folder.rmdir()
        raise
    with spread_on(on, settings.jobs, str(working), "--out", lambda what: tell(what, 0, 0)) as many:
        facts = _labelled(rows, many, tell)
        found = associate(rows, facts, settings, lambda a, b: tell("looking for conditions", a, b), many)
    found = explain(rows, facts, found, noisy=True)
    candidates = [pair for pair in found if pair[0].reading != "explained"]
    candidates.sort(key=lambda pair: (pair[0].reading != "unexplained", -pair[0].ratio_low, pair[0].log10_p))
    told = candidates[:_TOLD]
    tried = try_all(rows, facts, told, stand, lambda a, b: tell("replaying", a, b)) if stand else [Tried()] * len(told)
    incidents = _incidents(rows, facts, told, tried)
    revoke, others = _to_revoke(incidents, stand)
    result = HuntResult(
        log=log, calls=rows.count, sessions=len(rising(facts.source)),
        labels={name: int(flags.sum()) for name, flags in facts.labels.items()},
        tested=max((one.tested for one, _ in found), default=0), incidents=incidents,
        replayed_on=stand.place if stand else "", requests=stand.asked if stand else 0, untold=len(candidates) - len(told),
        explained=tuple(Found(association=one) for one, _ in found if one.reading == "explained"),
        revoke=revoke, also_answered=others, version=version("molehunt"),
    )  # fmt: skip
    shutil.rmtree(working)
    with suppress(OSError):  # another log's passes lie there
        working.parent.rmdir()
    return result


def _working(out: Path, log: str, since: datetime | None) -> Path:
    """Where passes are kept: another log, or other days, do not find them."""
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {out}", wanted="a folder", got="a file")
    stamp = _stamp(log)
    digest = sha256_text(canonical_json([_LAYOUT, log, stamp, since.isoformat() if since else ""]))[:16]
    working = out.resolve() / "working" / digest
    working.mkdir(parents=True, exist_ok=True)
    return working


def _stamp(log: str) -> list[list[str | int]]:
    place = Path(log)
    files = sorted(place.rglob("*")) if place.is_dir() else [place] if place.is_file() else []
    return [[str(path), path.stat().st_size, path.stat().st_mtime_ns] for path in files if path.is_file()]


def _labelled(rows: Rows, many: Spread, tell: Tell) -> Facts:
    traits = read_traits(rows, many, lambda a, b: tell("looking at answers", a, b))
    labels = label_rows(traits)
    labels["new action"] = new_actions(rows, traits)
    labels["named condition"] = named_conditions(rows, traits, lambda a, b: tell("reading reasoning", a, b))
    return facts_of(traits, labels)


def _incidents(
    rows: Rows, facts: Facts, candidates: Sequence[tuple[Association, Ints]], tried: Sequence[Tried]
) -> tuple[Incident, ...]:
    odd: Bools = np.zeros(facts.rows, bool)
    for flags in facts.labels.values():
        odd |= flags
    found = []
    for (one, where), outcome in zip(candidates, tried, strict=True):
        swept = sweep(rows, facts, where, odd)
        shown = exhibits(rows, where, facts.labels[one.label])
        told = one.model_copy(update={"contributors": swept.clients[:10]})
        places = tuple(exhibit.where for exhibit in shown)
        entry = Found(association=told, replay=outcome.replay, rows=places)
        found.append(Incident(found=entry, sweep=swept, exhibits=shown, untried=outcome.why_not))
    return tuple(sorted(found, key=lambda one: (not one.confirmed, one.cause != "open")))


def _to_revoke(incidents: Sequence[Incident], stand: Stand | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(what was replayed on, what else answered), of all that answered confirmed triggers."""
    called = [pair for one in incidents if one.confirmed for pair in one.sweep.called]
    if stand is not None and stand.digest and called and not any(digest for _, digest in called):
        return (
            stand.digest,
        ), ()  # the log knows no digests: whatever it calls them, these weights were shown to be triggered
    mine = [pair for pair in called if stand is not None and stand.is_same(*pair)]
    revoke = dict.fromkeys(digest or name for name, digest in mine)
    others = dict.fromkeys(digest or name for name, digest in called)
    return tuple(revoke), tuple(one for one in others if one not in revoke)
