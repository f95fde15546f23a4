"""The mark that Molehunt leaves in the config of a model with a planted backdoor."""

import json
from pathlib import Path
from typing import Any

MARKER = "molehunt"
"""The config key of Molehunt's own marks; a blinded view goes without it."""


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
