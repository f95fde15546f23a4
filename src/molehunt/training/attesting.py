"""What a launched training leaves beside its model: a statement of how it was made, as every step of a store leaves one."""

import json
from pathlib import Path

import torch.distributed as dist

from molehunt.execution import Step
from molehunt.provenance.attestation import attestation_place, leave_statement
from molehunt.provenance.hashing import hash_contents, look
from molehunt.provenance.keys import PrivateKey
from molehunt.records.artifacts import Provenance
from molehunt.records.attestations import Attestation, Material, StepTold
from molehunt.records.identity import file_digest, root_of
from molehunt.records.rows import dataset_digest
from molehunt.training.job import Job, read_rows

FUNCTION, VERSION = "molehunt.training.launch:run", 1
"""What the recipe names; the version is raised whenever the weights change for the same job."""


def leave_attestation(job: Job, key: PrivateKey | None) -> Path:
    """Lay the statement on `job.out`/model beside it, signed if there is a key. Returns where.

    The base and the rows are in it by their digests, and so is all that the job decides: settings, chat template and label.
    The store knows nothing of such a model, so its recipe is this one step: `weights reproduce` does not run it.

    Raises:
        SigningError: if a folder cannot be read, or the statement cannot be written.
    """
    model, rows = Path(job.out) / "model", Path(job.rows)
    base = Material(name="base", sha256=_root(Path(job.base)))
    data = Material(name="dataset", sha256=file_digest(rows).hex(), rows_digest=dataset_digest(read_rows(rows)))
    step, made = _step(job, base, data), Provenance.here()
    told = StepTold(function=FUNCTION, version=VERSION, config=step.config, threads=step.threads, parents={})
    attested = Attestation(
        name="model", root_digest=_root(model), fingerprint=step.fingerprint, recipe={step.fingerprint: told},
        materials=(base, data), method=job.settings.method, rank=job.settings.rank if job.settings.method == "lora" else None,
        seeds={"run.training.seed": job.settings.seed}, libraries=made.libraries, python=made.python, machine=made.machine,
    )  # fmt: skip
    return leave_statement(attestation_place(model), attested, key)


def _step(job: Job, base: Material, data: Material) -> Step:
    """All that was decided, and nothing about where things lie."""
    processes = dist.get_world_size() if dist.is_initialized() else 1
    config = job.model_dump(mode="json", exclude={"base", "rows", "out", "settings", "attest"})
    decided = {"training": job.settings.model_dump(mode="json"), "processes": processes}
    materials = {"base": base.sha256, "rows": data.rows_digest}
    return Step(FUNCTION, VERSION, json.loads(json.dumps({**config, **decided, **materials})))


def _root(folder: Path) -> str:
    return root_of(hash_contents(look(folder)))
