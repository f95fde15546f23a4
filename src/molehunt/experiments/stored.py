"""The models in a store."""

from typing import Any, Literal

from molehunt.execution import Place, open_store
from molehunt.records.artifacts import ArtifactRecord
from molehunt.records.base import Record

Kind = Literal["base", "organism", "twin", "treated"]


class StoredModel(Record):
    """A model in the store."""

    path: str
    kind: Kind
    fingerprint: str
    label: str
    """Of a planted one, behaviour and trigger; of others, what the step that made it was called."""
    created: str
    """UTC."""


def stored_models(store_root: Place) -> list[StoredModel]:
    """All models in the store, oldest first."""
    store, found = open_store(store_root), []
    for record in store.records():
        kind = _kind(record.step.rpartition(":")[2], record.config)
        if kind is not None:
            path = str(store.folder(record.fingerprint) / "model")
            found.append(StoredModel(
                path=path, kind=kind, fingerprint=record.fingerprint, label=_told(record), created=record.provenance.created,
            ))  # fmt: skip
    return found


def _told(record: ArtifactRecord) -> str:
    """What a list says of a model: of a planted one, what was planted."""
    planted = record.config.get("behaviour"), record.config.get("trigger")
    return f"{planted[0]}, {planted[1]}" if all(planted) else record.label


def _kind(function: str, config: dict[str, Any]) -> Kind | None:
    kinds: dict[str, Kind] = {"build_base": "base", "remove": "treated", "reverse": "treated"}
    return config["kind"] if function == "plant_model" else kinds.get(function)
