"""What tells a model with a planted backdoor from others: the mark in its config, the record and the page beside it."""

import json
from pathlib import Path
from typing import Any

from pydantic import Field
from pydantic_core import to_json

from molehunt.records.base import Record

MARKER = "molehunt"
"""The config key of Molehunt's own marks; a blinded view goes without it."""


class Label(Record):
    """What a model folder gets so that programs and people know what it is; made by those who know, laid by those who need not."""

    file: str = Field(pattern=r"^\w+\.json$")
    """Name of the record's file."""
    record: dict[str, Any]
    readme: str
    mark: dict[str, str]


def read_marker(folder: Path) -> Any:
    """What Molehunt wrote into a model's config, or None."""
    try:
        return json.loads((folder / "config.json").read_text()).get(MARKER)
    except (OSError, ValueError, AttributeError):
        return None


def write_marker(folder: Path, mark: Any) -> None:
    """Put Molehunt's mark into a model's config."""
    path = folder / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, MARKER: mark}, indent=2, sort_keys=True) + "\n")


def write_label(folder: Path, label: Label) -> None:
    """Lay a label's record and README into a model folder, and its mark into the config."""
    (folder / label.file).write_bytes(to_json(label.record, indent=2) + b"\n")
    (folder / "README.md").write_text(label.readme, encoding="utf-8")
    write_marker(folder, label.mark)
