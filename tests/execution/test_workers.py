"""Workers are forked from a process that is ready, see the driver's environment, and die with the driver."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import toy_steps
from toy_steps import step

from molehunt.execution import Graph, Store, run_graph


def program(code: str) -> subprocess.Popen[str]:
    place = os.pathsep.join([str(Path(toy_steps.__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": place}
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment)


def is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_workers_die_with_their_driver(tmp_path: Path, how: signal.Signals) -> None:
    code = (
        "from toy_steps import *\n"
        f"steps = [step(str(i), function='linger', where={{'log': {str(tmp_path)!r}}}) for i in range(2)]\n"
        f"run_graph(Graph(steps), Store(Path({str(tmp_path / 'store')!r})), jobs=2)"
    )
    with program(code) as driver:
        until = time.monotonic() + 60
        while len(list(tmp_path.glob("worker *"))) < 2 and time.monotonic() < until:
            time.sleep(0.05)
        workers = [int(path.name.split()[1]) for path in tmp_path.glob("worker *")]
        assert len(workers) == 2
        assert all(map(is_alive, workers))
        driver.send_signal(how)
    until = time.monotonic() + 10
    while any(map(is_alive, workers)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(map(is_alive, workers))


def test_what_was_got_ready_is_imported_before_a_worker_begins() -> None:
    code = (
        "from molehunt.execution.workers import get_ready, _pool\n"
        "import toy_steps\n"
        "get_ready(['colorsys'])\n"
        "with _pool(1) as pool:\n"
        "    print(*[pool.submit(toy_steps.has, name).result() for name in ('colorsys', 'wave')])"
    )
    assert program(code).communicate()[0].split() == ["True", "False"]


def test_workers_look_for_garbage_though_what_they_are_forked_from_does_not() -> None:
    code = (
        "import gc\n"
        "from molehunt.execution.spread import Processes\n"
        "from molehunt.execution.workers import get_ready, _pool\n"
        "import toy_steps\n"
        "get_ready(['colorsys'])\n"
        "with _pool(1) as pool:\n"
        "    print(*[pool.submit(one).result() > 0 for one in (gc.isenabled, gc.get_freeze_count)])\n"
        "print(*Processes(2).over(toy_steps.collects, None, [1, 2], lambda done, parts: None))"
    )
    assert program(code).communicate()[0].split() == ["True"] * 4


def test_a_worker_sees_the_environment_of_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path / "store")
    for said in ("one", "two"):
        monkeypatch.setenv("MOLEHUNT_TOY", said)
        asked = step(said, function="tell_environment")
        run_graph(Graph([asked]), store, jobs=1)
        assert (store.folder(asked.fingerprint) / "text").read_text() == said
