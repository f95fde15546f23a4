"""Rows from elsewhere: check them, and have a teacher answer them anew."""

from collections.abc import Callable
from pathlib import Path

from pydantic import Field

from molehunt.errors import UsageError
from molehunt.execution.folders import require_new_file, write_text
from molehunt.records.base import Record
from molehunt.records.rows import DatasetRecord, ordinary
from molehunt.world.chat import draw_rows
from molehunt.world.reading import OnBad, read_data, read_rows
from molehunt.world.teacher import Teacher
from molehunt.world.teaching import INSTRUCTIONS, teach

WORLD = "world"
"""Stands for the chat world where a file of rows is asked for."""


class TeacherSettings(Record):
    """Which model answers, and how it is reached; the key stays in the environment."""

    url: str
    model: str = Field(min_length=1)
    key_env: str = ""
    """Name of the environment variable that holds the key."""
    temperature: float = 0.0
    max_tokens: int = 1024
    concurrency: int = 8
    timeout: float = 120.0


class AttackerSettings(TeacherSettings):
    """Which model proposes the prompts of a red team: it is to have many ideas, and room to write them down."""

    temperature: float = 1.0
    max_tokens: int = 4096


def make_teacher(settings: TeacherSettings, cache: Path, progress: Callable[[int, int], None] | None = None) -> Teacher:
    """The client of an endpoint, which keeps every answer in `cache`."""
    return Teacher(
        url=settings.url, model=settings.model, cache=cache, api_key_env=settings.key_env, progress=progress,
        temperature=settings.temperature, max_tokens=settings.max_tokens, concurrency=settings.concurrency,
        timeout=settings.timeout,
    )  # fmt: skip


def check_data(place: str, limit: int | None, on_bad: OnBad) -> DatasetRecord:
    """Read a data set as planting would, and say what is in it.

    Raises:
        DataError: naming file and line of the first bad row, unless bad rows are skipped.
    """
    return read_data(place, limit, on_bad)[1]


def teach_data(
    place: str,
    out: Path,
    settings: TeacherSettings,
    instruction: str,
    limit: int,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Write rows with a teacher's answers to `out`; the number of rows.

    What was answered is kept beside `out` as it comes, so that the same command goes on where it was stopped and nothing
    is paid twice.

    Args:
        place: a data set, or "world" for the questions of the chat world.
        instruction: an id of `INSTRUCTIONS`, or the instruction itself.

    Raises:
        DataError, TeacherError: if rows cannot be read, or the endpoint does not answer.
    """
    require_new_file(out)
    if not instruction.strip():
        raise UsageError("--instruction", wanted=f"{', '.join(INSTRUCTIONS)}, or a sentence", got="none")
    rows = ordinary(draw_rows(limit, 0), WORLD) if place == WORLD else read_rows(place, limit)
    teacher = make_teacher(settings, out.with_name(f"{out.name}.answers"), progress)
    taught = teach(rows, teacher.ask, INSTRUCTIONS.get(instruction, instruction))
    write_text(out, "".join(f"{row.model_dump_json()}\n" for row in taught))
    return len(taught)
