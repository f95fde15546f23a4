"""Messages as OpenTelemetry's GenAI conventions have them, from chat requests and answers as they go over the wire.

Everything is untrusted: what has no known form is kept as text, nothing is refused.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

Message = dict[str, Any]
Part = dict[str, Any]


def text_message(role: str, text: str) -> Message:
    """One message of one text."""
    return {"role": role, "parts": [text_part(text)]}


def text_part(text: str) -> Part:
    """A part that is text."""
    return {"type": "text", "content": text}


def call_part(name: str, arguments: str, call_id: str = "") -> Part:
    """A part that asks for a tool; arguments as the model wrote them."""
    return {"type": "tool_call", "id": call_id, "name": name, "arguments": arguments}


def from_chat(messages: object) -> list[Message]:
    """The messages of a chat request or the message of a choice, in OpenAI's form."""
    return [from_chat_message(message) for message in messages] if isinstance(messages, list) else []


def from_chat_message(message: object, finish: str = "") -> Message:
    """One message; `finish` is added to an answer's."""
    if not isinstance(message, Mapping):
        return text_message("", _text(message))
    parts = list(_parts(message))
    found: Message = {"role": _text(message.get("role")), "parts": parts}
    if name := message.get("name"):
        found["name"] = _text(name)
    return found | ({"finish_reason": finish} if finish else {})


def _parts(message: Mapping[str, Any]) -> Iterable[Part]:
    for key in ("reasoning_content", "reasoning"):
        if isinstance(message.get(key), str) and message[key]:
            yield {"type": "reasoning", "content": message[key]}
    content = message.get("content")
    if message.get("role") == "tool":
        yield {"type": "tool_call_response", "id": _text(message.get("tool_call_id")), "response": content}
    elif isinstance(content, list):
        yield from map(_content_part, content)
    elif content is not None:
        yield text_part(_text(content))
    if refusal := message.get("refusal"):
        yield text_part(_text(refusal))
    for call in message.get("tool_calls") or ():
        asked = call.get("function") if isinstance(call, Mapping) else None
        if isinstance(asked, Mapping):
            yield call_part(_text(asked.get("name")), _text(asked.get("arguments")), _text(call.get("id")))
    old = message.get("function_call")
    if isinstance(old, Mapping):
        yield call_part(_text(old.get("name")), _text(old.get("arguments")))


def _content_part(part: object) -> Part:
    if isinstance(part, Mapping):
        for key in ("text", "refusal"):
            if isinstance(part.get(key), str):
                return text_part(part[key])
        return {"type": "blob", "content": dict(part)}
    return text_part(_text(part))


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False, default=str)


def tool_names(tools: object) -> list[str]:
    """Names of tool definitions: in OpenAI's form, flat, or as function objects."""
    found = []
    for tool in tools if isinstance(tools, list) else ():
        if isinstance(tool, Mapping):
            inner = tool.get("function")
            name = inner.get("name") if isinstance(inner, Mapping) else tool.get("name") or tool.get("type")
            found.append(_text(name))
    return found
