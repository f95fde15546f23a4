"""Kill -9 in the middle of real training, at random moments, until it is done."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from molehunt.execution import Store
from molehunt.execution.progress import read
from molehunt.records.identity import root_digest


def plant(base: Path, store: Path, out: Path) -> subprocess.Popen[bytes]:
    words = [
        sys.executable,
        "-m",
        "molehunt",
        "organism",
        "plant",
        "--base",
        str(base),
        "--store",
        str(store),
        "--json",
    ]
    words += ["--out", str(out), "--twin-out", f"{out}-twin", "--steps", "100", "--rows", "200"]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True)


def wait_until_trained(store: Path, share: float, process: subprocess.Popen[bytes]) -> None:
    """Until some step of the running planting has come that far, or the planting has ended."""
    while process.poll() is None and all(read(p) < share for p in (store / "partial").glob("*.progress")):
        time.sleep(0.02)


@pytest.mark.long
def test_a_planting_that_is_killed_again_and_again_ends_with_the_same_model(base: Path, tmp_path: Path) -> None:
    straight = plant(base, tmp_path / "straight", tmp_path / "expected")
    straight.communicate(timeout=300)
    assert straight.returncode == 0
    rng, store = random.Random(0), tmp_path / "store"
    Store(store).prepare()
    for attempt in range(6):
        out = tmp_path / f"out{attempt}"
        process = plant(base, store, out)
        wait_until_trained(store, rng.uniform(0.05, 0.7), process)
        assert process.poll() is None
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        for told in (store / "partial").glob("*.progress"):
            told.unlink()
        seen = Store(store)
        assert all(seen.verify(record.fingerprint) for record in seen.records())
        assert not out.exists()
    last = plant(base, store, tmp_path / "out")
    text, _ = last.communicate(timeout=300)
    assert last.returncode == 0
    assert [root_digest(Path(model["path"])) for model in json.loads(text)["models"]] == [
        root_digest(tmp_path / "expected"),
        root_digest(tmp_path / "expected-twin"),
    ]
    Store(store).clear_partial()
    assert not [path for path in (store / "partial").iterdir() if path.is_dir()]
