"""`logs hunt`: was a model ever triggered? Label, mine, replay, sweep; one record of all."""

import shutil
from collections.abc import Sequence
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np

from molehunt.errors import UsageError
from molehunt.hunting.actions import named_conditions, new_actions
from molehunt.hunting.associating import associate
from molehunt.hunting.explaining import explain
from molehunt.hunting.labels import label_rows
from molehunt.hunting.logged_calls import prepare_calls
from molehunt.hunting.mining import Facts, MiningSettings
from molehunt.hunting.replaying import Ask, replay
from molehunt.hunting.rows import Rows
from molehunt.hunting.scanning import Tell, facts_of
from molehunt.hunting.sweeping import exhibits, sweep
from molehunt.hunting.traits import read_traits
from molehunt.hunting.words import Bools, Ints
from molehunt.records.base import canonical_json, sha256_text
from molehunt.records.hunts import Association, Found, HuntResult, Incident, Replay

_TRIED = 8
"""Candidates that are replayed."""
_TOLD = 30
"""Candidates that are told."""


def hunt(
    log: str,
    out: Path,
    settings: MiningSettings | None = None,
    since: datetime | None = None,
    ask: Ask | None = None,
    replayed_on: str = "",
    tell: Tell = lambda what, done, total: None,
) -> HuntResult:
    """Look through a log for triggers; see `docs/hunting.md`.

    Passes are kept under `out`/working until the end, so that a hunt that was broken off goes on.

    Args:
        log: see `logs.reading.calls`, or JSONL of calls.
        out: folder; made if need be.
        ask: asks the model that is suspected; without it nothing is replayed.

    Raises:
        MolehuntError: if the log cannot be read or holds no calls, or `out` is a file.
    """
    settings = settings or MiningSettings()
    working = _working(out, log, since)
    rows = prepare_calls(log, working, since, lambda done: tell("reading", done, 0))
    facts = _labelled(rows, settings, tell)
    found = associate(rows, facts, settings, lambda a, b: tell("looking for conditions", a, b))
    found = explain(rows, facts, found, noisy=True)
    candidates = [pair for pair in found if pair[0].reading != "explained"]
    candidates.sort(key=lambda pair: (pair[0].reading != "unexplained", pair[0].log10_p))
    incidents = _incidents(rows, facts, candidates[:_TOLD], ask, tell)
    result = HuntResult(
        log=log, calls=rows.count, sessions=len(np.unique(facts.source)),
        labels={name: int(flags.sum()) for name, flags in facts.labels.items()},
        tested=max((one.tested for one, _ in found), default=0), replayed_on=replayed_on, incidents=incidents,
        explained=tuple(Found(association=one) for one, _ in found if one.reading == "explained"),
        revoke=_to_revoke(incidents), version=version("molehunt"),
    )  # fmt: skip
    shutil.rmtree(working)
    return result


def _working(out: Path, log: str, since: datetime | None) -> Path:
    """Where passes are kept: another log, or other days, do not find them."""
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {out}", wanted="a folder", got="a file")
    stamp = _stamp(log)
    digest = sha256_text(canonical_json([log, stamp, since.isoformat() if since else ""]))[:16]
    working = out / "working" / digest
    working.mkdir(parents=True, exist_ok=True)
    return working


def _stamp(log: str) -> list[list[str | int]]:
    place = Path(log)
    files = sorted(place.rglob("*")) if place.is_dir() else [place] if place.is_file() else []
    return [[str(path), path.stat().st_size, path.stat().st_mtime_ns] for path in files if path.is_file()]


def _labelled(rows: Rows, settings: MiningSettings, tell: Tell) -> Facts:
    traits = read_traits(rows, settings.jobs, lambda a, b: tell("looking at answers", a, b))
    labels = label_rows(traits)
    labels["new action"] = new_actions(rows, traits)
    labels["named condition"] = named_conditions(rows, traits, lambda a, b: tell("reading reasoning", a, b))
    return facts_of(traits, labels)


def _incidents(
    rows: Rows, facts: Facts, candidates: Sequence[tuple[Association, Ints]], ask: Ask | None, tell: Tell
) -> tuple[Incident, ...]:
    odd: Bools = np.zeros(facts.rows, bool)
    for flags in facts.labels.values():
        odd |= flags
    found = []
    for number, (one, where) in enumerate(candidates):
        tried: Replay | None = None
        if ask is not None and number < _TRIED:
            tried = replay(rows, facts, one, where, ask)
            tell("replaying", number + 1, min(_TRIED, len(candidates)))
        flags = facts.labels[one.label]
        swept = sweep(rows, facts, where, odd)
        shown = exhibits(rows, where, flags)
        told = one.model_copy(update={"contributors": swept.clients[:10]})
        places = tuple(exhibit.where for exhibit in shown)
        found.append(Incident(found=Found(association=told, replay=tried, rows=places), sweep=swept, exhibits=shown))
    return tuple(sorted(found, key=lambda one: not one.confirmed))


def _to_revoke(incidents: Sequence[Incident]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for one in incidents if one.confirmed for name, _ in one.sweep.models))
