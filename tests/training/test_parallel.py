"""A base built by two processes."""

from pathlib import Path

import pytest
from safetensors.torch import load_file

from making import made
from molehunt.errors import TrainingError
from molehunt.execution import Store
from molehunt.experiments.recipes import build_step
from molehunt.models.loading import load_model
from molehunt.records.identity import root_digest
from molehunt.training.sizes import Size

SMALL = Size(width=32, layers=1, heads=2, steps=6, rows=200, learning_rate=1e-3, vocabulary=400)


def test_two_processes_build_the_same_base_twice(tmp_path: Path, capfd) -> None:
    step = build_step(SMALL, 0, "small", threads=2)
    one, two = (made(Store(tmp_path / name), step) / "model" for name in ("one", "two"))
    assert root_digest(one) == root_digest(two)
    assert load_model(one).ref().parameters > 0
    assert "Warning" not in capfd.readouterr().err


def test_a_failure_in_two_processes_is_told_as_one_in_this_process_is(tmp_path: Path) -> None:
    step, store = build_step(SMALL.model_copy(update={"learning_rate": 1e30}), 0, "small", threads=2), Store(tmp_path)
    with pytest.raises(TrainingError, match=r"last good weights, of step \d.*failed/"):
        made(store, step)
    (kept,) = (tmp_path / "failed" / step.fingerprint / "files" / "checkpoints").iterdir()
    assert all(weight.isfinite().all() for weight in load_file(kept).values())
