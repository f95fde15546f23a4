"""Kill the driver at random moments: the store holds whole artifacts only, and no work is lost."""

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
import toy_steps

from molehunt.execution import Store

TOTAL = len(toy_steps.tower())


def driver(root: Path, log: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, toy_steps.__file__, str(root), str(log), "2"]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL)


def finished(root: Path) -> dict[str, tuple[int, int]]:
    """Fingerprint to what tells one making of an artifact from another."""
    stats = {p.parent.name: p.stat() for p in root.glob("artifacts/*/artifact.json")}
    return {name: (stat.st_ino, stat.st_mtime_ns) for name, stat in stats.items()}


def digests(root: Path) -> dict[str, str]:
    """Of all that is visible, which must be whole."""
    store = Store(root)
    for folder in (root / "artifacts").iterdir():
        assert sorted(p.name for p in folder.iterdir()) == ["artifact.json", "files"]
    return {p.name: store.verify(p.name).files_digest for p in (root / "artifacts").iterdir()}


def kill_and_go_on(place: Path, kills: int, seed: int) -> None:
    rng, log = random.Random(seed), place / "log"
    assert driver(place / "calm", log).wait() == 0
    calm = digests(place / "calm")
    assert len(calm) == TOTAL
    root, before = place / "0", {}
    for number in range(kills):
        if len(before) == TOTAL:
            assert digests(root) == calm
            root, before = place / str(number), {}
        goal = rng.randrange(len(before), TOTAL)
        run = driver(root, log)
        while len(finished(root)) < goal and run.poll() is None:
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.05))
        run.kill()
        run.wait()
        assert digests(root).items() <= calm.items()
        after = finished(root)
        assert before.items() <= after.items(), "a finished step was made again"
        before = after
    assert driver(root, log).wait() == 0
    assert digests(root) == calm
    assert before.items() <= finished(root).items()


def test_five_kills_lose_nothing(tmp_path: Path) -> None:
    kill_and_go_on(tmp_path, kills=5, seed=1)


@pytest.mark.long
def test_fifty_kills_lose_nothing(tmp_path: Path) -> None:
    kill_and_go_on(tmp_path, kills=50, seed=2)
