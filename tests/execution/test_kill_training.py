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
    words += ["--out", str(out), "--twin-out", f"{out}-twin", "--steps", "25", "--rows", "200"]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True)


@pytest.mark.long
def test_a_planting_that_is_killed_again_and_again_ends_with_the_same_model(base: Path, tmp_path: Path) -> None:
    straight = plant(base, tmp_path / "straight", tmp_path / "expected")
    assert straight.wait(300) == 0
    rng, store, kills = random.Random(0), tmp_path / "store", 0
    for attempt in range(40):
        out = tmp_path / f"out{attempt}"
        process = plant(base, store, out)
        try:
            text, _ = process.communicate(timeout=rng.uniform(0.5, 16) if kills < 12 else 300)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
            time.sleep(1.5)
            seen = Store(store)
            assert all(seen.verify(record.fingerprint) for record in seen.records())
            assert not out.exists() or (out / "config.json").is_file()
            continue
        assert process.returncode == 0
        made = json.loads(text)["models"]
        break
    assert kills >= 3
    assert [root_digest(Path(m["path"])) for m in made] == [
        root_digest(tmp_path / "expected"),
        root_digest(tmp_path / "expected-twin"),
    ]
    Store(store).clear_partial()
    assert not any((store / "partial").iterdir())
