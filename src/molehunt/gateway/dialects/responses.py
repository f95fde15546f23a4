"""/v1/responses: items of input and output, built-in tools, streams of named events."""

from collections.abc import Iterator
from typing import Any

from molehunt.gateway.dialects.base import (
    Joined,
    Json,
    Logged,
    as_list,
    as_object,
    as_word,
    scalars,
    strip_tools,
    text_calls,
    usage_of,
    without_strays,
)
from molehunt.gateway.dialects.responses_stream import RESPONSE, ResponseStream
from molehunt.gateway.judging import Asked, Judge, as_text
from molehunt.gateway.refusals import Refusal
from molehunt.logs.messages import call_part, from_chat_message, text_message, text_part

HARMLESS = ("message", "reasoning")
"""Kinds of output items that ask for nothing; every other kind is a call, known or not."""
_NAMED = ("function_call", "custom_tool_call")
_ARGUMENTS = ("arguments", "input", "action", "code", "query", "queries", "operation")


class Responses:
    """The dialect."""

    operation, has_done = "chat", False

    def check(self, body: Json) -> None:
        """`input`, if it is there, is a text or a list of objects."""
        given = body.get("input")
        if isinstance(given, list) and all(isinstance(item, dict) for item in given):
            return
        if given is not None and not isinstance(given, str):
            raise Refusal(400, "'input' is neither a text nor a list of objects", "invalid_value")

    def strip(self, body: Json, judge: Judge) -> Json:
        """Functions, custom tools, built-in tools and tool servers."""
        return strip_tools(body, judge, "tools", "tool_choice", ("parallel_tool_calls",))

    def history(self, body: Json, with_text: bool) -> Iterator[Asked]:
        """Of all items of the input that are calls, or texts of the assistant."""
        for item in body["input"] if isinstance(body.get("input"), list) else ():
            kind = as_word(item.get("type")) or "message"
            if kind.endswith("_call"):
                yield item_call(item)
            elif with_text and item.get("role") == "assistant":
                for text in _texts(item.get("content")):
                    yield from text_calls(text)

    def asked(self, body: Json) -> tuple[list[Json], list[Json]]:
        """Items as messages; `instructions` apart."""
        given = body.get("input")
        items = given if isinstance(given, list) else []
        said = [text_message("user", given)] if isinstance(given, str) else [_logged_item(item) for item in items]
        instructions = body.get("instructions")
        return said, [text_part(instructions)] if isinstance(instructions, str) else []

    async def whole(self, answer: Json, judge: Judge) -> Json:
        """Each item of the output, in order."""
        items = [as_object(item, "an item") for item in as_list(answer.get("output"), "'output'")]
        texts = Joined(judge)
        output = [await judged_item(item, judge, texts) for item in items]
        return without_strays(answer, RESPONSE, judge) | {"output": output}

    def logged(self, answer: Json) -> Logged:
        """One message with the parts of all items."""
        parts: list[Json] = []
        for item in answer.get("output") or ():
            parts += _logged_parts(item)
        finish = as_word(answer.get("status"))
        said = {"role": "assistant", "parts": parts, "finish_reason": finish}
        return Logged([said], [finish], usage_of(answer), as_word(answer.get("id")), as_word(answer.get("model")))

    def stream(self, judge: Judge) -> ResponseStream:
        """A filter of events."""
        return ResponseStream(judge, self.logged, judged_item)


def item_call(item: Json) -> Asked:
    """The call that an item is; a built-in tool is called by its kind."""
    kind = as_word(item.get("type"))
    name = as_word(item.get("name")) if kind in _NAMED else kind.removesuffix("_call")
    if isinstance(item.get("server_label"), str):
        name = f"mcp:{item['server_label']}"
    given = next((item[key] for key in _ARGUMENTS if item.get(key) is not None), None)
    return Asked(name, as_text(given), kind[:40])


async def judged_item(item: Json, judge: Judge, texts: Joined | None = None) -> Json:
    """The item, or in its place what the client is told of it.

    Args:
        texts: what stands before it, if clients read all messages as one text.
    """
    kind = as_word(item.get("type"))
    if kind in HARMLESS:
        spoken = {
            key: await _content(item[key], texts or Joined(judge), judge)
            for key in ("content", "summary")
            if key in item
        }
        return scalars(item) | spoken
    ruling = await judge.may_call(item_call(item))
    if kind in _NAMED:
        item = scalars(item)
    return item if ruling.is_allowed else notice_item(as_word(item.get("id")), ruling.notice)


def notice_item(name: str, notice: str) -> Json:
    """A message that says what was denied."""
    content = [{"type": "output_text", "text": notice, "annotations": []}]
    return {
        "type": "message",
        "id": f"msg_{name or 'denied'}",
        "role": "assistant",
        "status": "completed",
        "content": content,
    }


async def _content(parts: Any, texts: Joined, judge: Judge) -> Any:
    if isinstance(parts, str):
        return await texts.judged(parts)
    if not isinstance(parts, list):
        return parts
    return [await _part(part, texts, judge) for part in parts if isinstance(part, dict)]


async def _part(part: Json, texts: Joined, judge: Judge) -> Json:
    """Log-probabilities go: they name tokens, also of calls that are denied."""
    kept = without_strays({"annotations": part["annotations"]}, (), judge) if "annotations" in part else {}
    said = {key: await texts.judged(part[key]) for key in ("text", "refusal") if isinstance(part.get(key), str)}
    return scalars(part) | kept | said


def _texts(content: Any) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    for part in content if isinstance(content, list) else ():
        if isinstance(part, dict) and isinstance(part.get("text"), str):
            yield part["text"]


def _logged_item(item: Json) -> Json:
    kind = as_word(item.get("type")) or "message"
    if kind == "message":
        return from_chat_message(item)
    if kind.endswith("_output"):
        response = {
            "type": "tool_call_response",
            "id": as_word(item.get("call_id")),
            "response": as_text(item.get("output")),
        }
        return {"role": "tool", "parts": [response]}
    return {"role": "assistant", "parts": _logged_parts(item)}


def _logged_parts(item: Json) -> list[Json]:
    kind = as_word(item.get("type"))
    if kind == "message":
        parts: list[Json] = list(from_chat_message(item)["parts"])
        return parts
    if kind == "reasoning":
        texts = [*_texts(item.get("summary")), *_texts(item.get("content"))]
        return [{"type": "reasoning", "content": text} for text in texts]
    call = item_call(item)
    return [call_part(call.name, call.arguments, as_word(item.get("call_id")))]
