"""No call of a denied tool reaches a client, whatever the endpoint, the stream, the form of the call and the spelling of its name."""

import contextlib
import http.client
import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from gateways import ALL_BUT_SHELL, Gateway, gateway
from mock_upstream import HEAD, call, chunks, events, message, response, responses_stream

SPELLINGS = (
    "shell", "SHELL", "Shell", "ｓｈｅｌｌ", "s\u200bhell", "shell ", "\tshell", "shell\u0000", "ſhell", "sh\u00adell", "\u202eshell",
    "shell\ufe0f", "\ud800shell",
)  # fmt: skip
OTHERS = ("functions.shell", "ѕhell", "", "unknown", "read\u0301", "read2")
"""Other tools: unknown, so denied where little is permitted."""
TOOLS = [{"type": "function", "function": {"name": name}} for name in ("read", "shell", "SHELL", "Shell")]

Json = dict[str, Any]
Form = Callable[[str, str], Json]
"""(name of the denied tool, token in its arguments) to a message."""


def as_json(name: str, token: str, key: str = "arguments") -> str:
    return json.dumps({"name": name, key: {"token": token}}, ensure_ascii=False)


def halves(text: str, at: int) -> tuple[str, str]:
    return text[:at], text[at:]


TEXTS: dict[str, Callable[[str, str], str]] = {
    "hermes": lambda name, token: f"<tool_call>\n{as_json(name, token)}\n</tool_call>",
    "hermes open": lambda name, token: f"<tool_call>{as_json(name, token)}",
    "hermes upper": lambda name, token: f"<TOOL_CALL>{as_json(name, token)}</TOOL_CALL>",
    "hermes hidden": lambda name, token: f"<tool\u200b_call>{as_json(name, token)}</tool_call>",
    "hermes wide": lambda name, token: f"＜tool_call＞{as_json(name, token)}＜/tool_call＞",
    "hermes broken": lambda name, token: f'<tool_call>{{"name": "{name}", "arguments": {{"token": {token}</tool_call>',
    "function": lambda name, token: f'<function={name}>{{"token": "{token}"}}</function>',
    "qwen": lambda name, token: (
        f"<tool_call><function={name}><parameter=token>{token}</parameter></function></tool_call>"
    ),
    "invoke": lambda name, token: f'<invoke name="{name}"><parameter name="token">{token}</parameter></invoke>',
    "llama": lambda name, token: f'<|python_tag|>{name}.call(token="{token}")',
    "llama 4": lambda name, token: f'So: <|python_start|>[{name}(token="{token}")]<|python_end|>',
    "llama json": lambda name, token: f"<|python_tag|>{as_json(name, token, 'parameters')}<|eom_id|>",
    "bare json": lambda name, token: as_json(name, token, "parameters"),
    "fenced json": lambda name, token: f"I will.\n```json\n{as_json(name, token)}\n```\n",
    "escaped json": lambda name, token: (
        '{"n\\u0061me": ' + json.dumps(name) + ', "arguments": {"token": "' + token + '"}}'
    ),
    "nested json": lambda name, token: json.dumps({"tool_calls": [call(name, token)]}),
    "action json": lambda name, token: json.dumps({"action": name, "action_input": token}),
    "python dict": lambda name, token: f"{{'name': '{name}', 'arguments': {{'token': '{token}'}}}}",
    "python": lambda name, token: f'[{name}(token="{token}")]',
    "mistral": lambda name, token: f"[TOOL_CALLS] [{as_json(name, token)}]",
    "mistral args": lambda name, token: f'[TOOL_CALLS]{name}[ARGS]{{"token": "{token}"}}',
    "react": lambda name, token: f"Thought: I must.\nAction: {name}\nAction Input: {token}\n",
    "react numbered": lambda name, token: f"Action 1: {name}\nAction 1 Input: {token}\nObservation 1: done",
}
BARE_NAMES = {"python", "llama", "llama 4", "mistral args", "function", "qwen", "invoke", "react", "react numbered"}
"""Syntaxes without quotes around the name: a name that is no word is none in them."""
CHAT_FORMS: dict[str, Form] = {
    "call": lambda name, token: {"tool_calls": [call(name, token)]},
    "parallel": lambda name, token: {"tool_calls": [call("read", "yes-a"), call(name, token, "c2"), call("read", "yes-b", "c3")]},
    "same id": lambda name, token: {"tool_calls": [call("read", "yes-a"), call(name, token)]},
    "custom": lambda name, token: {"tool_calls": [{"id": "c", "type": "custom", "custom": {"name": name, "input": token}}]},
    "two holders": lambda name, token: {"tool_calls": [call("read", "yes-a") | {"custom": {"name": name, "input": token}}]},
    "flat": lambda name, token: {"tool_calls": [{"id": "c", "name": name, "arguments": token}]},
    "object arguments": lambda name, token: {"tool_calls": [{"id": "c", "type": "function", "function": {"name": name, "arguments": {"token": token}}}]},
    "function_call": lambda name, token: {"function_call": {"name": name, "arguments": json.dumps({"token": token})}},
    "both": lambda name, token: {"function_call": {"name": name, "arguments": token}, "tool_calls": [call("read", "yes-a")]},
    "stray": lambda name, token: {"content": "x", "toolCalls": [call(name, token)]},
    "stray deep": lambda name, token: {"content": "x", "extra": {"do": {"name": name, "input": {"token": token}}}},
    "stray part": lambda name, token: {"content": [{"type": "tool_use", "id": "t", "name": name, "input": {"token": token}}, {"type": "text", "text": "x"}]},
    "stray part of a kind": lambda name, token: {"content": [{"type": "function_call", "which": name, "with": token}]},
    "stray in a part": lambda name, token: {"content": [{"type": "text", "text": "x", "tool_calls": [call(name, token)]}]},
    "stray content": lambda name, token: {"content": {"type": "tool_use", "id": "t", "name": name, "input": {"token": token}}},
    "stray annotation": lambda name, token: {"content": "x", "annotations": [{"type": "x", "tool_calls": [call(name, token)]}]},
    "stray in audio": lambda name, token: {"content": "x", "audio": {"id": "a", "tool_calls": [call(name, token)]}},
    "in thinking": lambda name, token: {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": TEXTS["hermes"](name, token)}]}]},
    "in reasoning": lambda name, token: {"content": "x", "reasoning_content": TEXTS["hermes"](name, token)},
    "in parts": lambda name, token: {"content": [{"type": "text", "text": TEXTS["hermes"](name, token)}]},
    "across parts": lambda name, token: {"content": [{"type": "text", "text": part} for part in halves(as_json(name, token), 4)]},
    "react across parts": lambda name, token: {"content": [{"type": "text", "text": part} for part in (f"Action: {name}", f"\nAction Input: {token}")]},
}  # fmt: skip


@pytest.fixture(scope="module")
def loose(upstream: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with gateway(tmp_path_factory.mktemp("loose"), ALL_BUT_SHELL, upstream) as found:
        yield found


def whole_chat(said: Json) -> Json:
    finish = "tool_calls" if "tool_calls" in said else "stop"
    choices = [
        {"index": 0, "message": {"role": "assistant", "content": "fine"}, "finish_reason": "stop"},
        {"index": 1, "message": {"role": "assistant", "content": None, **said}, "finish_reason": finish},
    ]
    return {"pieces": [json.dumps({**HEAD, "object": "chat.completion", "choices": choices})]}


def streams_chat(said: Json) -> Iterator[Json]:
    """The same in one delta, and in pieces: names and arguments cut anywhere, indices first."""
    finish = "tool_calls" if "tool_calls" in said else "stop"
    one = {
        **said,
        **(
            {"tool_calls": [{"index": i, **c} for i, c in enumerate(said["tool_calls"])]}
            if "tool_calls" in said
            else {}
        ),
    }
    yield events([*chunks([{"content": "fine"}]), *chunks([one], finish, 1), "[DONE]"])
    yield events([*chunks(list(cut(said)), finish), "[DONE]"])
    joined = events([*chunks(list(cut(said)), finish), "[DONE]"])
    yield joined | {"pieces": ["".join(joined["pieces"])]}  # all of it in one piece
    misplaced = {**HEAD, "choices": [{"index": 0, "delta": {"content": "x"}, "message": said, "finish_reason": None}]}
    yield events([misplaced, *chunks([]), "[DONE]"])


def cut(said: Json) -> Iterator[Json]:
    for key, part in said.items():
        if key == "tool_calls":
            for i, each in enumerate(part):
                yield from ({"tool_calls": [{"index": i, **piece}]} for piece in cut_call(each))
        elif key == "function_call":
            yield from ({"function_call": piece} for piece in cut_call(part))
        elif isinstance(part, str):
            yield from ({key: part[at : at + 3]} for at in range(0, len(part), 3))
        else:
            yield {key: part}


def cut_call(one: Json) -> Iterator[Json]:
    holder = next((key for key in ("function", "custom") if key in one), "")
    inner = one[holder] if holder else one
    for name, value in inner.items():
        pieces = [value[at : at + 2] for at in range(0, len(value), 2)] or [""] if isinstance(value, str) else [value]
        yield from ({holder: {name: piece}} if holder else {name: piece} for piece in pieces)
    yield {key: value for key, value in one.items() if key != holder and key not in inner}


def responses_forms(name: str, token: str) -> Iterator[tuple[str, list[Json]]]:
    arguments = json.dumps({"token": token})
    yield "call", [{"type": "function_call", "id": "f1", "call_id": "c1", "name": name, "arguments": arguments}]
    yield "custom", [{"type": "custom_tool_call", "id": "f1", "call_id": "c1", "name": name, "input": token}]
    yield (
        "parallel",
        [
            {"type": "function_call", "id": "f1", "call_id": "c1", "name": "read", "arguments": '{"token": "yes-a"}'},
            {"type": "function_call", "id": "f2", "call_id": "c2", "name": name, "arguments": arguments},
            message("after"),
        ],
    )
    yield "built in", [{"type": "local_shell_call", "id": "f1", "name": "read", "action": {"command": [token]}}]
    yield "unknown item", [{"type": "future_thing", "name": "read", "input": token}]
    yield "text", [message(TEXTS["hermes"](name, token))]
    parts = [message(part)["content"][0] for part in halves(as_json(name, token), 4)]
    yield "across parts", [{**message(""), "content": parts}]
    yield (
        "across items",
        [message(part, f"msg_{i}") for i, part in enumerate((f"Action: {name}", f"\nAction Input: {token}"))],
    )
    asked = {"name": name, "arguments": arguments}
    yield "stray in item", [message("x") | {"function_call": asked}]
    stray_part = {**message("x")["content"][0], "tool_calls": [asked]}
    annotated = {**message("x")["content"][0], "annotations": [{"type": "x", "call": asked}]}
    yield "stray in annotation", [{**message("x"), "content": [annotated]}]
    yield "stray in part", [{**message("x"), "content": [stray_part]}]


def requests(name: str, token: str, forms: list[str]) -> Iterator[tuple[str, str, Json]]:
    """(what, endpoint, body) of every way to bring the call to a client."""
    said = {form: CHAT_FORMS[form](name, token) for form in CHAT_FORMS}
    said |= {f"text: {form}": {"content": "So: " + TEXTS[form](name, token)} for form in forms}
    said |= {"text: python": {"content": TEXTS["python"](name, token)}} if "python" in forms else {}
    for form, each in said.items():
        body: Json = {"messages": [{"role": "user", "content": "go"}], "tools": TOOLS}
        yield f"chat {form}", "chat/completions", {**body, "mock": whole_chat(each)}
        for kind, mock in zip(("", " in pieces", " at once", " misplaced"), streams_chat(each), strict=True):
            yield f"chat stream {form}{kind}", "chat/completions", {**body, "stream": True, "mock": mock}
    for form in forms:
        text = TEXTS[form](name, token)
        whole = {**HEAD, "object": "text_completion", "choices": [{"index": 0, "text": text, "finish_reason": "stop"}]}
        yield f"completions {form}", "completions", {"prompt": "go", "mock": {"pieces": [json.dumps(whole)]}}
        parts: list[Any] = [
            {**HEAD, "choices": [{"index": 0, "text": text[i : i + 4], "finish_reason": None}]}
            for i in range(0, len(text), 4)
        ]
        yield (
            f"completions stream {form}",
            "completions",
            {"prompt": "go", "stream": True, "mock": events([*parts, "[DONE]"])},
        )
    for form, items in responses_forms(name, token):
        body = {"input": "go", "tools": [{"type": "function", "name": n} for n in ("read", "shell", "SHELL", "Shell")]}
        yield f"responses {form}", "responses", {**body, "mock": {"pieces": [json.dumps(response(items))]}}
        for is_lying in (False, True):
            yield (
                f"responses stream {form}{' lying' if is_lying else ''}",
                "responses",
                {**body, "stream": True, "mock": responses_stream(items, is_lying)},
            )


def syntaxes(name: str) -> list[str]:
    return [form for form in TEXTS if form not in BARE_NAMES or name.isidentifier()]


def ways_through(gateway: Gateway, names: tuple[str, ...], every: int = 1) -> tuple[int, list[str]]:
    """How many were tried, and which brought the token to the client. Of `every` so many one is tried, for each name others."""
    tried, found = 0, []
    address = urlsplit(gateway.url)
    with contextlib.closing(http.client.HTTPConnection(address.hostname or "", address.port)) as line:
        for number, name in enumerate(names):
            token = f"no{number}token"
            for what, endpoint, body in itertools.islice(
                requests(name, token, syntaxes(name)), number % every, None, every
            ):
                line.request("POST", f"/v1/{endpoint}", json.dumps({"model": "mock", **body}))
                answer = line.getresponse()
                text = answer.read().decode()
                assert answer.status == 200, (what, name, text)
                tried += 1
                if token in text or token in text.encode().decode("unicode_escape", "replace"):
                    found.append(f"{what} {name!r}: {text[:300]}")
                if "parallel" in what and "misplaced" not in what and "yes-" not in text:
                    found.append(f"{what} {name!r}: the permitted call did not come through")
    return tried, found


def test_where_little_is_permitted_nothing_else_comes_through(door: Gateway) -> None:
    assert_closed(door, SPELLINGS[:1], 1)
    assert_closed(door, SPELLINGS + OTHERS, 19)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_the_whole_matrix(door: Gateway, loose: Gateway) -> None:
    assert_closed(door, SPELLINGS + OTHERS, 1)
    assert_closed(loose, SPELLINGS, 1, ("built in", "unknown item"))


def assert_closed(gateway: Gateway, names: tuple[str, ...], every: int, permitted: tuple[str, ...] = ()) -> None:
    tried, found = ways_through(gateway, names, every)
    found = [one for one in found if not any(word in one for word in permitted)]
    assert not found, found[:5]
    assert tried > 80 * len(names) / every


def test_where_one_tool_is_forbidden_no_spelling_of_it_comes_through(loose: Gateway) -> None:
    assert_closed(loose, SPELLINGS, 13, ("built in", "unknown item"))


def test_the_paths_are_sound_permitted_calls_come_through(door: Gateway) -> None:
    missing = []
    for what, endpoint, body in requests("read", "yestoken", list(TEXTS)):
        is_denied = any(
            word in what
            for word in ("stray", "built in", "unknown item", "custom", "two holders", "broken", "lying", "misplaced")
        )
        answer = door.post(endpoint, body)
        if not is_denied and "yestoken" not in answer.text and "python" not in what:
            missing.append((what, answer.text[:300]))
    assert not missing, missing[:3]
    assert door.health().status_code == 200


def test_tools_that_are_not_permitted_never_reach_the_model(door: Gateway) -> None:
    for name in (*SPELLINGS[:6], "unknown"):
        tools = [{"type": "function", "function": {"name": "read"}}, {"type": "function", "function": {"name": name}}]
        choice = {"type": "function", "function": {"name": name}}
        echoed = door.post("chat/completions", {"messages": [], "tools": tools, "tool_choice": choice}).json()
        told = json.loads(echoed["choices"][0]["message"]["content"].removeprefix("echo "))
        assert [tool["function"]["name"] for tool in told["tools"]] == ["read"]
        assert "tool_choice" not in told
    built_in = door.post(
        "responses",
        {"input": "x", "tools": [{"type": "web_search", "name": "read"}, {"type": "mcp", "server_label": "x"}]},
    )
    assert "web_search" not in built_in.text
    assert "mcp" not in built_in.text


def raw_stream(*lines: str) -> Json:
    return {"type": "text/event-stream", "pieces": list(lines)}


def test_no_framing_of_events_brings_a_call_through(door: Gateway) -> None:
    """Carriage returns, data over several lines, comments, names with line feeds, frames cut anywhere."""
    call_event = {
        **HEAD,
        "choices": [
            {"index": 0, "delta": {"tool_calls": [{"index": 0, **call("shell", "notoken")}]}, "finish_reason": None}
        ],
    }
    end = {**HEAD, "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}
    asked, over = json.dumps(call_event), json.dumps(end)
    frames = {
        "carriage returns": f"data: {asked}\r\n\r\ndata: {over}\r\n\r\ndata: [DONE]\r\n\r\n",
        "carriage returns alone": f"data: {asked}\r\rdata: {over}\r\rdata: [DONE]\r\r",
        "several lines": "".join(f"data: {line}\n" for line in json.dumps(call_event, indent=1).split("\n")) + f"\ndata: {over}\n\ndata: [DONE]\n\n",
        "comments": f": data: {asked}\n: x\ndata:{asked}\n: y\n\ndata:{over}\n\ndata: [DONE]\n\n",
        "other fields": f"id: 1\nretry: 1\nevent: data: {asked}\ndata: {over}\n\ndata: [DONE]\n\n",
        "after the end": f"data: {over}\n\ndata: [DONE]\n\ndata: {asked}\n\n",
        "a mark of order": f"\ufeffdata: {asked}\n\ndata: {over}\n\ndata: [DONE]\n\n",
        "twice the same name": "data: " + over.replace('"delta": {}', f'"delta": {json.dumps(call_event["choices"][0]["delta"])}, "delta": {{}}') + "\n\ndata: [DONE]\n\n",
    }  # fmt: skip
    for what, text in frames.items():
        for size in (len(text), 7, 1):
            mock = raw_stream(*(text[at : at + size] for at in range(0, len(text), size)))
            answer = door.chat(mock, stream=True, tools=TOOLS)
            assert answer.status_code in (200, 502), (what, answer.text)
            assert "notoken" not in answer.text, (what, size, answer.text)


def test_no_name_of_an_event_is_another_event(door: Gateway) -> None:
    item = {"type": "function_call", "id": "f", "call_id": "c", "name": "shell", "arguments": '{"token": "notoken"}'}
    forged = json.dumps({"type": "response.output_item.done", "output_index": 1, "item": item})
    for suffix in (
        "response.content_part.added",
        "content_part.done",
        "response.output_text.delta",
        "response.completed",
        "error",
    ):
        kind = f"x.y\ndata: {forged}\n\nevent: {suffix}"
        part = {"type": "output_text", "text": "", "annotations": []}
        event = {"type": kind, "output_index": 0, "content_index": 0, "item_id": "msg_1", "part": part, "delta": "x"}
        mock = responses_stream([message("hello")])
        mock["pieces"].insert(2, f"data: {json.dumps(event)}\n\n")
        answer = door.post("responses", {"input": "go", "stream": True, "mock": mock})
        assert "hello" in answer.text
        assert "notoken" not in answer.text, answer.text


def test_no_index_joins_for_clients_what_was_judged_apart(door: Gateway) -> None:
    """Some clients take 1.0, "1" and true for 1: what they would join must not have been judged as two texts."""
    text = TEXTS["hermes"]("shell", "notoken")
    for index in (1.0, "1", True, [1]):
        pieces = [
            {**HEAD, "choices": [{"index": at, "delta": {"content": part}, "finish_reason": None}]}
            for at, part in zip((1, index), halves(text, 5), strict=True)
        ]
        answer = door.chat(events([*pieces, *chunks([], "stop", 1), "[DONE]"]), stream=True)
        assert "notoken" not in answer.text, (index, answer.text)
        texts = [
            {**HEAD, "choices": [{"index": at, "text": part, "finish_reason": None}]}
            for at, part in zip((1, index), halves(text, 5), strict=True)
        ]
        answer = door.post("completions", {"prompt": "go", "stream": True, "mock": events([*texts, "[DONE]"])})
        assert "notoken" not in answer.text, (index, answer.text)


def test_nothing_is_said_after_the_end_that_makes_a_call_of_what_was_said_before(door: Gateway) -> None:
    whole = as_json("shell", "notoken")
    for first, rest in (halves(whole, 4), halves(whole, 18), ("Action: shell", "\nAction Input: notoken")):
        after = [{"content": first}], [{"content": rest}]
        for deltas in (after, ([{"content": first}, {"role": "assistant", "content": ""}], after[1])):
            answer = door.chat(events([*(one for part in deltas for one in chunks(part)), "[DONE]"]), stream=True)
            assert "notoken" not in answer.text, answer.text
        place = {"output_index": 0, "content_index": 0, "item_id": "msg_1"}
        delta, done = "response.output_text.delta", {"type": "response.output_text.done", "text": "", **place}
        for between in ([done], [done, done], []):
            mock = responses_stream([message("x")])
            said = [{"type": delta, "delta": first, **place}, *between, {"type": delta, "delta": rest, **place}]
            mock["pieces"][3:4] = [f"data: {json.dumps(event)}\n\n" for event in said]
            answer = door.post("responses", {"input": "go", "stream": True, "mock": mock})
            assert "notoken" not in answer.text, answer.text
        second = {**place, "content_index": 1}
        mock = responses_stream([message("x")])
        said = [
            {"type": delta, "delta": "x", **place},
            {"type": delta, "delta": rest, **second},
            {"type": delta, "delta": first, **place},
        ]
        mock["pieces"][3:4] = [f"data: {json.dumps(event)}\n\n" for event in said]
        answer = door.post("responses", {"input": "go", "stream": True, "mock": mock}).text
        assert "goes on after the next has begun" in answer
