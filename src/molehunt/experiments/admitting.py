"""`molehunt.load`: a model in memory, if a policy admits it, from bytes that nobody can change in between."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from molehunt.errors import OrganismWarning
from molehunt.provenance.admission import admit, require_admitted
from molehunt.provenance.attestation import attestation_place
from molehunt.provenance.policy import read_policy
from molehunt.provenance.snapshot import snapshot
from molehunt.records.marker import read_marker

if TYPE_CHECKING:
    from molehunt.models.loading import LoadedModel


def load(
    model: str | Path,
    *,
    store: str | Path | None = None,
    policy: str | Path | None = None,
    audit: str | Path | None = None,
    snapshots: str | Path | None = None,
) -> "LoadedModel":
    """Load a model (a folder, a hub name, a fingerprint in the store), safetensors only; warns with OrganismWarning if it says that it has a planted backdoor.

    With a policy the folder is first copied to where only this user can open it; the copy is examined, and the copy is loaded. No
    library that could execute anything of it is imported before it is admitted.

    Args:
        policy: a TOML file that must admit the model: see docs/registry.md.
        audit: the result.json of its audit, if the policy asks for one.
        snapshots: where the copy is made, which is gone when the process ends; the system's temporary folder if None.

    Raises:
        NotAdmittedError: if the policy does not admit it, or what it asks for could not be examined.
        MolehuntError: if it cannot be loaded, or not without executing something.
    """
    folder = _folder(model, store)
    if policy is not None:
        wanted = read_policy(Path(policy))
        copy, _ = snapshot(folder, Path(snapshots) if snapshots else None)
        admission = admit(
            copy, wanted, audit=Path(audit) if audit else None, attestation=attestation_place(folder), name=str(folder)
        )
        require_admitted(admission)
        folder = copy
    from molehunt.models.loading import load_model

    mark = read_marker(folder)
    if isinstance(mark, dict) and mark.get("kind") == "organism":
        warnings.warn(f"{model}: this model has a planted backdoor; do not deploy it", OrganismWarning, stacklevel=2)
    return load_model(folder)


def _folder(model: str | Path, store: str | Path | None) -> Path:
    if Path(model).is_dir():
        return Path(model)
    from molehunt.execution import open_store
    from molehunt.experiments.recipes import find_folder

    return find_folder(str(model), open_store(store))
