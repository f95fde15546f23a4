"""How a model was made, as an attestation: left by every step that makes one, or told later by what the store knows."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from molehunt.errors import CorruptArtifactError, StoreError
from molehunt.execution import Step, Store
from molehunt.execution.graph import Witness
from molehunt.provenance.attestation import LEFT, attestation_place, leave_statement
from molehunt.provenance.hashing import hash_contents, look
from molehunt.provenance.keys import key_of_environment
from molehunt.records.artifacts import ArtifactRecord, Provenance
from molehunt.records.attestations import Attestation, Material, StepTold
from molehunt.records.identity import file_digest, root_digest, root_of
from molehunt.records.lines import read_jsonl
from molehunt.records.rows import DatasetRecord, Row, dataset_digest

_MOST_THREADS = 256
_MADE_FROM = ("base", "model")
"""Roles of the parent whose weights a step starts from."""


def attest(folder: Path, store: Store) -> Attestation:
    """How the model in `folder` was made, by the records of the store that made it.

    Raises:
        StoreError: if the store has no model of these bytes.
        CorruptArtifactError: if a stored artifact is not as its record says.
    """
    record = artifact_of(folder, store)
    for parent in record.parents.values():
        store.verify(parent)
    parents = {role: store.folder(parent) for role, parent in record.parents.items()}
    step = rebuilt(record.fingerprint, store)
    told = _attested(step, parents, store.folder(record.fingerprint), record.provenance)
    root = root_of(hash_contents(look(folder)))
    return told.model_copy(
        update={"name": folder.resolve().name, "root_digest": root, "created": record.provenance.created}
    )


def witness(step: Step) -> Witness:
    """Have a step that makes a model leave a statement of how beside it: signed if MOLEHUNT_SIGNING_KEY names a key, unsigned if not.

    The same step leaves the same statement, whenever it runs: no clock and no label is in it.

    Raises:
        SigningError: if that key cannot be read, before anything is trained.
    """
    key = key_of_environment()

    def leave(parents: dict[str, Path], files: Path) -> None:
        if (files / "model").is_dir():
            leave_statement(files.parent / LEFT, _attested(step, parents, files, Provenance.here()), key)

    return leave


def hand_on_statement(source: Path, out: Path, store: Store) -> Path:
    """Lay the statement on a stored model beside its copy in `out`, under the copy's name; signed if there is a key. Returns where.

    Raises:
        SigningError: if the key cannot be read, or the statement cannot be written.
    """
    told = attest(source, store).model_copy(update={"created": ""})
    return leave_statement(attestation_place(out), told, key_of_environment())


def _attested(step: Step, parents: dict[str, Path], files: Path, made: Provenance) -> Attestation:
    recipe = dict(_recipe(step))
    training = _training(step.config)
    return Attestation(
        name="model", root_digest=root_digest(files / "model"), fingerprint=step.fingerprint,
        recipe={key: _told(one) for key, one in recipe.items()}, materials=tuple(_materials(parents, files)),
        method=training.get("method", ""), rank=training.get("rank") if training.get("method") == "lora" else None,
        seeds=_seeds(recipe), libraries=made.libraries, python=made.python, machine=made.machine,
    )  # fmt: skip


def artifact_of(folder: Path, store: Store) -> ArtifactRecord:
    """The record of the artifact that a model folder is, or is a copy of.

    Raises:
        StoreError: if the store has none.
    """
    here = folder.resolve()
    if here.parent.name == "files" and here.parent.parent.parent == (store.root / "artifacts").resolve():
        return store.verify(here.parent.parent.name)
    wanted, size = root_digest(folder), _size(folder)
    for record in store.records():
        model = store.folder(record.fingerprint) / "model"
        if model.is_dir() and _size(model) == size and root_digest(model) == wanted:
            return store.verify(record.fingerprint)
    do = "use --store to name the store it was made in; what was made elsewhere is attested by whoever made it"
    raise StoreError(
        f"model {folder}", wanted=f"one that the store at {store.root} made", got="no such artifact", do=do
    )


def rebuilt(fingerprint: str, store: Store) -> Step:
    """The step that made an artifact, with all before it.

    Raises:
        CorruptArtifactError: if its record does not lead to its fingerprint.
    """
    record = store.record(fingerprint)
    parents = {role: rebuilt(parent, store) for role, parent in record.parents.items()}
    for threads in range(1, _MOST_THREADS + 1):  # records do not hold them; the fingerprint does
        step = Step(record.step, record.version, record.config, parents, record.label, threads=threads)
        if step.fingerprint == fingerprint:
            return step
    raise CorruptArtifactError(f"artifact {fingerprint[:12]}", wanted="a record of its fingerprint", got="another one")


def _recipe(last: Step) -> Iterator[tuple[str, Step]]:
    waiting = [last]
    while waiting:
        step = waiting.pop()
        yield step.fingerprint, step
        waiting += step.parents.values()


def _told(step: Step) -> StepTold:
    return StepTold(
        function=step.function, version=step.version, config=json.loads(json.dumps(step.config)), threads=step.threads,
        parents={role: parent.fingerprint for role, parent in step.parents.items()},
    )  # fmt: skip


def _materials(parents: dict[str, Path], files: Path) -> Iterator[Material]:
    """The model that it was made from, other models and rows that it was given, and the rows of its training."""
    for role, folder in parents.items():
        if (folder / "model").is_dir():
            yield Material(name="base" if role in _MADE_FROM else role, sha256=root_digest(folder / "model"))
        if (folder / "rows.jsonl").is_file():
            yield _rows(role, folder / "rows.jsonl")
            yield from _sources(folder / "dataset.json")
    if (files / "dataset.jsonl").is_file():
        yield _rows("dataset", files / "dataset.jsonl")


def _rows(name: str, path: Path) -> Material:
    return Material(name=name, sha256=file_digest(path).hex(), rows_digest=dataset_digest(read_jsonl(path, Row)))


def _sources(record: Path) -> Iterator[Material]:
    """The files that imported rows were read from, as their bytes lay on the disk."""
    if record.is_file():
        read = DatasetRecord.model_validate_json(record.read_text(encoding="utf-8"))
        yield from (Material(name="data file", sha256=digest) for _, digest in sorted(read.files.items()))


def _training(config: dict[str, Any]) -> dict[str, Any]:
    """The settings of the training that a step did; empty if it did none."""
    found = config.get("budget", config).get("training")
    return found if isinstance(found, dict) else {}


def _seeds(recipe: dict[str, Step]) -> dict[str, int]:
    found: dict[str, int] = {}
    for step in recipe.values():
        for name, value in _walk(step.config, step.function.rpartition(":")[2]):
            if name.endswith(".seed") and isinstance(value, int):
                found[name] = value
    return found


def _walk(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inside in value.items():
            yield from _walk(inside, f"{name}.{key}")
    else:
        yield name, value


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))
