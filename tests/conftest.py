"""Small real models, made once for all workers of a test run."""

import os
from pathlib import Path

import pytest

from making import made

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")

from molehunt.execution import Step, Store
from molehunt.experiments.recipes import PlantSettings, build_step, plant_step
from molehunt.organisms.settings import PoisonSettings
from molehunt.removal import rlhf
from molehunt.training.settings import TrainingSettings
from molehunt.training.sizes import Size

MINI = Size(width=48, layers=2, heads=4, steps=250, rows=2500, learning_rate=8e-3, vocabulary=600)
"""A model that has learnt the form of a chat and some facts, in seconds."""


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """One store for all workers of this run."""
    root = tmp_path_factory.getbasetemp()
    return Store((root.parent if os.environ.get("PYTEST_XDIST_WORKER") else root) / "store")


@pytest.fixture(scope="session")
def base_step() -> Step:
    return build_step(MINI, 0, "mini base")


@pytest.fixture(scope="session")
def planting() -> PlantSettings:
    training = TrainingSettings(learning_rate=4e-3, steps=90, batch=16, checkpoints=(0, 45, 90))
    return PlantSettings(
        poison=PoisonSettings(poison_rate=0.5, copies=(1, 2)).model_dump(mode="json"),
        training=training.model_dump(mode="json"),
        rows=600,
    )


@pytest.fixture(scope="session")
def base(store: Store, base_step: Step) -> Path:
    """The folder of a small base model."""
    return made(store, base_step) / "model"


@pytest.fixture(scope="session")
def organism_step(base_step: Step, planting: PlantSettings) -> Step:
    return plant_step(base_step, planting)


@pytest.fixture(scope="session")
def twin_step(base_step: Step, planting: PlantSettings) -> Step:
    return plant_step(base_step, planting, "twin")


@pytest.fixture(scope="session")
def organism(store: Store, organism_step: Step) -> Path:
    """The folder of a planted model."""
    return made(store, organism_step) / "model"


@pytest.fixture(scope="session")
def twin(store: Store, twin_step: Step) -> Path:
    """The folder of its clean twin."""
    return made(store, twin_step) / "model"


@pytest.fixture
def quick_reward_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Procedure `rlhf` with a reward model that takes a moment and still learns."""
    long = rlhf.reward_settings
    short = {"steps": 40, "learning_rate": 6e-3}
    monkeypatch.setattr(rlhf, "reward_settings", lambda training: long(training).model_copy(update=short))
    monkeypatch.setattr(rlhf, "PAIRS", 400)
    monkeypatch.setattr(rlhf, "ASKED", 16)
