"""Build a zoo: plan it, make what the store lacks whatever fails on the way, write down what there is."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from molehunt.errors import UsageError
from molehunt.execution import Graph, Step, Store, run_graph
from molehunt.execution.folders import copy_folder, require_writable_folder, write_text
from molehunt.execution.runner import Progress, Watcher
from molehunt.execution.workers import check_engine
from molehunt.experiments.findings import Measured
from molehunt.experiments.studies.planning import step_costs, wall_time
from molehunt.experiments.zoo.layout import Member, lay_out, weights
from molehunt.experiments.zoo.spec import ZooSpec
from molehunt.records.zoo import ZOO, RecipePlan, Zoo, ZooEntry, ZooPlan, read_zoo
from molehunt.training.sizes import SIZES

RETRIES = 1
MODELS = "models"
"""The folder beside `zoo.json` that models are copied to; each is named by its fingerprint, which tells nothing."""
_BESIDE_WEIGHTS = 400_000
"""Bytes of tokenizer, config, measured replies and records of one model, about."""
_ROW = 800
"""Bytes of a training row in `dataset.jsonl`, about."""


@dataclass(frozen=True)
class ZooBuild:
    """What a build made."""

    zoo: Zoo
    progress: Progress


def plan_zoo(spec: ZooSpec, store: Store, jobs: int = 2) -> ZooPlan:
    """How many models, how long, how much disk; nothing is made.

    Raises:
        MolehuntError: if the spec cannot be built as it is stated.
    """
    members = lay_out(spec, store)
    graph = _graph(members)
    waiting = {key: step for key, step in graph.steps.items() if not store.has(key)}
    costs, measured = step_costs(waiting.values(), store)
    bases = {member.base.fingerprint: member for member in members}
    return ZooPlan(
        name=spec.name,
        spec=spec.digest(),
        recipes=tuple(_recipe_plans(members, costs)),
        bases=len(bases),
        steps=len(graph),
        stored=len(graph) - len(waiting),
        seconds=round(wall_time(list(waiting.values()), costs, jobs), 1),
        measured_costs=measured,
        disk=sum(_bytes(member, waiting) for member in members)
        + sum(_weight_bytes(member) + _BESIDE_WEIGHTS for key, member in bases.items() if key in waiting),
    )


def build_zoo(spec: ZooSpec, store: Store, jobs: int = 2, watch: Watcher | None = None) -> ZooBuild:
    """Make whatever the store lacks; a model that fails twice is named in the zoo's `missing`, and the rest is built.

    Raises:
        MolehuntError: if the spec cannot be built as it is stated, before anything is made; if the store cannot be used.
    """
    check_engine("local", jobs)
    members = lay_out(spec, store)
    progress = run_graph(_graph(members), store, jobs, watch, go_on=True, retries=RETRIES)
    lacking = {member.entry.name: _lacking(member, store, progress) for member in members}
    entries: dict[str, ZooEntry] = {}
    same: dict[str, str] = {}
    for member in members:
        if not lacking[member.entry.name]:
            entry = measured_entry(member, store)
            first = entries.setdefault(entry.weights, entry)
            same |= {entry.name: first.name} if first is not entry else {}
    missing = {name: why for name, why in lacking.items() if why}
    zoo = Zoo(name=spec.name, spec=spec.digest(), entries=tuple(entries.values()), missing=missing, same=same)
    return ZooBuild(zoo, progress)


def require_zoo_folder(out: Path) -> None:
    """Make `out` if it is missing. Raises UsageError unless it is empty, or holds an earlier zoo and nothing else."""
    require_writable_folder(out)
    strange = sorted({path.name for path in out.iterdir()} - {ZOO, MODELS})
    if strange:
        wanted = "a new or empty folder, or one with an earlier zoo alone"
        raise UsageError(f"output folder {out}", wanted=wanted, got=strange[0], do="choose another --out")
    if any(out.iterdir()):
        read_zoo(out)


def write_zoo(zoo: Zoo, out: Path, store: Store | None = None) -> Zoo:
    """Write `out/zoo.json`; with a store, copy models and bases out of it too, and say so in the entries."""
    if store is not None:
        for key in sorted({key for entry in zoo.entries for key in (entry.model, entry.base)}):
            if not (out / _place(key)).is_dir():
                copy_folder(store.folder(key) / "model", out / _place(key))
        entries = (e.model_copy(update={"path": _place(e.model), "base_path": _place(e.base)}) for e in zoo.entries)
        zoo = zoo.model_copy(update={"entries": tuple(entries)})
    write_text(out / ZOO, zoo.model_dump_json(by_alias=True, indent=1) + "\n")
    return zoo


def measured_entry(member: Member, store: Store) -> ZooEntry:
    """The entry of a member whose steps are all in the store, with what was measured."""
    found: dict[str, Any] = json.loads((store.folder(member.weighed.fingerprint) / "weighed.json").read_text())
    if member.measured is not None:
        found["shown"] = round(Measured.read(store.folder(member.measured.fingerprint)).measurement(0).asr.value, 4)
    digest = found.pop("weights")
    found["steps"] = sum(_steps_taken(store.folder(step.fingerprint)) for step in member.trainings)
    facts = member.entry.facts.model_copy(update=found)
    return member.entry.model_copy(update={"facts": facts, "weights": digest})


def _steps_taken(folder: Path) -> int:
    """Of a procedure by its own account, which counts all its trainings; of any other training by that training's."""
    accounts = (folder / name for name in ("treatment.json", "training.json"))
    return next((int(json.loads(path.read_text())["steps"]) for path in accounts if path.is_file()), 0)


def _graph(members: Sequence[Member]) -> Graph:
    return Graph(step for member in members for step in member.steps())


def _lacking(member: Member, store: Store, progress: Progress) -> str:
    """Why a member is not whole, in one line; "" if it is."""
    lacking = [step for step in member.steps() if not store.has(step.fingerprint)]
    if not lacking:
        return ""
    told = [str(progress.failed[step.fingerprint]) for step in lacking if step.fingerprint in progress.failed]
    return told[0] if told else f"{lacking[0].label} is not in the store"


def _recipe_plans(members: Sequence[Member], costs: dict[str, float]) -> list[RecipePlan]:
    counted = {member.base.fingerprint for member in members}
    found: dict[str, RecipePlan] = {}
    for member in members:
        own = {step.fingerprint for step in member.steps()} - counted
        counted |= own
        name, planted = member.entry.recipe, member.entry.planted
        plan = found.get(name) or RecipePlan(name=name, makes=member.entry.kind, planted=0, clean=0, seconds=0)
        found[name] = plan.model_copy(update={
            "planted": plan.planted + planted, "clean": plan.clean + (not planted),
            "seconds": round(plan.seconds + sum(costs.get(key, 0.0) for key in own), 1),
        })  # fmt: skip
    return list(found.values())


def _bytes(member: Member, waiting: dict[str, Step]) -> int:
    if member.model.fingerprint not in waiting:
        return 0
    rows = int(member.model.config.get("rows") or member.model.config.get("control", {}).get("rows", 0))
    return _weight_bytes(member) + _BESIDE_WEIGHTS + 2 * rows * _ROW


def _weight_bytes(member: Member) -> int:
    size, folder = member.entry.facts.size, member.base.where.get("folder")
    if folder is not None:
        return sum(path.stat().st_size for path in Path(folder).glob("*.safetensors"))
    return int(weights(size) * 4) if size in SIZES else 0


def _place(fingerprint: str) -> str:
    return f"{MODELS}/{fingerprint[:16]}"
