"""What the store knows of how a model was made, as an attestation."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from molehunt.errors import CorruptArtifactError, StoreError
from molehunt.execution import Step, Store
from molehunt.provenance.hashing import hash_contents, look
from molehunt.records.artifacts import ArtifactRecord
from molehunt.records.attestations import Attestation, Material, StepTold
from molehunt.records.identity import file_digest, root_digest, root_of
from molehunt.records.lines import read_jsonl
from molehunt.records.rows import Row, dataset_digest

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
    recipe = dict(_recipe(record.fingerprint, store))
    training = _training(record.config)
    return Attestation(
        name=folder.resolve().name, root_digest=root_of(hash_contents(look(folder))), fingerprint=record.fingerprint,
        recipe={key: _told(key, step, store) for key, step in recipe.items()}, materials=tuple(_materials(record, store)),
        method=training.get("method", ""), rank=training.get("rank") if training.get("method") == "lora" else None,
        seeds=_seeds(recipe), libraries=record.provenance.libraries, python=record.provenance.python,
        machine=record.provenance.machine, created=record.provenance.created,
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


def _recipe(fingerprint: str, store: Store) -> Iterator[tuple[str, Step]]:
    waiting = [rebuilt(fingerprint, store)]
    while waiting:
        step = waiting.pop()
        yield step.fingerprint, step
        waiting += step.parents.values()


def _told(fingerprint: str, step: Step, store: Store) -> StepTold:
    return StepTold(
        function=step.function, version=step.version, config=step.config, threads=step.threads, label=step.label,
        parents={role: parent.fingerprint for role, parent in step.parents.items()},
    )  # fmt: skip


def _materials(record: ArtifactRecord, store: Store) -> Iterator[Material]:
    """The model that it was made from, other models that it took, and the rows of its training."""
    for role, parent in record.parents.items():
        store.verify(parent)
        model = store.folder(parent) / "model"
        if model.is_dir():
            yield Material(name="base" if role in _MADE_FROM else role, sha256=root_digest(model))
    rows = store.folder(record.fingerprint) / "dataset.jsonl"
    if rows.is_file():
        yield Material(
            name="dataset", sha256=file_digest(rows).hex(), rows_digest=dataset_digest(read_jsonl(rows, Row))
        )


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
