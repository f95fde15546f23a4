"""Calls from elsewhere, as events of a log: OpenTelemetry spans, LiteLLM's and Langfuse's exports, plain JSON lines.

Everything read here is untrusted: what has no form that is known is refused, naming file and line.
"""

import gzip
import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from molehunt.errors import DataError
from molehunt.logs import events
from molehunt.logs.messages import from_chat, from_chat_message, text_message
from molehunt.logs.reading import call_ids
from molehunt.logs.writing import LogWriter
from molehunt.records.base import sha256_text

Json = Mapping[str, Any]
Pair = tuple[dict[str, Any], dict[str, Any]]
"""The bodies of a request and its answer."""
_MOST = 64 << 20
"""Bytes of one line, or of a document over several."""
_LAST_SECOND = 253_402_300_799
"""Of the year 9999."""


class Imported(NamedTuple):
    """What an import came to."""

    calls: int
    """Appended."""
    known: int
    """Left out: the log has calls by their ids."""


def import_log(path: Path, kind: str, log: Path, worker: str = "import", **options: Any) -> Imported:
    """Append the calls of a file to a log. Those that it has are left out, so that an import that was broken off can be done again.

    Args:
        kind: otel (OTLP in JSON, one request a line or one in all), litellm, langfuse, or jsonl (see docs/logs.md).
        options: of `LogWriter`.

    Raises:
        DataError: for the first line that cannot be used, or if there are no calls; then nothing is appended.
        LogError: if the log cannot be written.
    """
    if kind not in FORMS:
        raise DataError(f"log format {kind!r}", wanted=", ".join(FORMS), got="another")
    if sum(1 for _ in _calls(path, kind)) == 0:  # all are looked at before the first is written
        raise DataError(f"file {path}", wanted=f"at least one call in the form of {kind}", got="none")
    count = left_out = 0
    with LogWriter(log, worker, **options) as writer:
        known = set(map(hash, call_ids(log, "answer")))
        half = set(map(hash, call_ids(log, "request"))) - known  # of an import that was killed between the two
        writer.append("start", {events.IMPORTED_FROM: path.name, "molehunt.imported.kind": kind})
        for where, request, answer in _calls(path, kind):
            call = str(request.get(events.CALL_ID) or f"{where}:{_digest(request, answer)}")
            if hash(call) in known:
                left_out += 1
                continue
            known.add(hash(call))
            mark = {events.CALL_ID: call, events.IMPORTED_FROM: where}
            if hash(call) not in half:
                writer.append("request", request | mark)
            writer.append("answer", answer | mark)
            count += 1
        writer.append("stop", {})
    return Imported(count, left_out)


def _calls(path: Path, kind: str) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Where each stands, and its request and answer."""
    for where, value in _values(path):
        for request, answer in _pairs(kind, where, value):
            yield where, request, answer


def _digest(*bodies: Json) -> str:
    """Of calls without an id: lines of the same number, in files of the same name, are different calls."""
    return sha256_text(json.dumps(bodies, sort_keys=True))[:12]


def _pairs(kind: str, where: str, value: object) -> Iterator[Pair]:
    if not isinstance(value, Mapping):
        raise DataError(where, wanted="a JSON object", got=type(value).__name__)
    try:
        yield from FORMS[kind](value)
    except (TypeError, KeyError, AttributeError, IndexError, ValueError, OverflowError) as error:
        got = f"no {error}" if isinstance(error, KeyError) else f"{type(error).__name__}: {error}"
        raise DataError(where, wanted=f"a call in the form of {kind}", got=got) from None


def _values(path: Path) -> Iterator[tuple[str, object]]:
    """The objects of a file of lines, or of one array or object in all; gzip is seen by its first bytes."""
    try:
        with path.open("rb") as raw:
            head = raw.read(2)
        with gzip.open(path) if head == b"\x1f\x8b" else path.open("rb") as stream:
            for number, line in enumerate(iter(lambda: stream.readline(_MOST), b""), 1):
                if number == 1 and line.strip() in (b"[", b"{"):
                    yield from _document(path, _short(path.name, line + stream.read(_MOST)))
                    return
                if _short(f"{path.name}:{number}", line).strip():
                    found = _parsed(f"{path.name}:{number}", line)
                    rows = found if isinstance(found, list) else [found]
                    yield from ((f"{path.name}:{number}", row) for row in rows)
    except (OSError, EOFError, zlib.error) as error:
        got = getattr(error, "strerror", None) or str(error)
        raise DataError(f"file {path}", wanted="a file that can be read", got=got) from None


def _document(path: Path, text: bytes) -> Iterator[tuple[str, object]]:
    found = _parsed(path.name, text)
    for number, value in enumerate(found if isinstance(found, list) else [found], 1):
        yield f"{path.name}:{number}", value


def _short(where: str, text: bytes) -> bytes:
    """The text. Raises DataError if it was cut: nobody could say what is wrong with its JSON."""
    if len(text) >= _MOST:
        raise DataError(where, wanted=f"less than {_MOST >> 20} MiB in a line, or in an array over several", got="more")
    return text


def _parsed(where: str, text: bytes) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(where, wanted="JSON", got=str(error)[:120]) from None


def _from_jsonl(value: Json) -> Iterator[Pair]:
    """`messages` and `answer`, or a chat `request` and its `response`, as they went over the wire."""
    if "request" in value:
        asked, got = value["request"], value.get("response") or {}
        yield _request(value, asked), _response(got)
        return
    request = _request(value, value)
    answer = value["completion"] if "completion" in value and "answer" not in value else value["answer"]
    message = from_chat_message(answer if isinstance(answer, Mapping) else {"role": "assistant", "content": answer})
    yield request, {events.OUTPUT: [message], events.STATUS: 200}


def _request(outer: Json, asked: Json) -> dict[str, Any]:
    found = {
        events.OPERATION: "chat",
        events.INPUT: from_chat(asked.get("messages"))
        or ([text_message("user", str(asked["prompt"]))] if asked.get("prompt") is not None else []),
        events.REQUEST_MODEL: asked.get("model"),
        events.TOOLS: asked.get("tools"),
        events.CALL_ID: outer.get("id"),
        events.CONVERSATION: outer.get("session"),
        events.CLIENT: outer.get("client"),
        events.USER: outer.get("user"),
        events.APPLICATION: outer.get("application"),
        events.MODEL_DIGEST: outer.get("model_digest"),
        events.IMPORTED_TIME: _time(outer.get("time")),
    }
    if not found[events.INPUT]:
        raise KeyError("messages")
    return _stated(found)


def _response(got: Json) -> dict[str, Any]:
    choices = got.get("choices") or []
    usage = got.get("usage") or {}
    found = {
        events.OUTPUT: [
            from_chat_message(choice.get("message") or {}, str(choice.get("finish_reason") or "")) for choice in choices
        ],
        events.FINISH_REASONS: [str(choice.get("finish_reason") or "") for choice in choices],
        events.RESPONSE_ID: got.get("id"),
        events.RESPONSE_MODEL: got.get("model"),
        events.USAGE_INPUT: usage.get("prompt_tokens"),
        events.USAGE_OUTPUT: usage.get("completion_tokens"),
        events.STATUS: 200 if choices else 500,
    }
    return _stated(found)


def _from_litellm(value: Json) -> Iterator[Pair]:
    """A `StandardLoggingPayload`, as LiteLLM's callbacks and object stores write it."""
    metadata = value.get("metadata") or {}
    response = value.get("response")
    request = _request(
        {
            "id": value.get("id") or value.get("call_id"),
            "session": value.get("trace_id"),
            "client": metadata.get("user_api_key_alias") or metadata.get("user_api_key_hash"),
            "user": value.get("end_user"),
            "time": value.get("startTime"),
        },
        {"messages": value["messages"], "model": value.get("model"), "tools": (value.get("model_parameters") or {}).get("tools")}
        if isinstance(value["messages"], list)
        else {"prompt": value["messages"], "model": value.get("model")},
    )  # fmt: skip
    answer = (
        _response(response)
        if isinstance(response, Mapping)
        else {events.OUTPUT: [text_message("assistant", str(response or ""))]}
    )
    if value.get("status") == "failure":
        answer |= {events.ERROR: str(value.get("error_str") or "failure"), events.STATUS: 500}
    yield request, answer


def _from_langfuse(value: Json) -> Iterator[Pair]:
    """One observation of an export; others than generations are passed over."""
    if value.get("type", "GENERATION") != "GENERATION":
        return
    given, got = _unpacked(value["input"]), _unpacked(value.get("output"))
    messages = given.get("messages") if isinstance(given, Mapping) else given
    asked = {"messages": messages} if isinstance(messages, list) else {"prompt": given}
    tools = given.get("tools") if isinstance(given, Mapping) else None
    outer = {
        "id": value.get("id"),
        "session": value.get("sessionId") or value.get("traceId") or value.get("trace_id"),
        "user": value.get("userId"),
        "application": value.get("promptName") or value.get("name"),
        "time": value.get("startTime") or value.get("start_time"),
    }
    message = got if isinstance(got, Mapping) and ("content" in got or "tool_calls" in got) else {"content": got}
    usage = value.get("usageDetails") or value.get("usage") or {}
    answer = {
        events.OUTPUT: [from_chat_message({"role": "assistant", **message})],
        events.STATUS: 500 if value.get("level") == "ERROR" else 200,
        events.USAGE_INPUT: usage.get("input"),
        events.USAGE_OUTPUT: usage.get("output"),
    }
    yield _request(outer, {**asked, "model": value.get("model"), "tools": tools}), _stated(answer)


def _unpacked(value: object) -> Any:
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def _from_otel(value: Json) -> Iterator[Pair]:
    """The spans of an OTLP request that are calls of a model: those with a `gen_ai.operation.name`, or an input."""
    spans = [
        span
        for resource in value["resourceSpans"]
        for scope in resource.get("scopeSpans") or ()
        for span in scope.get("spans") or ()
    ]
    for span in spans:
        found = {item["key"]: _plain(item.get("value") or {}) for item in span.get("attributes") or ()}
        if events.INPUT in found or found.get(events.OPERATION) in ("chat", "text_completion", "generate_content"):
            yield _of_span(span, found)


_ANSWERED = ("gen_ai.response.", "gen_ai.usage.", "gen_ai.output.messages", "http.response.", "error.")


def _of_span(span: Json, found: dict[str, Any]) -> Pair:
    for key in events.CONTENT:
        if key in found and key != events.PROMPT:
            found[key] = _unpacked(found[key])
    seconds = int(span.get("startTimeUnixNano") or 0) / 1e9
    ends = {key: value for key, value in found.items() if key.startswith(_ANSWERED)}
    asks = {key: value for key, value in found.items() if key not in ends}
    asks.setdefault(events.CALL_ID, span.get("spanId"))
    asks.setdefault(events.CONVERSATION, span.get("traceId"))
    asks[events.IMPORTED_TIME] = _time(seconds or None)
    ends.setdefault(events.STATUS, 500 if (span.get("status") or {}).get("code") in (2, "STATUS_CODE_ERROR") else 200)
    return _stated(asks), _stated(ends)


def _plain(value: Json) -> Any:
    """An OTLP value as JSON has it."""
    if "intValue" in value:
        return int(value["intValue"])
    if "arrayValue" in value:
        return [_plain(part) for part in value["arrayValue"].get("values") or ()]
    if "kvlistValue" in value:
        return {item["key"]: _plain(item.get("value") or {}) for item in value["kvlistValue"].get("values") or ()}
    return next(iter(value.values()), None)


def _time(value: object) -> str | None:
    """ISO 8601 of a time as text, or as seconds since 1970."""
    if isinstance(value, int | float) and 0 < value < _LAST_SECOND:
        return datetime.fromtimestamp(value, UTC).isoformat()
    return value if isinstance(value, str) else None


def _stated(found: Json) -> dict[str, Any]:
    return {key: value for key, value in found.items() if value is not None}


FORMS: dict[str, Callable[[Json], Iterator[Pair]]] = {
    "otel": _from_otel,
    "litellm": _from_litellm,
    "langfuse": _from_langfuse,
    "jsonl": _from_jsonl,
}
