"""A small OpenAI-compatible server for one local model."""

import hmac
import ipaddress
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from molehunt.errors import UsageError
from molehunt.models.loading import LoadedModel, context_length
from molehunt.models.serve_answers import Spell, chat_choices, events, head, text_choices, usage
from molehunt.models.serve_requests import (
    Ask,
    ChatRequest,
    CompletionRequest,
    RequestError,
    chat_ask,
    completion_ask,
    parsed,
    wrong_model,
)
from molehunt.models.serve_writing import Desk, Written

MAX_BODY = 2**20
"""Bytes of a request that we read."""
RENDERED = "x-molehunt-rendered"
"""A request with this header is told the prompt that the model read, under `molehunt` in its answer."""
_GRACE = 5
"""Seconds that answers under way get when the server is told to stop."""
_HOURS = 3600.0

Choices = Callable[[Ask, Sequence[Written], Spell], list[dict[str, Any]]]


def make_app(loaded: LoadedModel, name: str = "", api_key: str = "") -> Starlette:
    """The server's routes: /v1/models, /v1/chat/completions, /v1/completions, /healthz.

    Args:
        name: what the model is called, in requests too; default: its folder's name.
        api_key: what clients must send as a bearer; empty asks for none.
    """
    door = _Door(loaded, name or loaded.folder.resolve().name, api_key)
    routes = [
        Route("/healthz", door.healthz),
        Route("/v1/models", door.models),
        Route("/v1/models/{name:path}", door.model),
        Route("/v1/chat/completions", door.chat, methods=["POST"]),
        Route("/v1/completions", door.complete, methods=["POST"]),
    ]

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        door.desk.close()

    handlers: dict[Any, Any] = {RequestError: _refused, HTTPException: _no_such_route, Exception: _broken}
    return Starlette(routes=routes, exception_handlers=handlers, lifespan=lifespan)


class _Door:
    """What stands behind the routes."""

    def __init__(self, loaded: LoadedModel, name: str, api_key: str) -> None:
        self.loaded, self.name, self._key = loaded, name, api_key.encode()
        self.desk = Desk(loaded)

    async def healthz(self, request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def models(self, request: Request) -> Response:
        self._check_key(request)
        return JSONResponse({"object": "list", "data": [self._card()]})

    async def model(self, request: Request) -> Response:
        self._check_key(request)
        if request.path_params["name"] != self.name:
            raise wrong_model(request.path_params["name"], self.name)
        return JSONResponse(self._card())

    async def chat(self, request: Request) -> Response:
        asked: ChatRequest = await self._asked(request, ChatRequest)
        ask = chat_ask(asked, self.loaded)
        return await self._answer("chat.completion", ask, chat_choices, self._told(request, ask))

    async def complete(self, request: Request) -> Response:
        asked: CompletionRequest = await self._asked(request, CompletionRequest)
        ask = completion_ask(asked, self.loaded)
        return await self._answer("text_completion", ask, text_choices, self._told(request, ask))

    def _told(self, request: Request, ask: Ask) -> dict[str, Any]:
        """The prompts as the model reads them, for who asks by a header: a gateway that logs them."""
        if RENDERED not in request.headers:
            return {}
        prompts = [self.loaded.tokenizer.decode(prompt) for prompt in ask.prompts]
        return {"molehunt": {"prompts": prompts, "template_digest": self.loaded.chat.digest}}

    async def _answer(self, kind: str, ask: Ask, choices_of: Choices, told: dict[str, Any]) -> Response:
        written = await self.desk.write(ask)
        choices, used = choices_of(ask, written, self.desk.spelled), usage(ask, written)
        opening = head(kind, self.name)
        if ask.stream:
            stream = events(opening, choices, used if ask.stream_usage else None, told)
            return StreamingResponse(stream, media_type="text/event-stream")
        return JSONResponse({**opening, **told, "choices": choices, "usage": used})

    async def _asked(self, request: Request, kind: type[Any]) -> Any:
        self._check_key(request)
        asked = parsed(await _body(request), kind)
        if asked.model and asked.model != self.name:
            raise wrong_model(asked.model, self.name)
        return asked

    def _check_key(self, request: Request) -> None:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        is_known = scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), self._key)
        if self._key and not is_known:
            raise RequestError(401, "the API key is missing or wrong", "invalid_api_key")

    def _card(self) -> dict[str, Any]:
        card = {"id": self.name, "object": "model", "created": 0, "owned_by": "molehunt"}
        return card | {"max_model_len": context_length(self.loaded)}


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY:
            raise RequestError(413, f"the body is larger than {MAX_BODY} bytes", "request_too_large")
    return bytes(body)


async def _refused(request: Request, error: RequestError) -> Response:
    headers = {401: {"WWW-Authenticate": "Bearer"}, 413: {"Connection": "close"}, 429: {"Retry-After": "1"}}
    return JSONResponse(error.body(), error.status, headers=headers.get(error.status))


async def _no_such_route(request: Request, error: HTTPException) -> Response:
    shown = RequestError(error.status_code, f"{request.method} {request.url.path}: {error.detail}", "not_found")
    return JSONResponse(shown.body(), error.status_code, headers=error.headers)


async def _broken(request: Request, error: Exception) -> Response:
    """What went wrong stays in the server's own log."""
    return JSONResponse(RequestError(500, "the server could not answer", "internal_error").body(), 500)


class _Server(uvicorn.Server):
    """Says when it listens, and takes a signal as its end, not as an error."""

    def __init__(self, config: uvicorn.Config, listening: Callable[[], None]) -> None:
        super().__init__(config)
        self._say_listening = listening

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._say_listening()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn does, but for raising the signal again when all is done."""
        with super().capture_signals():
            yield
            self._captured_signals.clear()


def run(
    app: Starlette, host: str = "127.0.0.1", port: int = 0, listening: Callable[[str], None] = lambda url: None
) -> None:
    """Serve until SIGINT or SIGTERM, then answer what is under way within five seconds and return.

    Args:
        port: 0 takes a free one.
        listening: called with the address, up to /v1, once clients can connect.

    Raises:
        UsageError: if the address is not one of this machine, or is taken.
    """
    with _place(host, port) as place:
        _server(app, lambda: listening(_url(place))).run([place])


@contextmanager
def serving(app: Starlette, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """Serve from a thread of this process; yields the address, up to /v1.

    Raises:
        UsageError: if the address is not one of this machine, or is taken.
    """
    ready = threading.Event()
    with _place(host, port) as place:
        server = _server(app, ready.set)
        thread = threading.Thread(target=server.run, args=([place],), daemon=True)
        thread.start()
        try:
            while thread.is_alive() and not ready.wait(0.1):
                pass
            yield _url(place)
        finally:
            server.should_exit = True
            thread.join(_HOURS)


def is_loopback(host: str) -> bool:
    """True if only this machine can reach the address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _server(app: Starlette, listening: Callable[[], None]) -> _Server:
    config = uvicorn.Config(
        app, log_level="error", access_log=False, lifespan="on", timeout_graceful_shutdown=_GRACE, server_header=False
    )
    return _Server(config, listening)


def _place(host: str, port: int) -> socket.socket:
    """A bound socket. Made with its protocol: asyncio turns Nagle's delay off only where that is named, else an answer takes 44 ms more."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[
            0
        ]
        place = socket.socket(family, kind, socket.IPPROTO_TCP)
        try:
            place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            place.bind(address)
        except BaseException:
            place.close()
            raise
    except (OSError, OverflowError) as error:
        got = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"address {host}:{port}", wanted="a free one of this machine", got=got) from None
    return place


def _url(place: socket.socket) -> str:
    host, port = place.getsockname()[:2]
    return f"http://[{host}]:{port}/v1" if ":" in host else f"http://{host}:{port}/v1"
