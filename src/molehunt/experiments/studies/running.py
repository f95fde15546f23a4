"""Run a study to the end, whatever fails on the way, and tell what it found."""

import json
from dataclasses import dataclass
from pathlib import Path

from molehunt.errors import StudyError
from molehunt.execution import Needs, Store
from molehunt.execution.folders import write_text
from molehunt.execution.runner import Progress, Watcher, run_graph
from molehunt.execution.workers import check_engine
from molehunt.experiments.studies.cells import Cells
from molehunt.experiments.studies.planning import make_plan
from molehunt.experiments.studies.results import Failures, study_result
from molehunt.records.studies import Study, StudyPlan, StudyResult

RETRIES = 1


@dataclass(frozen=True)
class StudyRun:
    """What a run did."""

    plan: StudyPlan
    progress: Progress


def run_study(
    study: Study, store: Store, jobs: int = 2, watch: Watcher | None = None, strict: bool = False, on: str = "local",
    needs: Needs | None = None,
) -> StudyRun:  # fmt: skip
    """Make whatever the store lacks; a step that fails twice is noted, and the rest goes on.

    Args:
        on: the engine, as for `run_graph`.
        needs: what a machine of a cluster must have free for each step.

    Raises:
        ClusterError: if the cluster does not answer, or is not fit.
        StudyError: with `strict`, if a claim's contrast is confounded; before anything is made.
        StoreError: if the store cannot be used.
    """
    check_engine(on, jobs)
    cells = Cells(study, store, needs)
    graph = cells.graph()
    plan = make_plan(cells, graph, jobs)
    if strict and plan.confounded:
        told = "; ".join(f"{c.claim}: {', '.join(c.confounded)}" for c in plan.confounded)
        raise StudyError(
            f"study {study.name} is confounded", wanted="arms that differ in what their factor declares alone", got=told,
            do="declare the field under the factor's `moves`, or hold it fixed",
        )  # fmt: skip
    progress = run_graph(graph, store, jobs, watch, go_on=True, retries=RETRIES, on=on)
    _note(study, store, progress)
    return StudyRun(plan, progress)


def read_result(study: Study, store: Store, out: Path) -> StudyResult:
    """What the finished cells of a study say; writes `results.parquet` and `result.json` into `out`.

    Raises:
        StudyError: if no cell is finished.
    """
    out.mkdir(parents=True, exist_ok=True)
    result = study_result(Cells(study, store), out / "results.parquet", _failures(study, store))
    write_text(out / "result.json", result.model_dump_json(by_alias=True, indent=1))
    return result


def _note(study: Study, store: Store, progress: Progress) -> None:
    """Keep why steps failed beside the store, for the report; a step that works later is in the store and counts as made."""
    found = {key: [str(error), store.log(key)] for key, error in progress.failed.items()}
    kept = {key: list(value) for key, value in _failures(study, store).items() if not store.has(key)}
    path = _noted(study, store)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(kept | found, indent=1, sort_keys=True))


def _failures(study: Study, store: Store) -> Failures:
    try:
        return {key: (why, log) for key, (why, log) in json.loads(_noted(study, store).read_text()).items()}
    except (OSError, ValueError):
        return {}


def _noted(study: Study, store: Store) -> Path:
    return store.root / "studies" / study.name / "failed.json"
