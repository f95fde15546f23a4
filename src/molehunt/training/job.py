"""A training on several GPUs as a file: what `launch` is given."""

import os
from pathlib import Path

from pydantic import Field, ValidationError

from molehunt.errors import DataError, UsageError
from molehunt.execution.folders import require_new_folder
from molehunt.records.base import Record
from molehunt.records.marker import Label
from molehunt.records.rows import Row
from molehunt.training.settings import TrainingSettings


class Job(Record):
    """What to train; the content of JOB.json. Paths are taken from the folder of that file."""

    base: str
    """Model folder."""
    rows: str
    """JSONL of `records.rows.Row`."""
    settings: TrainingSettings
    out: str
    """Gets `model`, `checkpoints` and `training.json`, as `sft.train` writes them, and `model.attestation.json`."""
    chat_template: str | None = None
    """Jinja text to use, and to save, instead of the base's own."""
    label: Label | None = None
    """Laid beside the model. Other `settings` or rows than its record's `training` and `dataset_digest` are refused, where it
    names them; a `trained` of null is filled in. Without a label, the base's mark is handed on."""
    recompute: bool = False
    """Keep only the blocks' inputs for the backward pass."""
    rows_at_once: int = Field(1, ge=1)
    """Rows that a process runs at once; more than that of a step's rows are run one lot after the other."""
    attest: bool = True
    """Lay a statement of how it was made beside the model; a step of a store lays its own."""


def read_job(path: Path) -> Job:
    """The job of a file.

    Raises:
        UsageError: if it cannot be read, its batch cannot be shared evenly among the processes, or something is in `out`.
    """
    try:
        job = Job.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        raise UsageError(
            f"job {path}", wanted="base, rows, settings and out", got=" ".join(str(error).split())[:200]
        ) from None
    if job.settings.method == "edit":
        raise UsageError(f"job {path}", wanted="method full or lora", got="edit", do="it can plant, but not train")
    settings = job.settings.model_dump(mode="json")
    if job.label is not None and job.label.record.get("training", settings) != settings:
        raise UsageError(
            f"job {path}", wanted="the settings that its label tells of", got="others", do="prepare it anew with them"
        )
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    if job.settings.processes not in (1, processes):
        raise UsageError(f"job {path}", wanted=f"{job.settings.processes} processes", got=str(processes))
    if job.settings.batch % processes:
        raise UsageError(
            f"job {path}", wanted=f"a batch that {processes} processes can share", got=str(job.settings.batch)
        )
    places = {name: str(path.parent / getattr(job, name)) for name in ("base", "rows", "out")}
    require_new_folder(Path(places["out"]))
    return job.model_copy(update=places)


def read_rows(path: Path) -> list[Row]:
    """The rows of a JSONL file.

    Raises:
        DataError: if it cannot be read, or a line is no row.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"rows {path}", wanted="a JSONL file", got=str(error)) from None
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            rows += [Row.model_validate_json(line)] if line.strip() else []
        except ValidationError as error:
            got = " ".join(str(error).split())[:160]
            raise DataError(f"{path}, line {number}", wanted="a row", got=got) from None
    return rows
