"""Start a gateway: settings checked, model server up, workers forked."""

import asyncio
import contextlib
import gc
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from molehunt.gateway.served import Ledger as LedgerReader
from molehunt.gateway.settings import GatewaySettings, UpstreamSettings
from molehunt.gateway.supervising import ModelServer, Supervisor, bound, metrics_folder, url_of
from molehunt.logs.redaction import Encryption, Redaction
from molehunt.provenance.keys import PASSWORD_VARIABLE, load_private_key, load_public_key
from molehunt.provenance.ledger import Ledger

_GRACE = 8
_HEAD = 2**16


class _Gathered:
    """A transport that sends what is written in one turn of the loop in one piece: head and body, the last event and the end."""

    def __init__(self, transport: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._pieces: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Soon."""
        if data and not self._pieces:
            self._loop.call_soon(self._flush)
        if data:
            self._pieces.append(data)

    def _flush(self) -> None:
        if self._pieces:
            data, self._pieces = b"".join(self._pieces), []
            self._transport.write(data)

    def close(self) -> None:
        """After all that was written."""
        self._flush()
        self._transport.close()


class _Protocol(H11Protocol):
    """A connection on which nothing is asked is closed too, not only one that has been quiet since its last answer."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(_Gathered(transport, self.loop))  # type: ignore[arg-type]
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)


class _Server(uvicorn.Server):
    """Takes SIGTERM as its end, not as an error."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        with super().capture_signals():
            yield
            self._captured_signals.clear()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A second Ctrl-C is the same wish: what is under way has some seconds still, and then the log is closed."""
        self.should_exit = True


def serve(settings: GatewaySettings, say: Callable[[str], None], tend: Callable[[], None] = lambda: None) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        tend: called often, to look after what else must run.

    Raises:
        MolehuntError: if the address is taken, or policies, keys, audits or the model cannot be read.
    """
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(bound(settings.host, settings.port))
        folder = metrics_folder()
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        from molehunt.gateway import app as _imported  # noqa: F401  (before the fork, so that a new worker need not)

        check(settings)
        if settings.policy is None:
            say("no --policy: every tool is denied")
        say(f"gateway at {url_of(place)}; log {settings.log}; Ctrl-C stops it")
        Supervisor(place, settings.workers, lambda number, own: work(settings, number, own), say, tend).run()


def check(settings: GatewaySettings) -> None:
    """Read everything once. Raises MolehuntError before anything is started."""
    from molehunt.gateway.facts import read_audit
    from molehunt.gateway.keys import Keys
    from molehunt.gateway.policies import load_policies
    from molehunt.gateway.settings import key_of
    from molehunt.gateway.state import State

    load_policies(settings.policy)
    Keys(settings.keys)
    open_ledger(settings.ledger, settings.ledger_owner)
    for one in (*settings.upstreams, *([settings.base] if settings.base else [])):
        read_audit(one.audit)
        key_of(one.key_env)
    log_options(settings)
    State(settings.state).close()


def work(settings: GatewaySettings, number: int, place: socket.socket) -> None:
    """The life of one worker."""
    from molehunt.gateway.app import make_app
    from molehunt.gateway.service import Service
    from molehunt.logs.writing import LogWriter

    recorder = LogWriter(settings.log, f"gateway-{number}", **log_options(settings))
    service = Service(settings, recorder, open_ledger(settings.ledger, settings.ledger_owner), is_first=number == 0)
    server = _server(make_app(service), settings)
    gc.collect()
    gc.freeze()  # what is here stays: looking through all of it for garbage again and again would stop every answer for milliseconds
    server.run([place])


def _server(app: Any, settings: GatewaySettings) -> _Server:
    bounds = settings.bounds
    config = uvicorn.Config(
        app, http=_Protocol, log_level="error", access_log=False, lifespan="on", timeout_graceful_shutdown=_GRACE, server_header=False,
        timeout_keep_alive=int(bounds.reading), limit_concurrency=bounds.connections, h11_max_incomplete_event_size=_HEAD,
        proxy_headers=False, ws="none", loop="asyncio",  # not whatever else is installed: what runs is what was tested
    )  # fmt: skip
    return _Server(config)


def open_ledger(folder: Path | None, owner: Path | None) -> LedgerReader | None:
    """The approval ledger; None without one.

    Raises:
        LedgerError: if it is none, or not the owner's.
    """
    return Ledger.open(folder, load_public_key(owner) if owner else None) if folder else None


def log_options(settings: GatewaySettings) -> dict[str, Any]:
    """What the log's writer is told. Raises SigningError or UsageError if a key or the rules cannot be read."""
    password = os.environ.get(PASSWORD_VARIABLE, "").encode()
    sealing = settings.encryption_key
    return {
        "key": load_private_key(settings.log_key, password or None) if settings.log_key else None,
        "anchors": settings.anchors,
        "durability": "disk" if settings.is_log_durable else "process",
        "redaction": Redaction.read(settings.redaction) if settings.redaction else None,
        "encryption": Encryption.read(sealing, settings.encrypted) if sealing else None,
    }


@contextmanager
def model_server(folder: Path) -> Iterator[tuple[UpstreamSettings, ModelServer]]:
    """A local model behind the gateway."""
    server = ModelServer(folder)
    try:
        yield UpstreamSettings(url=server.start(), folder=folder), server
    finally:
        server.stop()
