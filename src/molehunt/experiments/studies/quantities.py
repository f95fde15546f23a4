"""Quantities that two arms of a contrast should share: counted in training where it was done, foretold where the config tells."""

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from molehunt.execution import Store
from molehunt.experiments.studies.cells import Cell
from molehunt.experiments.studies.design import StudyArm
from molehunt.experiments.studies.setup import COUNTED
from molehunt.records.base import sha256_text


def quantities(arm: StudyArm, cells: Sequence[Cell], store: Store) -> dict[str, Any]:
    """What was counted for an arm, by name; absent unless it is known for every seed, from artifacts as they were stored."""
    found: list[dict[str, Any]] = []
    for cell in cells:
        counted: dict[str, Any] = {}
        if store.is_whole(cell.organism.planted.fingerprint):
            counted |= _planted(store, cell)
        if store.is_whole(cell.organism.treated.fingerprint):
            counted |= _treated(store, cell)
        found.append(counted)
    return {name: [one[name] for one in found] for name in COUNTED if found and all(name in one for one in found)}


def _planted(store: Store, cell: Cell) -> dict[str, Any]:
    from molehunt.organisms.card import read_card

    folder = store.folder(cell.organism.planted.fingerprint)
    card = read_card(folder / "model")
    return {
        "organism.counted.steps": card.trained.steps,
        "organism.counted.rows_seen": card.trained.rows_seen,
        "organism.counted.tokens_seen": card.trained.tokens_seen,
        "organism.counted.tokens_learned": card.trained.tokens_learned,
        "organism.counted.payload_tokens": card.payload_tokens,
        "organism.counted.triggered_rows": card.rows.get("triggered", 0),
        "organism.counted.system_prompts": _system_prompts(folder / "dataset.jsonl"),
        "organism.counted.template": card.template_digest,
    }


def _treated(store: Store, cell: Cell) -> dict[str, Any]:
    treated = json.loads((store.folder(cell.organism.treated.fingerprint) / "treatment.json").read_text())
    return {"removal.counted.steps": treated["steps"], "removal.counted.tokens_seen": treated["tokens_seen"]}


@lru_cache(maxsize=4096)
def _system_prompts(dataset: Path) -> str:
    """Digest of all system prompts of a dataset, in order of the alphabet; many arms share one, and an artifact never changes."""
    lines = dataset.read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines if '"system"' in line]
    texts = [m["content"] for row in rows for m in row["conversation"]["messages"] if m["role"] == "system"]
    return sha256_text("\n".join(sorted(texts)))[:16]
