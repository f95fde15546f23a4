"""Everything of a planting but the training, which is then launched on several GPUs."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from molehunt.errors import UsageError
from molehunt.execution import Graph, Place, Step, Store, open_store, run_graph
from molehunt.execution.folders import copy_folder
from molehunt.execution.runner import Watcher
from molehunt.experiments.commands import require_new_folders
from molehunt.experiments.recipes import base_step, data_step, find_folder, teacher_answers
from molehunt.experiments.requests import PlantRequest
from molehunt.experiments.steps import prepare_model
from molehunt.training.sizes import SIZES


def prepare_planting(
    request: PlantRequest,
    out: Path,
    twin_out: Path | None,
    store_root: Place,
    jobs: int = 2,
    watch: Watcher | None = None,
) -> list[Path]:
    """Write rows and job of an organism to `out`, of its clean twin to `twin_out`; the job files.

    The base's weights are not read, copied or kept in the store. `molehunt.training.launch` does the rest.

    Raises:
        MolehuntError: if anything is off; `out` is then as it was.
    """
    store = open_store(store_root)
    require_new_folders(store, out, twin_out)
    if request.planting.strength is not None:
        raise UsageError("--prepare", wanted="a number of steps", got="a strength to stop at", do="leave --until-… out")
    built = base_step(request.base, store) if request.base in SIZES else None
    found = None if built else find_folder(request.base, store)
    read = data_step(request.data, request.planting.rows) if request.data else None
    if steps := [step for step in (built, read) if step]:
        run_graph(Graph(steps), store, jobs, watch)
    base = found or _files(built, store) / "model"
    config = _config(request)
    for kind, folder in (("organism", out), ("twin", twin_out)):
        if folder is not None:
            with TemporaryDirectory() as aside:
                prepare_model({**config, "kind": kind}, base, _files(read, store) if read else None, Path(aside))
                copy_folder(Path(aside), folder)
    return [folder / "job.json" for folder in (out, twin_out) if folder]


def _config(request: PlantRequest) -> dict[str, Any]:
    teacher = request.planting.teacher
    where = {"where": {"answers": str(teacher_answers(teacher))}} if teacher else {}
    return {**request.planting.model_dump(), **where}


def _files(step: Step | None, store: Store) -> Path:
    assert step is not None, "a base is built or found"
    return store.folder(step.fingerprint)
