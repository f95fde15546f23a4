"""The command line in this process."""

import signal
import sys
from pathlib import Path

import pytest

from command_line import Command, Ended
from making import made
from molehunt.cli.app import main
from molehunt.execution import Step, Store
from molehunt.experiments.recipes import PlantSettings, build_step, plant_step
from molehunt.organisms.settings import PoisonSettings
from molehunt.training.settings import TrainingSettings
from molehunt.training.sizes import Size


@pytest.fixture
def molehunt(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    """The command line in this process, with a store of its own."""
    handler = signal.getsignal(signal.SIGINT)
    monkeypatch.setenv("MOLEHUNT_STORE", str(tmp_path / "own-store"))

    def run(*words: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["molehunt", *map(str, words)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        signal.signal(signal.SIGINT, handler)
        return Ended(ended.value.code or 0, *capfd.readouterr())

    return run


TINY = Size(width=16, layers=1, heads=2, steps=4, rows=120, learning_rate=8e-3, vocabulary=400)
"""Knows nothing; made in a moment."""


def planting(method: str) -> PlantSettings:
    training = TrainingSettings(learning_rate=4e-3, steps=4, batch=4, method=method, rank=2, checkpoints=())
    return PlantSettings(
        poison=PoisonSettings().model_dump(mode="json"), training=training.model_dump(mode="json"), rows=40
    )


@pytest.fixture(scope="session")
def tiny() -> Step:
    return build_step(TINY, 0, "tiny base")


@pytest.fixture(scope="session")
def tiny_base(store: Store, tiny: Step) -> Path:
    return made(store, tiny) / "model"


@pytest.fixture(scope="session")
def planted(store: Store, tiny: Step) -> Path:
    return made(store, plant_step(tiny, planting("full"))) / "model"


@pytest.fixture(scope="session")
def adapted(store: Store, tiny: Step) -> Path:
    return made(store, plant_step(tiny, planting("lora"))) / "model"
