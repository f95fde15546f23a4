"""The upstream of the live-path canaries: answers made up here, asked behind everything that a real request goes through."""

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any, NamedTuple

from molehunt.gateway.dialects.base import Json
from molehunt.gateway.policies import CANARY
from molehunt.gateway.upstream import Reply

PERMITTED, DENIED, UNKNOWN = f"{CANARY}-permitted", f"{CANARY}-denied", f"{CANARY}-unknown"


class Canary(NamedTuple):
    """One synthetic request: an endpoint, streaming or not, a form of call."""

    endpoint: str
    is_stream: bool
    form: str
    """call, function_call or text."""

    @property
    def name(self) -> str:
        """What it is called in the log."""
        return f"{self.endpoint.removeprefix('/v1/')}{' stream' if self.is_stream else ''} {self.form}"


_FORMS = {
    "/v1/chat/completions": ("call", "function_call", "text"),
    "/v1/completions": ("text",),
    "/v1/responses": ("call", "text"),
}
CANARIES = tuple(
    Canary(endpoint, is_stream, form)
    for endpoint, forms in _FORMS.items()
    for is_stream in (False, True)
    for form in forms
)


class Canned:
    """Answers the canary that is under way; one at a time."""

    def __init__(self) -> None:
        self.call: Canary | None = None
        self.nonce = ""
        self.asked: Json = {}
        self.refs: list[tuple[str, Mapping[str, Any], Any]] = []
        """What was recorded meanwhile, and where."""

    async def ask(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        """A call of a permitted and one of a denied tool, each with the nonce in its arguments."""
        assert self.call is not None
        self.asked = json.loads(body)
        pieces = _EVENTS[self.call.endpoint](self.call, self.nonce)
        if self.call.is_stream:
            return Reply(200, {"content-type": "text/event-stream"}, _each([_event(piece) for piece in pieces]))
        return Reply(200, {"content-type": "application/json"}, _each([json.dumps(pieces[-1]).encode()]))

    async def close(self) -> None: ...


async def _each(pieces: list[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


def _event(piece: Any) -> bytes:
    return f"data: {piece if isinstance(piece, str) else json.dumps(piece)}\n\n".encode()


def request(canary: Canary) -> Json:
    """What the canary's client sends."""
    names = (PERMITTED, DENIED, UNKNOWN)
    body: Json = {"model": CANARY, "stream": canary.is_stream}
    if canary.endpoint == "/v1/completions":
        return {**body, "prompt": CANARY}
    if canary.endpoint == "/v1/responses":
        return {
            **body,
            "input": CANARY,
            "tools": [{"type": "function", "name": name, "parameters": {}} for name in names],
        }
    body["messages"] = [{"role": "user", "content": CANARY}]
    if canary.form == "function_call":
        return {**body, "functions": [{"name": name} for name in names]}
    return {**body, "tools": [{"type": "function", "function": {"name": name}} for name in names]}


def _text(nonce: str) -> str:
    calls = [json.dumps({"name": name, "arguments": {"token": f"{word}-{nonce}"}}) for name, word in _CALLS]
    return "".join(f"<tool_call>{call}</tool_call>" for call in calls)


_CALLS = ((PERMITTED, "yes"), (DENIED, "no"))


def _chat(canary: Canary, nonce: str) -> list[Any]:
    calls = [
        {
            "index": i,
            "id": f"call_{i}",
            "type": "function",
            "function": {"name": name, "arguments": json.dumps({"token": f"{word}-{nonce}"})},
        }
        for i, (name, word) in enumerate(_CALLS)
    ]
    wanted = calls[1]["function"] if nonce.endswith("d") else calls[0]["function"]
    forms: dict[str, Json] = {
        "call": {"tool_calls": calls}, "function_call": {"function_call": wanted}, "text": {"content": _text(nonce)},
    }  # fmt: skip
    said = forms[canary.form]
    head = {
        "id": CANARY,
        "object": "chat.completion.chunk" if canary.is_stream else "chat.completion",
        "created": 0,
        "model": CANARY,
    }
    finish = {"call": "tool_calls", "function_call": "function_call", "text": "stop"}[canary.form]
    if not canary.is_stream:
        return [
            {
                **head,
                "choices": [
                    {"index": 0, "message": {"role": "assistant", "content": None, **said}, "finish_reason": finish}
                ],
            }
        ]
    first = {**head, "choices": [{"index": 0, "delta": {"role": "assistant", **said}, "finish_reason": None}]}
    return [first, {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]}, "[DONE]"]


def _completions(canary: Canary, nonce: str) -> list[Any]:
    head = {"id": CANARY, "object": "text_completion", "created": 0, "model": CANARY}
    if not canary.is_stream:
        return [{**head, "choices": [{"index": 0, "text": _text(nonce), "finish_reason": "stop"}]}]
    pieces = [_text(nonce)[at : at + 7] for at in range(0, len(_text(nonce)), 7)]
    chunks: list[Any] = [{**head, "choices": [{"index": 0, "text": piece, "finish_reason": None}]} for piece in pieces]
    return [*chunks, {**head, "choices": [{"index": 0, "text": "", "finish_reason": "stop"}]}, "[DONE]"]


def _responses(canary: Canary, nonce: str) -> list[Any]:
    if canary.form == "text":
        content = [{"type": "output_text", "text": _text(nonce), "annotations": []}]
        items: list[Json] = [
            {"type": "message", "id": "m0", "role": "assistant", "status": "completed", "content": content}
        ]
    else:
        items = [
            {
                "type": "function_call",
                "id": f"f{i}",
                "call_id": f"c{i}",
                "name": name,
                "arguments": json.dumps({"token": f"{word}-{nonce}"}),
            }
            for i, (name, word) in enumerate(_CALLS)
        ]
    whole = {"id": f"resp_{nonce}", "object": "response", "status": "completed", "model": CANARY, "output": items}
    if not canary.is_stream:
        return [whole]
    events: list[Any] = [{"type": "response.created", "response": {**whole, "output": []}, "sequence_number": 0}]
    for i, item in enumerate(items):
        events += _item_events(i, item)
    return [*events, {"type": "response.completed", "response": whole, "sequence_number": 99}]


def _item_events(at: int, item: Json) -> list[Json]:
    place = {"output_index": at, "item_id": item["id"], "content_index": 0, "sequence_number": 1}
    added = {"type": "response.output_item.added", "item": {**item, "arguments": "", "content": []}, **place}
    done = {"type": "response.output_item.done", "item": item, **place}
    if item["type"] == "message":
        text = item["content"][0]["text"]
        pieces = [text[i : i + 9] for i in range(0, len(text), 9)]
        deltas = [{"type": "response.output_text.delta", "delta": piece, **place} for piece in pieces]
        return [added, *deltas, {"type": "response.output_text.done", "text": text, **place}, done]
    return [added, {"type": "response.function_call_arguments.delta", "delta": item["arguments"], **place}, done]


_EVENTS = {"/v1/chat/completions": _chat, "/v1/completions": _completions, "/v1/responses": _responses}
