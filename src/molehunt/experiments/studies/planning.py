"""What a study would do, and in what the arms of each contrast differ."""

import re
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from molehunt.execution import Graph, Step, Store
from molehunt.experiments.studies.cells import Cell, Cells
from molehunt.experiments.studies.design import StudyArm, matched
from molehunt.experiments.studies.outcomes import DIFFERENCES, OUTCOMES
from molehunt.experiments.studies.quantities import quantities
from molehunt.experiments.studies.setup import COUNTED
from molehunt.records.artifacts import ArtifactRecord
from molehunt.records.base import canonical_json
from molehunt.records.claims import Claim
from molehunt.records.studies import ArmPlan, ContrastPlan, Factor, Study, StudyPlan
from molehunt.removal.procedures import relative_cost
from molehunt.stats.power import seeds_for_rate_effect, smallest_mean_effect, smallest_rate_effect
from molehunt.stats.simulate import Seeds
from molehunt.training.sizes import SIZES

SPREAD = 0.5
"""Standard deviation between seeds, in logits, that the power is computed with: a guess, stated as such."""
MIDDLE = 0.25
"""A middle effect on a rate: half of the largest that there can be from one half."""
WORKER_MEMORY = 1.0
"""GiB that a worker holds beside the model: libraries, batches, caches; measured on the embedded sizes."""


def plan_study(study: Study, store: Store, jobs: int = 2) -> StudyPlan:
    """The plan of a study, before anything is made.

    Raises:
        MolehuntError: if the study cannot be run as it is stated.
    """
    cells = Cells(study, store)
    return make_plan(cells, cells.graph(), jobs)


def make_plan(cells: Cells, graph: Graph, jobs: int) -> StudyPlan:
    """The plan of cells that are laid out already."""
    study, store = cells.study, cells.store
    waiting = [step for key, step in graph.steps.items() if not store.has(key)]
    costs, measured = step_costs(waiting, store)
    detectable = _detectable(study, cells.arms)
    rates = max((_rates_compared(claim) for claim in _tested(study, cells.arms)), default=0)
    derived = {arm.id: quantities(arm, cells.of(arm), store) for arm in cells.arms}
    return StudyPlan(
        name=study.name,
        seeds=study.seeds,
        arms=tuple(ArmPlan(id=a.id, levels=a.levels, config=a.config, derived=derived[a.id]) for a in cells.arms),
        steps=len(graph),
        stored=len(graph) - len(waiting),
        by_kind=dict(Counter(kind_of(step) for step in waiting)),
        unshared=sum(_unshared(cell) for cell in cells.cells),
        seconds=round(wall_time(waiting, costs, jobs), 1),
        measured_costs=measured,
        memory=round(_memory(graph, cells.arms, jobs), 1),
        contrasts=tuple(contrast_of(study, claim, cells.arms, derived) for claim in study.claims),
        detectable=detectable,
        scatter=_scatter(study, cells.arms),
        enough_seeds=(
            _enough(study_prompts(cells.arms), len(study.claims), max(rates, 2))
            if None in detectable.values()
            else None
        ),
        limits=tuple(limits(study, cells.arms)),
    )


def contrast_of(
    study: Study, claim: Claim, among: list[StudyArm], derived: Mapping[str, Mapping[str, Any]]
) -> ContrastPlan:
    """In what the matched arms of a claim differ, and whether its factor declares that it moves it."""
    factor = next(f for f in study.factors if f.name == claim.factor)
    pairs = list(matched(study, claim, among))
    differing: set[str] = set()
    unknown: set[str] = set()
    for one, two in pairs:
        differing |= _differing(one.config, two.config)
        mine, theirs = derived[one.id], derived[two.id]
        unknown |= {name for name in COUNTED if name not in mine or name not in theirs}
        differing |= _differing(mine, theirs) - unknown
    moved = {field for field in differing if is_moved(field, factor)}
    note = "" if pairs else "no two arms have the other factors in common: the claim cannot be tested"
    return ContrastPlan(
        claim=claim.id,
        pairs=len(pairs),
        moved=tuple(sorted(moved)),
        confounded=tuple(sorted(differing - moved)),
        unknown=tuple(sorted(unknown)),
        note=note,
    )


def is_moved(field: str, factor: Factor) -> bool:
    """True if the factor declares that it moves the field, or everything around it."""
    return any(field == moved or field.startswith(f"{moved}.") for moved in factor.moves)


def step_costs(steps: Iterable[Step], store: Store) -> tuple[dict[str, float], bool]:
    """Seconds of each step by its fingerprint, from how long like ones took in this store; and whether any did.

    Alike are steps that do the same on a base of the same kind; trainings are compared by the conversations they take. Of a
    removal procedure that was not run there yet, the others tell, by the procedures' relative costs.
    """
    records = {record.fingerprint: record for record in store.records()}
    alike: dict[tuple[str, str], list[float]] = defaultdict(list)
    related: dict[tuple[str, str], list[float]] = defaultdict(list)
    for record in records.values():
        base, pace = _base_of(record.fingerprint, records), record.seconds / _work(record.config)
        alike[_like(record.step, record.config), base].append(pace)
        if "procedure" in record.config:
            related[record.step, base].append(pace / relative_cost(record.config["procedure"]))
    costs, measured = {}, False
    for step in steps:
        base = _base_below(step)
        if known := alike.get((_like(step.function, step.config), base)):
            pace = statistics.median(known)
        elif known := related.get((step.function, base)):
            pace = statistics.median(known) * relative_cost(step.config["procedure"])
        measured |= bool(known)
        costs[step.fingerprint] = pace * _work(step.config) if known else step.cost
    return costs, measured


def _like(function: str, config: Mapping[str, Any]) -> str:
    looked = sorted(name for name in ("panel", "safety", "red_team") if config.get(name))
    return " ".join([function, config.get("procedure", ""), config.get("kind", ""), *looked])


def _work(config: Mapping[str, Any]) -> float:
    """Conversations of a training, checkpoints of a measurement; 1 for all else."""
    if origin := config.get("origin"):
        return float(len(origin["training"]["checkpoints"]))
    training = config.get("budget", config).get("training")
    return float(training["steps"] * training["batch"]) if training else 1.0


def _base_below(step: Step) -> str:
    while step.parents:
        step = next(iter(step.parents.values()))
    return _size(step.config)


def _base_of(fingerprint: str, records: Mapping[str, ArtifactRecord]) -> str:
    record = records.get(fingerprint)
    while record is not None and record.parents:
        record = records.get(next(iter(record.parents.values())))
    return _size(record.config) if record else ""


def _size(config: Mapping[str, Any]) -> str:
    return canonical_json(config.get("size") or config.get("tree_digest") or "")


def kind_of(step: Step) -> str:
    """What a step does, in one word."""
    return step.function.rpartition(":")[2]


def limits(study: Study, among: Iterable[StudyArm]) -> Iterable[str]:
    """What no run of the study can say."""
    if len(study.seeds) == 1:
        yield "one seed: nothing can be said of other seeds, so no claim is tested"
    if study.shared_base or any(arm.setup.base.model not in SIZES for arm in among):
        yield "one base for all seeds: what is found speaks of that base alone"
    if widths := {width for arm in among if (width := arm.setup.measure.stop_width)}:
        told = " or ".join(f"{width:g}" for width in sorted(widths))
        yield (
            f"asking stopped once the attack success rate was known within an anytime-valid interval of {told}: rates rest on "
            "different numbers of prompts"
        )
    if study.leave_out:
        yield f"{len(study.leave_out)} kinds of combinations are left out"


def _differing(one: Mapping[str, Any], two: Mapping[str, Any]) -> set[str]:
    return {field for field in one.keys() | two.keys() if one.get(field) != two.get(field)}


def _unshared(cell: Cell) -> int:
    """Steps of a cell that nobody else's steps help."""
    return len(Graph(cell.steps()))


def wall_time(steps: list[Step], costs: Mapping[str, float], jobs: int) -> float:
    """No less than the work by the jobs, nor than the longest chain."""
    ends: dict[str, float] = {}
    for step in steps:
        ready = max((ends.get(parent.fingerprint, 0.0) for parent in step.parents.values()), default=0.0)
        ends[step.fingerprint] = ready + costs[step.fingerprint]
    return max(sum(costs.values()) / max(1, jobs), max(ends.values(), default=0.0))


def _memory(graph: Graph, among: Iterable[StudyArm], jobs: int) -> float:
    """Weights, gradients and optimizer states of the largest base, for each job."""
    sizes = [SIZES[model] for model in {arm.setup.base.model for arm in among} & SIZES.keys()]
    weights = [4 * (12 * s.width**2 * s.layers + 2 * s.vocabulary * s.width) for s in sizes]
    weights += [weight_bytes(Path(step.where["folder"])) for step in graph.steps.values() if "folder" in step.where]
    return max(1, jobs) * (WORKER_MEMORY + 4 * max(weights, default=0) / 2**30)


def weight_bytes(model: Path) -> int:
    """Bytes of a model folder's weights in float32, as they are trained."""
    stored = sum(path.stat().st_size for path in model.glob("*.safetensors"))
    config = model / "config.json"
    is_half = config.is_file() and re.search(r'dtype"\s*:\s*"b?float16"', config.read_text(encoding="utf-8"))
    return 2 * stored if is_half else stored


def _detectable(study: Study, among: list[StudyArm]) -> dict[str, float | None]:
    """By claim about rates: around rates of one half, or of a single rate against 0."""
    seeds, prompts = len(study.seeds), study_prompts(among)
    compared = {claim.id: _rates_compared(claim) for claim in _tested(study, among)}
    return {claim: _smallest(seeds, prompts, len(study.claims), rates) for claim, rates in compared.items() if rates}


def _scatter(study: Study, among: list[StudyArm]) -> dict[str, float]:
    """By claim about a mean: nobody can say before the run how far means scatter, but how far they may."""
    tested = [claim for claim in _tested(study, among) if not _rates_compared(claim)]
    seeds, family = len(study.seeds), len(study.claims)
    return {claim.id: claim.smallest / smallest_mean_effect(seeds, 1.0, family=family) for claim in tested}


def _tested(study: Study, among: list[StudyArm]) -> list[Claim]:
    return [claim for claim in study.claims if len(study.seeds) > 1 and any(matched(study, claim, among))]


def _rates_compared(claim: Claim) -> int:
    """Of how many rates the claim's contrast is made; 0 if of means."""
    parts = len(DIFFERENCES[claim.outcome]) if claim.outcome in DIFFERENCES else int(OUTCOMES[claim.outcome].is_rate)
    return parts * (2 if claim.against else 1)


@lru_cache
def _smallest(seeds: int, prompts: int, family: int, rates: int) -> float | None:
    return smallest_rate_effect(Seeds(seeds, prompts, spread=SPREAD), 0.5, family, rates=rates)


@lru_cache
def _enough(prompts: int, family: int, rates: int) -> int | None:
    return seeds_for_rate_effect(MIDDLE, prompts, SPREAD, 0.5, family, rates=rates)


def study_prompts(among: list[StudyArm]) -> int:
    """Prompts behind one rate, at the least."""
    return min(arm.setup.measure.prompts for arm in among)
