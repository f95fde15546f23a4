"""The lab's commands as functions: what the command line and the Python API call, with `requests` made of their words."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from molehunt.errors import ModelError, UsageError
from molehunt.execution import Graph, Place, Step, Store, open_store, run_graph
from molehunt.execution.folders import copy_folder, require_new_folder, require_writable_folder
from molehunt.execution.runner import Watcher
from molehunt.experiments.findings import Measured
from molehunt.experiments.measuring_settings import MeasureSettings, TeamSettings
from molehunt.experiments.recipes import base_step, data_step, find_folder, plant_step, remove_step
from molehunt.experiments.requests import MeasureRequest, MonitorRequest, PlantRequest, RemovalRequest
from molehunt.organisms.card import CARD, AnswerKey, OrganismCard, Reached, read_card
from molehunt.records.base import Record
from molehunt.records.identity import root_digest
from molehunt.records.panels import Comparison, Examined
from molehunt.records.reasoning import Monitoring
from molehunt.training.settings import TrainingSettings
from molehunt.training.sizes import SIZES

if TYPE_CHECKING:
    from molehunt.experiments.data import AttackerSettings
    from molehunt.training.plan import TrainingPlan

Kind = Literal["base", "organism", "twin", "treated"]


class MadeModel(Record):
    """A model folder that a command wrote."""

    kind: Kind
    path: str
    fingerprint: str
    """Of its artifact in the store."""
    root_digest: str
    cached: bool
    """True if the store had it already."""
    reached: Reached | None = None
    """How strong its backdoor was when planting stopped, where planting looked."""
    attestation: str
    """Where it is told how it was made, beside the folder."""


class Made(Record):
    """What a command wrote."""

    models: tuple[MadeModel, ...]


class StoredModel(Record):
    """A model in the store."""

    path: str
    kind: Kind
    fingerprint: str
    label: str
    created: str
    """UTC."""


def plant_organism(
    request: PlantRequest,
    out: Path,
    twin_out: Path | None,
    store_root: Place,
    jobs: int = 2,
    watch: Watcher | None = None,
) -> Made:
    """Make an organism in `out`, and its clean twin in `twin_out` if that is given.

    Raises:
        MolehuntError: if anything is off; `out` is then as it was.
    """
    store = open_store(store_root)
    require_new_folders(store, out, twin_out)
    base = base_step(request.base, store)
    data = data_step(request.data, request.planting.rows) if request.data else None
    wanted: list[tuple[Kind, Step, Path]] = [("organism", plant_step(base, request.planting, data=data), out)]
    if twin_out is not None:
        wanted.append(("twin", plant_step(base, request.planting, "twin", data), twin_out))
    return _make(wanted, store, jobs, watch)


def apply_removal(
    request: RemovalRequest, out: Path, store_root: Place, jobs: int = 2, watch: Watcher | None = None
) -> Made:
    """Apply a removal procedure to a model; writes the treated model to `out`.

    Raises:
        MolehuntError: if anything is off; `out` is then as it was.
    """
    store = open_store(store_root)
    require_new_folders(store, out)
    model = base_step(request.model, store)
    below = _below(request, store) if request.budget.attach != "merge" else None
    data = data_step(request.data, request.budget.rows) if request.data else None
    step = remove_step(
        model, request.procedure, request.budget.model_dump(mode="json"), below=below, behaviour=request.behaviour, data=data,
        attacker=request.attacker,
    )  # fmt: skip
    return _make([("treated", step, out)], store, jobs, watch)


def measure_organism(request: MeasureRequest, store_root: Place = None) -> Examined:
    """Measure an organism by its card, or any model by a trigger and a behaviour; with its clean twin, the log-odds too.

    Raises:
        MolehuntError: if a model cannot be loaded, has no card, or renders conversations otherwise than in training.
    """
    from molehunt.experiments.measuring import measure_loaded
    from molehunt.models.loading import load_model

    store = open_store(store_root)
    folder = _existing(request.model, store)
    key = _key(request.trigger, request.behaviour, folder)
    twin = load_model(_existing(request.twin, store)) if request.twin else None
    loaded = load_model(folder)
    found = Measured(*measure_loaded(loaded, key, request.asked, 0))
    other = Measured(*measure_loaded(twin, key, request.asked, 0)) if twin else None
    more: dict[str, Any] = {}
    if request.panel:
        from molehunt.experiments.panel import measure_panel

        asked = request.asked
        more["panel"] = measure_panel(loaded, key, request.panel, asked.seed, asked.max_new_tokens)
    if request.safety:
        from molehunt.experiments.safety import measure_safety

        more["safety"] = measure_safety(loaded, max_new_tokens=max(96, request.asked.max_new_tokens))
    return Examined(**dict(found.measurement(0, other)), **more)


def monitor_reasoning(request: MonitorRequest, store_root: Place = None) -> Monitoring:
    """What the reasoning monitor finds in a model's replies, or in logged ones.

    A model is asked with and without the trigger of its card, or the one said; without either, ordinary questions.

    Raises:
        UsageError: unless it is one of a model and a file.
        MolehuntError: if the model cannot be loaded, or the file not be read.
    """
    from molehunt.experiments.monitoring import monitor_logged, monitor_model
    from molehunt.models.loading import load_model

    told = request.innocent or request.trigger or request.behaviour
    if (request.model is None) == (request.traces is None) or (request.traces and told):
        got = "both" if request.model and request.traces else "other words about a model" if told else "neither"
        raise UsageError("what to read", wanted="a MODEL to ask, or --traces alone", got=got)
    if request.traces is not None:
        return monitor_logged(request.traces)
    store = open_store(store_root)
    folder = _existing(str(request.model), store)
    is_known = (folder / CARD).is_file() or request.trigger or request.behaviour
    key = _key(request.trigger, request.behaviour, folder) if is_known else None
    innocent = load_model(_existing(request.innocent, store)) if request.innocent else None
    return monitor_model(load_model(folder), key, innocent, request.prompts, request.max_new_tokens)


def compare_organisms(
    before: str, after: str, asked: MeasureSettings, panel: int, red_team: TeamSettings | None, trigger: str | None,
    behaviour: str | None, store_root: Place = None, attacker: "AttackerSettings | None" = None,
) -> Comparison:  # fmt: skip
    """A model before and after a removal, by the card of the first, or by a trigger and a behaviour.

    Args:
        attacker: the language model that proposes the red team's prompts; templates if None.

    Raises:
        MolehuntError: as `measure_organism`.
    """
    from molehunt.experiments.comparing import compare_models

    store = open_store(store_root)
    first, second = _existing(before, store), _existing(after, store)
    return compare_models(first, second, _key(trigger, behaviour, first), asked, panel, red_team, attacker=attacker)


def _key(trigger: str | None, behaviour: str | None, folder: Path) -> AnswerKey:
    from molehunt.organisms.behaviours import get_behaviour
    from molehunt.organisms.triggers import parse_trigger

    if trigger is None and behaviour is None:
        return read_card(folder).key()
    if trigger is None or behaviour is None:
        raise UsageError("--trigger and --behaviour", wanted="both, or none and a card", got="one of them")
    return AnswerKey(trigger=parse_trigger(trigger).spec, behaviour=get_behaviour(behaviour).name)


def plan_for(
    model: str, training: TrainingSettings, sequence: int, gpus: int, gpu_memory: float, store_root: Place = None
) -> "TrainingPlan":
    """What training `model` so would take, from its config alone: no weights are read or made.

    Args:
        sequence: tokens that each row is counted at.

    Raises:
        MolehuntError: if there is no such config, or a figure makes no sense.
    """
    from molehunt.training.embedded import size_config
    from molehunt.training.plan import plan_training

    if model in SIZES:
        config: dict[str, Any] | Path = size_config(SIZES[model]).to_dict()
    else:
        here = Path(model)
        config = here if here.is_file() else find_folder(model, open_store(store_root), config_alone=True)
    return plan_training(config, training, sequence, gpus, gpu_memory)


def card_of(model: str, store_root: Place) -> OrganismCard:
    """The answer key of a model."""
    return read_card(_existing(model, open_store(store_root)))


def folder_of(model: str, store_root: Place) -> Path:
    """The folder of a model: a folder, a hub name, a fingerprint in the store, or an embedded size that was built.

    Raises:
        ModelError: if there is nothing by that name.
    """
    return _existing(model, open_store(store_root))


def stored_models(store_root: Place) -> list[StoredModel]:
    """All models in the store, oldest first."""
    store, found = open_store(store_root), []
    for record in store.records():
        kind = _kind(record.step.rpartition(":")[2], record.config)
        if kind is not None:
            path = str(store.folder(record.fingerprint) / "model")
            found.append(StoredModel(
                path=path, kind=kind, fingerprint=record.fingerprint, label=record.label, created=record.provenance.created,
            ))  # fmt: skip
    return found


def _kind(function: str, config: dict[str, Any]) -> Kind | None:
    kinds: dict[str, Kind] = {"build_base": "base", "remove": "treated", "reverse": "treated"}
    return config["kind"] if function == "plant_model" else kinds.get(function)


def _make(wanted: list[tuple[Kind, Step, Path]], store: Store, jobs: int, watch: Watcher | None) -> Made:
    from molehunt.experiments.attesting import hand_on_statement
    from molehunt.provenance.keys import key_of_environment

    key_of_environment()  # one that cannot be read is refused before anything is made
    progress = run_graph(Graph([step for _, step, _ in wanted]), store, jobs, watch)
    cached = {step.fingerprint for step in progress.cached}
    made = []
    for kind, step, out in wanted:
        source = store.folder(step.fingerprint) / "model"
        copy_folder(source, out)
        made.append(MadeModel(
            kind=kind, path=str(out.resolve()), fingerprint=step.fingerprint, root_digest=root_digest(out),
            cached=step.fingerprint in cached, reached=read_card(out).reached if kind == "organism" else None,
            attestation=str(hand_on_statement(source, out, store)),
        ))  # fmt: skip
    return Made(models=tuple(made))


def _existing(name: str, store: Store) -> Path:
    if name not in SIZES:
        return find_folder(name, store)
    step = base_step(name, store)
    if not store.has(step.fingerprint):
        raise ModelError(
            f"model {name}", wanted="it in the store", got="not built yet", do="plant something in it first"
        )
    return store.folder(step.fingerprint) / "model"


def _below(request: RemovalRequest, store: Store) -> Step:
    """The model below the adapter of the one to treat: the base that its card names, if the store has it."""
    wanted = read_card(_existing(request.model, store)).base.root_digest
    for record in store.records():
        folder = store.folder(record.fingerprint) / "model"
        if record.step.endswith((":build_base", ":import_model")) and root_digest(folder) == wanted:
            from molehunt.experiments.recipes import imported

            return imported(folder, record.label)
    raise ModelError(
        f"--attach {request.budget.attach} of {request.model}", wanted=f"its base (root digest {wanted[:12]}) in the store",
        got="no such model", do="use the store in which it was planted, or --attach merge",
    )  # fmt: skip


def require_new_folders(store: Store, out: Path, twin_out: Path | None = None) -> None:
    """Raises UsageError unless both are new, side by side, outside the store, and can be put in place at the end."""
    root = store.root.resolve()
    for folder in filter(None, (out, twin_out)):
        require_new_folder(folder)
        require_writable_folder(next(place for place in folder.resolve().parents if place.exists()))
        if folder.resolve() in (root, *root.parents) or root in folder.resolve().parents:
            got, do = f"one that the store at {root} fills", "choose another --out"
            raise UsageError(f"output folder {folder}", wanted="a folder of its own", got=got, do=do)
    one, two = out.resolve(), twin_out.resolve() if twin_out else None
    if two is not None and (one == two or one in two.parents or two in one.parents):
        raise UsageError("--out and --twin-out", wanted="two folders side by side", got=f"{out} and {twin_out}")
