"""A Ray cluster: one of this machine, started for a run, or one that is there already."""

import logging
import math
import os
import secrets
import shutil
import socket
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any

from molehunt.errors import ClusterError, UsageError
from molehunt.execution.machines import Mark, as_code, look_around, misfit

_PRIVATE = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
    # The one switch that makes every server of Ray listen on 127.0.0.1; without it all listen on every address.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
}
_IMPATIENT = {"RAY_CLIENT_INITIAL_CONNECTION_TIMEOUT_S": "4", "RAY_CLIENT_MAX_CONNECTION_TIMEOUT_S": "5"}
"""Three tries of so many seconds."""
_OBJECTS = 100 * 2**20
"""Bytes of Ray's object store: artifacts do not pass through it."""
WAIT = "MOLEHUNT_CLUSTER_WAIT"
"""Environment variable: seconds that a cluster may take to make ready for a run."""
_WAIT = 180.0
_PAUSE = 2.0
"""Seconds before another try."""
_SLOW = "timed out during startup"
"""What Ray says of a node of its own that took longer than the 30 s that it gives."""
_HEAD_WAIT = "RAY_CLIENT_SERVER_CHECK_CHANNEL_TIMEOUT_S"
"""Ray's own: seconds, 30 by default, after which the head node gives up a server that it started for a driver."""


class Cluster:
    """A Ray cluster whose machines are alike and see one place.

    Args:
        place: a store, or a folder, that every machine must see.
        tell: called with what is waited for.
        option: of the command line, that names the place.

    Raises:
        ClusterError: if Ray is not installed, the cluster does not answer, a machine of it has another Molehunt, Python or
            library, or does not see the store.
        UsageError: if MOLEHUNT_CLUSTER_WAIT is no number of seconds.
    """

    def __init__(
        self, place: str, on: str, jobs: int, tell: Callable[[str], None] = lambda what: None, option: str = "--store"
    ) -> None:
        self.place, self.on, self._tell, self._wait, self._option = place, on, tell, wait_limit(), option
        self._folder = ""
        self._seen, self._nodes = 0.0, list[dict[str, float]]()
        self._mark = Mark(place)
        try:
            self._ray = self._start(jobs) if on == "ray" else self._join()
            self._wanted = look_around(self._mark.path)
            self._greet()
        except BaseException:
            self.close()
            raise

    @contextmanager
    def answering(self) -> Iterator[None]:
        """What breaks off in the block, because the cluster went silent, is one sentence."""
        try:
            yield
        except ConnectionError as error:
            raise _unanswered(self.on, error, "it stopped answering", "run again, it continues") from None

    def close(self) -> None:
        with suppress(Exception):
            self._ray.shutdown()
        self._mark.remove()
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self, jobs: int) -> Any:
        """A cluster of this machine alone, for this run alone."""
        os.environ.update(_PRIVATE, RAY_AUTH_TOKEN=secrets.token_hex(32))
        ray = _ray()
        self._folder = tempfile.mkdtemp(prefix="ray-")
        self._patiently(lambda: ray.init(
            address="local", num_cpus=jobs, include_dashboard=False, object_store_memory=_OBJECTS, log_to_driver=False,
            logging_level=logging.ERROR, _temp_dir=self._folder,
        ))  # fmt: skip
        if (address := ray.util.get_node_ip_address()) != "127.0.0.1":
            self._ray = ray
            raise ClusterError("a cluster of this machine", wanted="one that listens on 127.0.0.1", got=address,
                               do="do not import ray before molehunt starts it")  # fmt: skip
        return ray

    def _join(self) -> Any:
        host, _, port = self.on.removeprefix("ray://").rpartition(":")
        try:
            with socket.create_connection((host.strip("[]"), int(port)), timeout=10):
                pass
        except (OSError, OverflowError) as error:
            raise _unanswered(self.on, error) from None
        for name, seconds in _IMPATIENT.items():
            os.environ.setdefault(name, seconds)
        ray = _ray()
        self._patiently(lambda: ray.init(self.on, log_to_driver=False, logging_level=logging.ERROR))
        return ray

    def _patiently(self, begin: Callable[[], object]) -> None:
        """Begin again while Ray gives up too early: a busy machine takes longer to start a process than Ray waits."""
        started = time.monotonic()
        while True:
            self._tell(f"--on {self.on}: made ready, {time.monotonic() - started:.0f} of at most {self._wait:g} s")
            try:
                with warnings.catch_warnings(action="ignore"):
                    begin()
                return
            except Exception as error:  # a wrong token, another Ray, and silence raise errors of different libraries
                if not isinstance(error, ConnectionAbortedError) and _SLOW not in str(error):
                    raise _unanswered(self.on, error) from None
                if (waited := time.monotonic() - started) >= self._wait:
                    what = f"it is not ready after {waited:.0f} s: {last_line(error)}"
                    do = f"raise {WAIT} ({self._wait:g}), and {_HEAD_WAIT} (30) where the head node starts"
                    raise _unanswered(self.on, error, what, do) from None
                _stop_half_started(error)
            time.sleep(_PAUSE)

    def machines(self) -> list[dict[str, float]]:
        """Resources of each machine that is alive, as of a second ago."""
        if time.monotonic() - self._seen > 1:
            self._nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
            self._seen = time.monotonic()
        return self._nodes

    def _greet(self) -> None:
        """Refuse machines that are set up differently before any work is done."""
        self._tell(f"the machines of {self.on} are looked at")
        at = self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
        look = self._ray.remote(num_cpus=0, max_retries=0)(as_code(look_around))
        asked = {
            look.options(scheduling_strategy=at(node["NodeID"], soft=False)).remote(self._mark.path): node
            for node in self._ray.nodes()
            if node["Alive"] and node["Resources"].get("CPU")
        }
        gone = (self._ray.exceptions.TaskUnschedulableError, self._ray.exceptions.NodeDiedError)
        for task, node in asked.items():
            try:
                found = self._ray.get(task, timeout=self._wait)
            except gone:
                continue
            except Exception as error:
                got, do = f"{type(error).__name__}: {first_line(error)}", f"look at that machine, or raise {WAIT}"
                raise ClusterError(
                    f"machine {node['NodeManagerHostname']}", wanted="an answer", got=got, do=do
                ) from None
            if refused := misfit(found, self._wanted, self._option):
                raise refused


def _stop_half_started(error: Exception) -> None:
    """Stop what a node that did not start in time leaves behind: Ray hands it to nobody but the trace of its error."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        node: Any = frame.f_locals.get("self")
        if hasattr(type(node), "kill_all_processes"):
            node.kill_all_processes(check_alive=False, wait=True)
            return


def wait_limit() -> float:
    """Seconds that a cluster, and each machine of it, may take to make ready.

    Raises:
        UsageError: if the environment says something that is no number above 0.
    """
    said = os.environ.get(WAIT) or str(_WAIT)
    with suppress(ValueError):
        if 0 < (seconds := float(said)) < math.inf:
            return seconds
    raise UsageError(WAIT, wanted="seconds, above 0", got=said)


def refused_here(wanted: Mapping[str, str], mark: str, option: str = "--store") -> ClusterError | None:
    """Why the machine that runs this may not work for a driver that found `wanted`; None if it may."""
    return misfit(_looked(mark), wanted, option)


_looked = lru_cache(maxsize=1)(look_around)


def _ray() -> Any:
    try:
        import ray
        import ray.util.scheduling_strategies
    except ImportError as error:
        raise ClusterError("--on ray", wanted="Ray", got=str(error), do="pip install 'molehunt[cluster]'") from None
    return ray


def _unanswered(on: str, error: Exception, what: str = "", do: str = "") -> ClusterError:
    got = what or f"{type(error).__name__}: {first_line(error)}"
    do = do or "check the address (Ray's client port, 10001 by default) and RAY_AUTH_TOKEN"
    return ClusterError(f"cluster {on}", wanted="a Ray cluster that answers", got=got, do=do)


def first_line(error: Exception) -> str:
    """Of what an error says; empty if it says nothing."""
    return (str(error).strip().splitlines() or [""])[0]


def last_line(error: Exception) -> str:
    """Of what an error says; empty if it says nothing."""
    return (str(error).strip().splitlines() or [""])[-1]
