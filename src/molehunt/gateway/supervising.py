"""Keep a gateway up: one process that holds the socket, starts workers, and starts those anew that die."""

import contextlib
import ctypes
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from molehunt.errors import GatewayError, MolehuntError, UsageError

_LINUX_PDEATHSIG = 1
_PAUSE = 0.5
"""Seconds before a worker that died young is started again."""
_YOUNG = 2.0
_GRACE = 40.0
"""Seconds for workers to finish answers and to close their logs."""
_BROKEN = 3
"""Exit code of a worker that could not start."""
_START = 600.0

Work = Callable[[int, socket.socket], None]
"""One worker's whole life: its number and the socket that it takes clients from."""


def bound(host: str, port: int) -> socket.socket:
    """A listening socket, made with its protocol: asyncio turns Nagle's delay off only then, else every answer takes 44 ms more.

    Raises:
        UsageError: if the address is not one of this machine, or is taken.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[
            0
        ]
        place = socket.socket(family, kind, socket.IPPROTO_TCP)
        try:
            place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            place.bind(address)
            place.listen(1024)
            place.setblocking(False)
        except BaseException:
            place.close()
            raise
    except (OSError, OverflowError) as error:
        got = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"address {host}:{port}", wanted="a free one of this machine", got=got) from None
    return place


def url_of(place: socket.socket) -> str:
    """The address up to /v1."""
    host, port = place.getsockname()[:2]
    return f"http://[{host}]:{port}/v1" if ":" in host else f"http://{host}:{port}/v1"


class Supervisor:
    """Workers are forked from here, where all is imported already: a new one listens within a tenth of a second.

    Nothing in this process may start a thread or an event loop.
    """

    def __init__(
        self, place: socket.socket, workers: int, work: Work, say: Callable[[str], None], tend: Callable[[], None]
    ) -> None:
        self._place, self._count, self._work, self._say, self._tend = place, workers, work, say, tend
        self._workers: dict[int, tuple[int, float]] = {}
        self._waiting: list[tuple[float, int]] = []
        self._is_over = False
        self._have_started = False

    def run(self) -> None:
        """Until SIGTERM or SIGINT; then workers finish what is under way, for forty seconds at most.

        Raises:
            GatewayError: if a worker cannot start at all.
        """
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        try:
            for number in range(self._count):
                self._fork(number)
            while not self._is_over:
                self._look()
                self._tend()
                time.sleep(0.02)
        finally:
            self._end()

    def _stop(self, number: int, frame: object) -> None:
        self._is_over = True

    def _fork(self, number: int) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        child = os.fork()
        if child == 0:
            _live(self._work, number, self._place)
        self._workers[child] = (number, time.monotonic())

    def _look(self) -> None:
        for child, (number, since) in list(self._workers.items()):
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                del self._workers[child]
                self._died(number, since, status)
        now = time.monotonic()
        for at, number in [one for one in self._waiting if one[0] <= now]:
            self._waiting.remove((at, number))
            self._fork(number)

    def _died(self, number: int, since: float, status: int) -> None:
        is_young = time.monotonic() - since < _YOUNG
        code = os.waitstatus_to_exitcode(status)
        if code == _BROKEN and is_young and not self._have_started:
            raise GatewayError("the gateway", wanted="a worker that starts", got="one that could not", do="see above")
        self._have_started = self._have_started or not is_young
        how = f"was killed by signal {-code}" if code < 0 else f"ended with {code}"
        self._say(f"worker {number} {how}; another is started")
        self._waiting.append((time.monotonic() + (_PAUSE if is_young else 0.0), number))

    def _end(self) -> None:
        for child in self._workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGTERM)
        until = time.monotonic() + _GRACE
        while self._workers and time.monotonic() < until:
            for child in list(self._workers):
                if os.waitpid(child, os.WNOHANG)[0]:
                    del self._workers[child]
            time.sleep(0.02)
        for child in self._workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)


def _live(work: Work, number: int, place: socket.socket) -> None:
    """The child's side of a fork; never returns."""
    parent = os.getppid()
    die_with_parent()
    if os.getppid() != parent:
        os._exit(1)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    code = 0
    try:
        work(number, place)
    except MolehuntError as error:
        print(f"molehunt: {error}", file=sys.stderr, flush=True)
        code = _BROKEN
    except BaseException as error:  # nothing may run the parent's code on
        import traceback

        traceback.print_exception(error)
        code = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def die_with_parent() -> None:
    """On Linux: SIGTERM when the process that started this one is gone."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_LINUX_PDEATHSIG, signal.SIGTERM)


class ModelServer:
    """`molehunt serve` for one folder, as a process of its own on loopback, started anew if it dies."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, 0
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0

    def start(self) -> str:
        """Start it; returns the address up to /v1. Raises GatewayError if it does not come up."""
        self._process = self._begun(subprocess.PIPE)
        line = _first_line(self._process)
        url = next((word.rstrip(";") for word in line.split() if word.startswith("http://")), "")
        if not url:
            self.stop()
            raise GatewayError(
                f"model {self.folder}", wanted="a server that starts", got="one that ended", do="see above"
            )
        self.port = int(url.rpartition(":")[2].partition("/")[0])
        return url

    def tend(self) -> None:
        """Start it again if it has ended, at the same address; returns at once, and until it listens the gateway says 502."""
        if self._process is None or self._process.poll() is None or time.monotonic() - self._started < _YOUNG:
            return
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._process = self._begun(subprocess.DEVNULL)

    def _begun(self, out: int) -> "subprocess.Popen[bytes]":
        self._started = time.monotonic()
        command = [sys.executable, "-m", "molehunt", "serve", str(self.folder), "--port", str(self.port)]
        return subprocess.Popen(command, stdout=out, preexec_fn=die_with_parent, start_new_session=True)

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(_GRACE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            if self._process.stdout is not None:
                self._process.stdout.close()


def _first_line(process: "subprocess.Popen[bytes]") -> str:
    """What it says first, within ten minutes; empty if it ends before."""
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        if not selector.select(_START):
            return ""
    return process.stdout.readline().decode("utf-8", "replace")


def metrics_folder() -> str:
    """A fresh folder for the counts of workers; `metrics` reads its name from the environment."""
    return tempfile.mkdtemp(prefix="molehunt-gateway-")
