"""A Ray cluster of two nodes on this machine; run as a program, obeys its standard input until that ends."""

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

_PRIVATE = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # listens on 127.0.0.1 alone
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
    "PYTHONWARNINGS": "ignore",
    "RAY_CLIENT_SERVER_CHECK_CHANNEL_TIMEOUT_S": "120",  # a busy machine starts a driver's server slowly
    "RAY_memory_monitor_refresh_ms": "0",  # what else runs here must not get the steps of a test killed
}


class TwoNodes:
    """The cluster as a test sees it."""

    def __init__(self, process: subprocess.Popen[str], address: str, env: dict[str, str]) -> None:
        self.process, self.address, self.env = process, address, env

    def order(self, what: str) -> str:
        """`worker`, `node` or `server`, the one of a driver: kill one; returns what was killed."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(what, file=self.process.stdin, flush=True)
        return self.process.stdout.readline().strip()


@contextlib.contextmanager
def two_nodes(
    place: Path, second: dict[str, str] | None = None, head: dict[str, str] | None = None
) -> Iterator[TwoNodes]:
    """A cluster whose nodes keep caches of their own; `second`: environment of the second node, `head` of all."""
    folders = [str(Path(__file__).parent), *filter(None, sys.path)]
    env = {**os.environ, **_PRIVATE, "RAY_AUTH_TOKEN": secrets.token_hex(32), "PYTHONPATH": os.pathsep.join(folders)}
    env |= {"MOLEHUNT_CACHE": str(place / "cache of the driver"), **(head or {})}
    told = [f"{name}={value}" for name, value in (second or {}).items()]
    for last in (False, False, True):  # Ray gives a node 30 s to start, and no way to give it more
        with _started([str(place), *told], env, place / "cluster.err") as (process, address):
            if address.startswith("ray://"):
                yield TwoNodes(process, address, env)
                return
            assert not last, (place / "cluster.err").read_text()


@contextlib.contextmanager
def _started(words: list[str], env: dict[str, str], errors: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """This file as a program, and the first line that it says."""
    with errors.open("w") as stderr, subprocess.Popen(
        [sys.executable, __file__, *words], env=env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=stderr, start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.stdin.close()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _wait_for_port(port: int) -> None:
    for _ in range(600):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)


def _kill_worker(raylets: list[int]) -> str:
    """Of a step that is being made; waits for one."""
    for _ in range(600):
        for raylet in raylets:
            for child in Path(f"/proc/{raylet}/task/{raylet}/children").read_text().split():
                name = Path(f"/proc/{child}/cmdline").read_text().strip("\0")
                if name.startswith("ray::") and "IDLE" not in name and "Agent" not in name:
                    os.kill(int(child), signal.SIGKILL)
                    return name
        time.sleep(0.05)
    return "none"


def _kill_server() -> str:
    """The one that the head node starts for a driver; waits for it."""
    for _ in range(1200):
        for child in _below(os.getpid()):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                if "specific-server" in Path(f"/proc/{child}/cmdline").read_text():
                    os.kill(child, signal.SIGKILL)
                    return "server"
        time.sleep(0.05)
    return "none"


def _below(process: int) -> Iterator[int]:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for children in Path(f"/proc/{process}/task").glob("*/children"):
            for child in map(int, children.read_text().split()):
                yield child
                yield from _below(child)


def _serve(place: Path, second: dict[str, str]) -> None:
    from ray.cluster_utils import Cluster

    port = _free_port()
    common = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": 80 * 2**20}
    with tempfile.TemporaryDirectory(prefix="ray-") as folder:  # a short path: sockets lie in it
        os.environ["RAY_TMPDIR"] = folder
        (Path(folder) / "ray").mkdir()
        cluster = Cluster()
        caches = [{"MOLEHUNT_CACHE": str(place / f"cache of node {i}")} for i in (1, 2)]
        cluster.add_node(ray_client_server_port=port, env_vars=caches[0], **common)
        node = cluster.add_node(env_vars={**caches[1], **second}, **common)
        _wait_for_port(port)
        print(f"ray://127.0.0.1:{port}", flush=True)
        for line in sys.stdin:
            if line.strip() == "worker":
                nodes = [one for one in (node, cluster.head_node) if one in cluster.list_all_nodes()]
                print(_kill_worker([one.all_processes["raylet"][0].process.pid for one in nodes]), flush=True)
            elif line.strip() == "server":
                print(_kill_server(), flush=True)
            else:
                cluster.remove_node(node, allow_graceful=False)
                print("node", flush=True)
        cluster.shutdown()


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), dict(pair.split("=", 1) for pair in sys.argv[2:]))
