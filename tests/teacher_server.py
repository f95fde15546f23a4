"""A real OpenAI-compatible server on loopback that does as a test tells it, and counts."""

import asyncio
import socket
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

Plan = Callable[["TeacherServer", str, int], Awaitable[Response | None]]
"""(server, question, how many times it was asked) to a reply; None for a good one."""


def said(content: Any, finish: Any = "stop") -> dict[str, Any]:
    return {"choices": [{"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": finish}]}


async def fine(server: "TeacherServer", question: str, nth: int) -> None:
    return None


class TeacherServer:
    """Answers a question with its words in capitals, unless its plan says otherwise."""

    def __init__(self, plan: Plan = fine) -> None:
        self.plan = plan
        self.asked: Counter[str] = Counter()
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.in_flight = self.peak = 0
        self.url = ""

    async def answer(self, request: Request) -> Response:
        body = await request.json()
        self.bodies.append(body)
        self.headers.append(dict(request.headers))
        question = body["messages"][-1]["content"]
        self.asked[question] += 1
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        try:
            return await self.plan(self, question, self.asked[question]) or JSONResponse(said(question.upper()))
        finally:
            self.in_flight -= 1


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "waited a minute in vain"
        time.sleep(0.01)


@contextmanager
def listening(app: Starlette) -> Iterator[str]:
    """Serve an app; yields the address, up to /v1."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as place:
        place.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [place]}, daemon=True)
        thread.start()
        wait_until(lambda: server.started)
        try:
            yield f"http://127.0.0.1:{place.getsockname()[1]}/v1"
        finally:
            server.should_exit = server.force_exit = True
            thread.join(30)


@contextmanager
def serving(plan: Plan = fine) -> Iterator[TeacherServer]:
    teacher = TeacherServer(plan)
    with listening(Starlette(routes=[Route("/v1/chat/completions", teacher.answer, methods=["POST"])])) as teacher.url:
        yield teacher


async def forever() -> None:
    await asyncio.sleep(3600)
