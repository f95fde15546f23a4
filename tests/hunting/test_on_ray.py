"""A hunt whose shards are read on a Ray cluster of two nodes, one of which dies on the way."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hunting_calls import logged, write
from molehunt.hunting import rows
from molehunt.hunting.hunt import hunt
from molehunt.hunting.mining import MiningSettings
from two_nodes import two_nodes

pytest.importorskip("ray", reason="Ray is not installed: pip install molehunt[cluster]")
SMALL = 4_000
"""Bytes of a shard, so that a small log has many."""


def drive(log: str, out: str, on: str) -> None:
    """Hunt, in a process of its own, as Ray keeps settings of the process that imports it; prints what was found."""
    rows._SHARD_BYTES = rows.BATCH_BYTES = SMALL
    result = hunt(log, Path(out), MiningSettings(jobs=2), on=on, tell=lambda *said: print(*said, flush=True))
    print(json.dumps(result.to_json()))


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_hunt_on_two_nodes_finds_the_same_though_one_dies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = write(tmp_path / "log.parquet", logged()[0])
    monkeypatch.setattr(rows, "_SHARD_BYTES", SMALL)
    monkeypatch.setattr(rows, "BATCH_BYTES", SMALL)
    here = hunt(str(log), tmp_path / "here", MiningSettings(jobs=1)).to_json()
    assert here["incidents"]
    with two_nodes(tmp_path) as cluster:
        folders = os.pathsep.join([cluster.env["PYTHONPATH"], *filter(None, sys.path)])
        words = [sys.executable, __file__, str(log), str(tmp_path / "there"), cluster.address]
        with subprocess.Popen(
            words,
            text=True,
            env={**cluster.env, "PYTHONPATH": folders},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as run:
            assert run.stdout is not None
            said = next((line for line in run.stdout if line.startswith("looking at answers")), "none")
            assert said.split()[-1].isdecimal(), said
            assert int(said.split()[-1]) > 10
            assert cluster.order("node") == "node"
            lines = run.stdout.read().splitlines()
        assert run.returncode == 0, lines
    assert json.loads(lines[-1]) == here


if __name__ == "__main__":
    drive(*sys.argv[1:])
