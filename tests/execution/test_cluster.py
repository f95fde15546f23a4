"""Graphs on a real Ray cluster: whole, the same as here, whatever dies on the way."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import toy_steps

import molehunt
from molehunt.errors import ClusterError, UsageError
from molehunt.execution import Graph, Needs, Store, open_store, run_graph
from molehunt.execution.cluster import wait_limit
from molehunt.execution.machines import look_around, misfit
from two_nodes import TwoNodes, two_nodes

pytest.importorskip("ray", reason="Ray is not installed: pip install molehunt[cluster]")
HEIGHT = 20


def drive(place: str, on: str, env: dict[str, str] | None = None, **more: Any) -> subprocess.Popen[str]:
    """Make the tower in a process of its own, as Ray keeps settings of the process that imports it."""
    words = [sys.executable, toy_steps.__file__, "drive", place, on, json.dumps(more)]
    given = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(Path(toy_steps.__file__).parent), *filter(None, sys.path)]),
    }
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(words, env=env or given, **pipes)  # type: ignore[call-overload, no-any-return]


def ended(run: subprocess.Popen[str], seconds: float = 600) -> dict[str, Any]:
    out, _ = run.communicate(timeout=seconds)
    assert run.returncode == 0, out
    found: dict[str, Any] = json.loads(out.splitlines()[-1])
    return found


def digests(store: Store) -> dict[str, str]:
    return {name: store.verify(name).files_digest for name in store._names()}


def here(place: Path) -> dict[str, str]:
    store = Store(place / "here")
    run_graph(Graph(toy_steps.tower(HEIGHT)), store, jobs=0)
    return digests(store)


def wait_for(run: subprocess.Popen[str], store: Path, artifacts: int) -> None:
    """Until the run has left so many."""
    while len(list(store.glob("artifacts/*/artifact.json"))) < artifacts:
        assert run.poll() is None, run.communicate()[0]
        time.sleep(0.05)


def test_a_cluster_of_this_machine_makes_the_same_and_listens_on_loopback_alone(tmp_path: Path) -> None:
    found = ended(drive(str(tmp_path / "store"), "ray"))
    assert found["done"] == HEIGHT
    assert found["listening"]
    assert set(found["listening"]) == {"127.0.0.1"}
    assert not found["left"]
    assert digests(Store(tmp_path / "store")) == here(tmp_path)
    assert not list((tmp_path / "store").glob("seen-*"))


def test_what_a_step_needs_of_a_machine_does_not_decide_its_result() -> None:
    one = toy_steps.step("one")
    assert replace(one, needs=Needs(gpus=4, memory=80)).fingerprint == one.fingerprint


@pytest.mark.parametrize(("on", "jobs"), [("rya", 2), ("ray://", 2), ("ray://host", 2), ("ray", 0)])
def test_words_that_name_no_engine_are_refused(tmp_path: Path, on: str, jobs: int) -> None:
    with pytest.raises(UsageError, match="--on"):
        run_graph(Graph(toy_steps.pair()), Store(tmp_path), jobs, on=on)


def test_an_address_that_does_not_answer_is_one_sentence(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = time.monotonic()
    with pytest.raises(ClusterError, match=f"ray://127.0.0.1:{port}.*refused.*check the address"):
        run_graph(Graph(toy_steps.pair()), Store(tmp_path), on=f"ray://127.0.0.1:{port}")
    assert time.monotonic() - started < 20
    assert not list(tmp_path.glob("seen-*"))


@pytest.mark.long
@pytest.mark.timeout(900)
def test_an_address_that_stays_silent_is_one_sentence_too(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        run = drive(str(tmp_path / "store"), f"ray://127.0.0.1:{silent.getsockname()[1]}")
        out, _ = run.communicate(timeout=300)
    assert run.returncode != 0
    assert "wanted a Ray cluster that answers" in out.splitlines()[-1]
    assert float(out.splitlines()[-1].split()[0]) < 150  # a bound against waiting for ever


@pytest.mark.parametrize("name", ["molehunt", "code of molehunt", "torch", "Python", "store"])
def test_a_machine_that_is_set_up_differently_is_refused_by_name(tmp_path: Path, name: str) -> None:
    (tmp_path / "mark").touch()
    wanted = look_around(str(tmp_path / "mark"))
    assert wanted["store"] == "seen"
    assert misfit({**wanted, "host": "other"}, wanted) is None
    with pytest.raises(ClusterError, match=f"machine other; wanted {name} .*; got 0.0"):
        raise misfit({**wanted, "host": "other", name: "0.0"}, wanted)  # type: ignore[misc]


def test_a_machine_that_does_not_see_the_store_says_so(tmp_path: Path) -> None:
    assert look_around(str(tmp_path / "mark"))["store"] == "not seen"


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("shared", ["folder", "url"])
def test_a_worker_and_a_node_are_killed_and_nothing_differs(tmp_path: Path, shared: str) -> None:
    root = tmp_path / "store"
    place = f"file://{root}" if shared == "url" else str(root)
    with two_nodes(tmp_path) as cluster:
        run = drive(place, cluster.address, cluster.env, sleep=0.4)
        wait_for(run, root, 4)
        assert cluster.order("worker").startswith("ray::")
        wait_for(run, root, 8)
        assert cluster.order("node") == "node"
        found = ended(run)
    assert (found["done"], found["failed"]) == (HEIGHT, {})
    assert digests(open_store(place)) == here(tmp_path)
    if shared == "url":
        made = [len(list((tmp_path / f"cache of node {i}").glob("*/artifacts/*"))) for i in (1, 2)]
        assert min(made) > 0, "both nodes worked, each with files of its own"


@pytest.mark.long
@pytest.mark.timeout(900)
def test_steps_that_die_or_fit_nowhere_fail_alone(tmp_path: Path) -> None:
    with two_nodes(tmp_path) as cluster:
        found = ended(drive(str(tmp_path / "store"), cluster.address, cluster.env, extra=["die", "refuse", "huge"]))
        again = ended(drive(str(tmp_path / "store"), cluster.address, cluster.env))
    assert found["done"] == again["cached"] == HEIGHT
    assert "died" in found["failed"]["die"]
    assert "rows" in found["failed"]["refuse"]
    assert "wanted 1 CPU, 64 GPU; got no machine that has it" in found["failed"]["huge"]


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_driver_waits_for_a_cluster_that_is_not_ready_and_says_so(tmp_path: Path) -> None:
    with two_nodes(tmp_path, head={"RAY_CLIENT_SERVER_CHECK_CHANNEL_TIMEOUT_S": "20"}) as cluster:
        run = drive(str(tmp_path / "store"), cluster.address, {**cluster.env, "MOLEHUNT_CLUSTER_WAIT": "0.1"})
        assert cluster.order("server") == "server"
        out, _ = run.communicate(timeout=300)
        assert re.search(r"not ready after \d+ s: .*; do: raise MOLEHUNT_CLUSTER_WAIT \(0.1\), and RAY_", out), out
        run = drive(str(tmp_path / "store"), cluster.address, cluster.env)
        assert cluster.order("server") == "server"
        found = ended(run)
    assert found["done"] == HEIGHT
    assert len([said for said in found["waited for"] if "made ready" in said]) > 1


@pytest.mark.parametrize("said", ["soon", "0", "nan", "inf"])
def test_a_wait_that_is_no_number_of_seconds_is_refused(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    monkeypatch.setenv("MOLEHUNT_CLUSTER_WAIT", said)
    with pytest.raises(UsageError, match=f"MOLEHUNT_CLUSTER_WAIT; wanted seconds, above 0; got {said}"):
        wait_limit()


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_node_with_another_molehunt_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(Path(molehunt.__file__).parent, other / "molehunt", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.rmtree(other / "molehunt" / "execution")
    with two_nodes(tmp_path, {"PYTHONPATH": str(other)}) as cluster:
        assert_refused(cluster, tmp_path, "wanted code of molehunt")
        cluster.order("node")
        assert ended(drive(str(tmp_path / "store"), cluster.address, cluster.env))["done"] == HEIGHT
        assert_refused(replaced_token(cluster), tmp_path, "wanted a Ray cluster that answers")


def replaced_token(cluster: TwoNodes) -> TwoNodes:
    return TwoNodes(cluster.process, cluster.address, {**cluster.env, "RAY_AUTH_TOKEN": "0" * 64})


def assert_refused(cluster: TwoNodes, place: Path, sentence: str) -> None:
    run = drive(str(place / "refused"), cluster.address, cluster.env)
    out, _ = run.communicate(timeout=300)
    assert run.returncode != 0
    assert sentence in out.splitlines()[-1]
