"""The gateway's routes."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from molehunt.gateway import canaries
from molehunt.gateway.bodies import Receive, parse_body, read_body
from molehunt.gateway.dialects.base import Dialect, Json
from molehunt.gateway.dialects.chat import Chat
from molehunt.gateway.dialects.completions import Completions
from molehunt.gateway.dialects.responses import Responses
from molehunt.gateway.holds import SIGNATURE
from molehunt.gateway.keys import Client
from molehunt.gateway.proxy import Door, Scope
from molehunt.gateway.refusals import Refusal
from molehunt.gateway.service import Service
from molehunt.gateway.telling import Send
from molehunt.gateway.upstream import BrokenOff

DIALECTS: dict[str, Dialect] = {
    "/v1/chat/completions": Chat(),
    "/v1/completions": Completions(),
    "/v1/responses": Responses(),
}
_LIST_MOST = 2**20


class Front:
    """The ASGI application of one worker: calls of models go straight to their door, all else by starlette's routes."""

    def __init__(self, doors: Mapping[str, Door], pages: Starlette) -> None:
        self._doors, self._pages = doors, pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_call = scope["type"] == "http" and scope["method"] == "POST"
        door = self._doors.get(scope["path"]) if is_call else None
        await (door or self._pages)(scope, receive, send)


def make_app(service: Service) -> Front:
    """The application of one worker."""
    pages = _Pages(service)
    doors = {path: Door(service, path, dialect) for path, dialect in DIALECTS.items()}
    routes = [Route(path, door, methods=["POST"]) for path, door in doors.items()]
    routes += [
        Route("/healthz", pages.healthz),
        Route("/metrics", pages.metrics),
        Route("/v1/models", pages.models),
        Route("/v1/models/{name:path}", pages.model),
        Route("/molehunt/holds", pages.holds),
        Route("/molehunt/holds/{hold}", pages.resolve, methods=["POST"]),
    ]

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await service.start()
        await canaries.sing(service, front)
        singing = asyncio.create_task(canaries.watch(service, front))
        yield
        singing.cancel()
        await service.stop()

    handlers: dict[Any, Any] = {Refusal: _refused, HTTPException: _no_such_route, Exception: _broken}
    front = Front(doors, Starlette(routes=routes, exception_handlers=handlers, lifespan=lifespan))
    return front


class _Pages:
    """All that is no call of a model."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def healthz(self, request: Request) -> Response:
        """200 if policy and log were seen to act, 503 and what is wrong if not; a refused policy file is told, and is no illness."""
        wrong = self._service.health()
        told: Json = {"status": "unhealthy" if wrong else "ok", **wrong, "policy": self._service.policies.digest}
        told |= {"policy_refused": self._service.policy_trouble} if self._service.policy_trouble else {}
        told |= {"keys_refused": self._service.keys.trouble} if self._service.keys.trouble else {}
        return JSONResponse(told, 503 if wrong else 200)

    async def metrics(self, request: Request) -> Response:
        return Response(self._service.metrics.text(), media_type=self._service.metrics.content_type)

    async def models(self, request: Request) -> Response:
        self._client(request)
        return JSONResponse({"object": "list", "data": await self._listed()})

    async def model(self, request: Request) -> Response:
        self._client(request)
        name = request.path_params["name"]
        found = next((card for card in await self._listed() if card.get("id") == name), None)
        if found is None:
            raise Refusal(404, f"no upstream has the model {name[:100]!r}", "model_not_found")
        return JSONResponse(found)

    async def holds(self, request: Request) -> Response:
        self._operator(request)
        return JSONResponse({"holds": [hold._asdict() for hold in self._service.state.waiting()]})

    async def resolve(self, request: Request) -> Response:
        """By an operator's key, or signed by the webhook that was told of the hold."""
        signature, hold = request.headers.get(SIGNATURE), request.path_params["hold"]
        by = self._operator(request).name if signature is None else "the webhook"
        length, seconds = request.headers.get("content-length"), self._service.bounds.reading
        raw = await read_body(request.receive, length, 4096, seconds)
        body = parse_body(raw, 8)
        if signature is not None:
            self._service.holds.check(signature, raw, body, hold)
        decision = body.get("decision")
        if decision not in ("allow", "deny"):
            raise Refusal(400, "'decision' is neither allow nor deny", "invalid_value")
        if not self._service.state.resolve(hold, decision, by):
            raise Refusal(404, f"no hold {hold[:40]!r} waits", "no_such_hold")
        return JSONResponse({"hold": hold, "decision": decision})

    def _client(self, request: Request) -> Client:
        return self._service.keys.client(request.headers.get("authorization", ""))

    def _operator(self, request: Request) -> Client:
        """Holds are resolved with a key of their own: without a file of keys, by the command line alone."""
        client = self._client(request)
        if not client.operator:
            raise Refusal(403, "holds are for operators' keys", "no_operator")
        return client

    async def _listed(self) -> list[Json]:
        """The models of all upstreams; of one that was given for a single model, that one alone. Who does not answer has none."""
        cards: list[Json] = []
        for one in self._service.served:
            if one.settings.model:
                cards.append({"id": one.settings.model, "object": "model", "created": 0, "owned_by": "upstream"})
                continue
            try:
                reply = await one.upstream.ask("GET", "/models", b"", {})
                found = parse_body(b"".join([piece async for piece in reply.body])[:_LIST_MOST], 16)
            except (Refusal, BrokenOff):
                continue
            data = found.get("data")
            cards += [card for card in data if isinstance(card, dict)] if isinstance(data, list) else []
        return cards


async def _refused(request: Request, refusal: Refusal) -> Response:
    return refusal.response()


async def _no_such_route(request: Request, error: HTTPException) -> Response:
    message = f"{request.method} {request.url.path[:200]}: {error.detail}; this gateway passes chat, completions, responses and models on"
    return JSONResponse(
        Refusal(error.status_code, message, "unknown_endpoint").body(), error.status_code, headers=error.headers
    )


async def _broken(request: Request, error: Exception) -> Response:
    """What went wrong stays in the server's own log."""
    return Refusal(500, "the gateway could not answer", "internal_error").response()
