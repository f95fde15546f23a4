"""Live-path canaries: synthetic requests through the real application prove that policy and log act, not that they are configured.

A gateway whose rules are read and never applied looks like one that works; only the effect tells (docs/gateway.md).
"""

import asyncio
import math
import secrets
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from pathlib import Path
from typing import Any

from molehunt.gateway.bodies import Receive, dumped
from molehunt.gateway.canned import CANARIES, DENIED, PERMITTED, UNKNOWN, Canary, request
from molehunt.gateway.policies import CANARY, tool
from molehunt.gateway.service import Service
from molehunt.logs import events

App = Callable[
    [MutableMapping[str, Any], Receive, Callable[[MutableMapping[str, Any]], Awaitable[None]]], Awaitable[None]
]
_SECONDS = 10.0
_AGAIN = 10.0
"""Seconds after which what has failed is tried again: a disk that has room once more should not have to wait for its round."""
_TAIL = 2**20


async def watch(service: Service, app: App) -> None:
    """A round now and then; what fails is told by `Service.health`."""
    while True:
        seconds = service.settings.canaries or math.inf
        await asyncio.sleep(min(seconds, _AGAIN) if service.canary_trouble else seconds)
        await sing(service, app)


async def sing(service: Service, app: App) -> None:
    """One round of all canaries."""
    failed = []
    for canary in CANARIES:
        trouble = await _one(service, app, canary)
        service.metrics.canaries.labels("yes" if not trouble else "no").inc()
        try:
            service.recorder.append(
                "canary", {events.CANARY: canary.name, events.PASSED: not trouble, "molehunt.canary.trouble": trouble}
            )
        except OSError as error:
            trouble = trouble or str(error)
        failed += [f"{canary.name}: {trouble}"] if trouble else []
    service.canary_trouble = tuple(failed)


async def _one(service: Service, app: App, canary: Canary) -> str:
    """What is wrong on one path; empty if nothing is."""
    canned = service.canned
    nonce = secrets.token_hex(8) + ("d" if secrets.randbits(1) else "p")
    canned.call, canned.nonce, canned.asked, canned.refs = canary, nonce, {}, []
    try:
        async with asyncio.timeout(_SECONDS):
            status, answer = await _asked(app, canary, service.keys.canary_key)
        return _trouble(service, canary, nonce, status, answer)
    except TimeoutError:
        return f"no answer within {_SECONDS:g} s"
    except Exception as error:  # whatever it is, the path is not sound
        return f"{type(error).__name__}: {error}"
    finally:
        canned.call = None


def _trouble(service: Service, canary: Canary, nonce: str, status: int, answer: str) -> str:
    permits = service.policies.decide(CANARY, (), "call_tool", tool(PERMITTED), {}).outcome == "allow"
    offers = service.policies.decide(CANARY, (), "offer_tool", tool(UNKNOWN), {}).outcome != "deny"
    is_single = canary.form == "function_call"
    if status != 200:
        return f"status {status}"
    if UNKNOWN in str(service.canned.asked) and not offers:
        return "a tool that no rule permits was offered to the model"
    if f"no-{nonce}" in answer:
        return "a denied call reached the client"
    if permits and f"yes-{nonce}" not in answer and not (is_single and nonce.endswith("d")):
        return "a permitted call did not reach the client"
    return _missing(service, nonce, is_single)


def _missing(service: Service, nonce: str, is_single: bool) -> str:
    """What of it is not in the log, on disk."""
    wanted = {"request": "", "answer": ""}
    if not is_single or nonce.endswith("d"):
        wanted["decision"] = f"deny:{DENIED}"
    own = [(e, body, ref) for e, body, ref in service.canned.refs if _call(body) in _own_calls(service)]
    for event, word in wanted.items():
        refs = [ref for e, body, ref in own if e == event and word in str(body.get(events.DECISION, ""))]
        if not refs or not any(is_on_disk(service.recorder, ref) for ref in refs):
            return f"its {event} is not in the log"
    return ""


def _own_calls(service: Service) -> set[str]:
    """Others are answered at the same time."""
    return {_call(body) for _, body, _ in service.canned.refs if body.get(events.CLIENT) == CANARY}


def _call(body: Mapping[str, Any]) -> str:
    return str(body.get(events.CALL_ID))


def is_on_disk(recorder: Any, ref: Any) -> bool:
    """True if the record's hash stands in the file of its segment, or the segment is closed already."""
    folder = getattr(recorder, "folder", None)
    if not isinstance(folder, Path) or not hasattr(ref, "hash"):
        return ref is not None
    lines = folder / f"{ref.segment:08d}.jsonl"
    try:
        with lines.open("rb") as stream:
            stream.seek(max(0, lines.stat().st_size - _TAIL))
            return ref.hash.encode() in stream.read()
    except FileNotFoundError:
        return lines.with_suffix(".parquet").exists()


async def _asked(app: App, canary: Canary, key: str) -> tuple[int, str]:
    """The answer to a canary, by the application itself."""
    body = dumped(request(canary))
    headers = [(b"authorization", b"Bearer " + key.encode()), (b"content-length", str(len(body)).encode())]
    scope: dict[str, Any] = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
        "path": canary.endpoint, "raw_path": canary.endpoint.encode(), "query_string": b"", "root_path": "", "headers": headers,
        "client": ("127.0.0.1", 0), "server": ("127.0.0.1", 0), "state": {},
    }  # fmt: skip
    sent: list[MutableMapping[str, Any]] = []
    messages = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> MutableMapping[str, Any]:
        if (message := next(messages, None)) is not None:
            return message
        await asyncio.sleep(3600)
        return {"type": "http.disconnect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:]).decode()
