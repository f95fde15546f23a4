"""What the gateway writes into the log, by OpenTelemetry's names."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from molehunt.gateway.dialects.base import Dialect, Json, Logged
from molehunt.gateway.facts import ModelFacts
from molehunt.gateway.judging import Asked
from molehunt.logs import events
from molehunt.logs.messages import call_part
from molehunt.records.base import sha256_text

_NUMBERS: dict[str, tuple[str, type | tuple[type, ...]]] = {
    "temperature": (events.TEMPERATURE, (int, float)), "top_p": (events.TOP_P, (int, float)),
    "top_k": (events.TOP_K, (int, float)), "frequency_penalty": (events.FREQUENCY_PENALTY, (int, float)),
    "presence_penalty": (events.PRESENCE_PENALTY, (int, float)), "seed": (events.SEED, int), "n": (events.CHOICES, int),
    "max_tokens": (events.MAX_TOKENS, int), "max_completion_tokens": (events.MAX_TOKENS, int),
    "max_output_tokens": (events.MAX_TOKENS, int),
}  # fmt: skip
_USAGE = {
    "prompt_tokens": events.USAGE_INPUT, "input_tokens": events.USAGE_INPUT,
    "completion_tokens": events.USAGE_OUTPUT, "output_tokens": events.USAGE_OUTPUT,
}  # fmt: skip


class Recorder(Protocol):
    """Where records go: `molehunt.logs.writing.LogWriter`."""

    def append(self, event: str, body: Mapping[str, Any]) -> Any:
        """Write one record; it is in the kernel's hands when this returns. Raises LogError if it is not."""
        ...

    def anchor(self) -> Any:
        """Tell its anchors how far the log has come."""
        ...

    def close(self) -> None: ...


def request_body(
    dialect: Dialect, endpoint: str, body: Json, who: Mapping[str, str], facts: ModelFacts, policy: str
) -> Json:
    """The record of a request, as the client sent it.

    Args:
        who: attributes of the call: its id, client, user, session, and the application as the client names it.
    """
    messages, system = dialect.asked(body)
    found: Json = {key: value for key, value in who.items() if value}
    if events.APPLICATION not in found and (named := _application(messages, system, body)):
        found[events.APPLICATION] = named
    found |= {
        events.OPERATION: dialect.operation, events.PROVIDER: "openai-compatible", events.ENDPOINT: endpoint,
        events.STREAM: body.get("stream") is True, events.INPUT: messages, events.POLICY: policy,
        events.MODEL_DIGEST: facts.digest, events.DIGEST_SOURCE: facts.source, events.REQUEST_MODEL: facts.name,
    }  # fmt: skip
    for key, (name, kind) in _NUMBERS.items():
        if isinstance(body.get(key), kind) and not isinstance(body[key], bool):
            found[name] = body[key]
    stops = body.get("stop")
    found |= (
        {events.STOP_SEQUENCES: [stops] if isinstance(stops, str) else stops} if isinstance(stops, str | list) else {}
    )
    tools = [*_list(body.get("tools")), *_list(body.get("functions"))]
    return found | ({events.SYSTEM: system} if system else {}) | ({events.TOOLS: tools} if tools else {})


def session_names(headers: Mapping[str, str], body: Json, session_of: Callable[[str], str]) -> list[str]:
    """All that a request says that it belongs to, the name that it is logged by first; none if it says nothing.

    Args:
        session_of: the session of an earlier response.
    """
    metadata, conversation = body.get("metadata"), body.get("conversation")
    before = body.get("previous_response_id")
    named = (
        headers.get("x-session-id"),
        metadata.get("session_id") if isinstance(metadata, dict) else None,
        conversation.get("id") if isinstance(conversation, dict) else conversation,
        session_of(before) if isinstance(before, str) else None,
    )
    return list(dict.fromkeys(name[:200] for name in named if isinstance(name, str) and name))


def _application(messages: list[Json], system: list[Json], body: Json) -> str:
    """A digest of the system's texts and of the tools' names."""
    first = [message for message in messages if message.get("role") in ("system", "developer")]
    tools = [str(tool.get("function", tool))[:200] for tool in _list(body.get("tools")) if isinstance(tool, dict)]
    return (
        sha256_text(repr((first, system, tools)).encode("utf-8", "replace").decode())[:16]
        if first or system or tools
        else ""
    )


def answer_body(
    call: str, logged: Logged, status: int, denied: Sequence[Asked], first: float | None, rendered: Json
) -> Json:
    """The record of an answer, as the client gets it, and with calls that it does not get, marked as denied.

    Args:
        first: seconds to the first piece of a stream.
        rendered: what a server of ours says of the prompt that the model read.
    """
    found: Json = {
        events.CALL_ID: call, events.STATUS: status, events.OUTPUT: _with_denied(logged.messages, denied),
        events.FINISH_REASONS: logged.finishes,
    }  # fmt: skip
    found |= {_USAGE[key]: count for key, count in logged.usage.items() if key in _USAGE and isinstance(count, int)}
    found |= {events.RESPONSE_ID: logged.id} if logged.id else {}
    found |= {events.RESPONSE_MODEL: logged.model} if logged.model else {}
    found |= {events.FIRST_CHUNK: round(first, 6)} if first is not None else {}
    return found | rendered_body(rendered)


def _with_denied(messages: list[Json], denied: Sequence[Asked]) -> list[Json]:
    if not denied:
        return messages
    first, *rest = messages or [{"role": "assistant", "parts": []}]
    parts = [{**call_part(call.name, call.arguments), "molehunt.denied": True} for call in denied]
    return [{**first, "parts": [*first.get("parts", ()), *parts]}, *rest]


def rendered_body(rendered: Json) -> Json:
    """The prompt that the model read and the digest of its template, where the server told them."""
    prompts, digest = rendered.get("prompts"), rendered.get("template_digest")
    text = "\n".join(map(str, prompts)) if isinstance(prompts, list) else ""
    return ({events.PROMPT: text} if text else {}) | (
        {events.TEMPLATE_DIGEST: digest} if isinstance(digest, str) else {}
    )


def failed_body(call: str, status: int, code: str, message: str) -> Json:
    """The record of an answer that is an error."""
    return {
        events.CALL_ID: call,
        events.STATUS: status,
        events.ERROR: code,
        "molehunt.error.message": message[:2000],
        events.OUTPUT: [],
    }


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
