"""The record beside every stored artifact."""

import platform
import sys
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

from molehunt.records.base import Record

_LIBRARIES = ("molehunt", "torch", "transformers", "tokenizers", "peft", "numpy")


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
        found = {}
        for name in _LIBRARIES:
            try:
                found[name] = metadata.version(name)
            except metadata.PackageNotFoundError:
                continue
        return Provenance(
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            python=sys.version.split()[0],
            machine=f"{platform.system()} {platform.machine()}",
            libraries=found,
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
