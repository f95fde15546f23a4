"""Kill runs at any moment: the store holds whole artifacts only, and no finished work is lost."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import toy_steps

from molehunt.errors import CorruptArtifactError
from molehunt.execution import Graph, Store, run_graph

TOTAL = len(toy_steps.tower())


def start(root: Path, log: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, toy_steps.__file__, "tower", str(root), str(log)]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)


def finished(root: Path) -> dict[str, tuple[int, int]]:
    """Fingerprint to what tells one making of an artifact from another."""
    found = {}
    for path in root.glob("artifacts/*/artifact.json"):
        found[path.parent.name] = (path.stat().st_ino, path.stat().st_mtime_ns)
    return found


def digests(root: Path) -> dict[str, str]:
    """Of all that is visible, which must be whole."""
    store = Store(root)
    for folder in (root / "artifacts").iterdir():
        assert sorted(p.name for p in folder.iterdir()) == ["artifact.json", "files"]
    return {p.name: store.verify(p.name).files_digest for p in (root / "artifacts").iterdir()}


def wait_for_work(run: subprocess.Popen[bytes], root: Path, artifacts: int) -> None:
    """Until that many artifacts are there and a step is being made."""
    while run.poll() is None:
        if len(finished(root)) >= artifacts and list(root.glob("partial/*/files")):
            return
        time.sleep(0.0005)


def kill_and_go_on(place: Path, kills: int, seed: int) -> None:
    rng, log = random.Random(seed), place / "log"
    assert start(place / "calm", log).wait() == 0
    calm = digests(place / "calm")
    assert len(calm) == TOTAL
    root, before = place / "0", {}
    for number in range(kills):
        run = start(root, log)
        wait_for_work(run, root, rng.randrange(len(before), min(len(before) + 6, TOTAL)))
        time.sleep(rng.uniform(0, 0.02))
        with_workers = rng.random() < 0.7
        with contextlib.suppress(ProcessLookupError):
            os.killpg(run.pid, signal.SIGKILL) if with_workers else run.kill()
        run.wait()
        assert digests(root).items() <= calm.items()
        after = finished(root)
        assert before.items() <= after.items(), "a finished step was made again"
        root, before = (root, after) if len(after) < TOTAL else (place / str(number + 1), {})
    assert start(root, log).wait() == 0
    assert digests(root) == calm
    assert before.items() <= finished(root).items()


def test_five_kills_of_a_pool_lose_nothing(tmp_path: Path) -> None:
    kill_and_go_on(tmp_path, kills=5, seed=1)


@pytest.mark.long
def test_fifty_kills_of_a_pool_lose_nothing(tmp_path: Path) -> None:
    kill_and_go_on(tmp_path, kills=50, seed=2)


@pytest.mark.parametrize("found", ["nothing", "a changed artifact"])
def test_a_kill_before_any_file_operation_loses_nothing(tmp_path: Path, found: str) -> None:
    graph = Graph(toy_steps.pair())
    calm, first = Store(tmp_path / "calm"), next(iter(graph.steps))
    run_graph(graph, calm, jobs=0)
    start = Store(tmp_path / "places" / "start")
    start.prepare()
    start_from = start.root
    if found == "a changed artifact":
        shutil.copytree(calm.folder(first).parent, start_from / "artifacts" / first)
        (start_from / "artifacts" / first / "files" / "big").write_text("changed")
    subprocess.run([sys.executable, toy_steps.__file__, "kill", str(start_from)], check=True)
    places = sorted(p for p in (tmp_path / "places").iterdir() if p != start_from)
    assert len(places) > 20
    for root in places:
        store = Store(root)
        for one in (root / "artifacts").glob("*"):
            with contextlib.suppress(CorruptArtifactError) if found != "nothing" else contextlib.nullcontext():
                assert store.verify(one.name).files_digest == digests(calm.root)[one.name]
        before = {name: made for name, made in finished(root).items() if name != first}
        run_graph(graph, Store(root), jobs=0)
        assert digests(root) == digests(calm.root)
        assert before.items() <= finished(root).items()
        assert not [p for p in (root / "partial").iterdir() if p.is_dir()]
