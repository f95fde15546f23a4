"""A study on a cluster whose workers and machines die: bit for bit that of this machine."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from toy_study import toy

from molehunt.execution import Store, open_store
from molehunt.experiments.studies.running import run_study
from two_nodes import two_nodes

pytest.importorskip("ray", reason="Ray is not installed: pip install molehunt[cluster]")


def made(root: Path) -> int:
    return len(list(root.glob("artifacts/*/artifact.json")))


@pytest.mark.long
def test_the_toy_study_is_the_same_whatever_is_killed(base: Path, tmp_path: Path) -> None:
    here = Store(tmp_path / "here")
    calm = run_study(toy(str(base)), here, jobs=2)
    assert not calm.progress.failed
    file, far = tmp_path / "study.py", tmp_path / "far"
    file.write_text("from toy_study import toy\n\ndef study(base):\n    return toy(base)\n")
    words = [sys.executable, "-m", "molehunt", "study", "run", str(file), "--with", f"base={base}", "--json"]
    with two_nodes(tmp_path) as cluster:
        words += ["--store", f"file://{far}", "--on", cluster.address]
        run = subprocess.Popen(words, env=cluster.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for share, what in ((0.2, "worker"), (0.4, "node")):
            while made(far) < share * calm.progress.total:
                assert run.poll() is None, run.communicate()
                time.sleep(0.1)
            assert cluster.order(what) != "none"
        out, err = run.communicate(timeout=900)
    assert run.returncode == 0, err
    assert json.loads(out)["failed"] == 0
    store = open_store(f"file://{far}")
    assert made(far) == made(here.root) == calm.progress.total
    for record in here.records():
        assert store.record(record.fingerprint).files_digest == record.files_digest, record.label
