"""The record beside every stored artifact."""

import platform
import sys
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from typing import Any

from molehunt.records.base import Record

_LIBRARIES = ("molehunt", "torch", "transformers", "tokenizers", "peft", "numpy")


@cache
def _installed() -> dict[str, str]:
    found = {}
    for name in _LIBRARIES:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


class Provenance(Record):
    """Where and with what something was made; never part of a fingerprint."""

    created: str
    """UTC, ISO 8601."""
    python: str
    machine: str
    libraries: dict[str, str]
    """Installed versions."""

    @staticmethod
    def here() -> "Provenance":
        """Of this process, now."""
        return Provenance(
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            python=sys.version.split()[0],
            machine=f"{platform.system()} {platform.machine()}",
            libraries=dict(_installed()),
        )


class ArtifactRecord(Record):
    """`artifact.json`: what made the files beside it."""

    fingerprint: str
    step: str
    """The function, `package.module:name`."""
    version: int
    label: str
    config: dict[str, Any]
    parents: dict[str, str]
    """Fingerprints of the parents by role."""
    files_digest: str
    """Tree digest of the folder `files/`."""
    seconds: float
    """Wall time of the step."""
    provenance: Provenance
