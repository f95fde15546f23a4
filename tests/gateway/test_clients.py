"""The real client library gets what it asks for."""

import json
from typing import Any

import httpx2
import openai
import pytest

from gateways import Gateway
from mock_upstream import HEAD, call, chunks, events, message, response, responses_stream

TOOLS: Any = [{"type": "function", "function": {"name": "read", "parameters": {"type": "object"}}}]
ASK: Any = [{"role": "user", "content": "hello there"}]


@pytest.fixture(scope="module")
def client(door: Gateway) -> openai.OpenAI:
    return openai.OpenAI(base_url=door.url, api_key="any", max_retries=0)


def whole(*said: dict[str, Any]) -> dict[str, Any]:
    choices = [
        {"index": i, "message": {"role": "assistant", "content": None, **one}, "finish_reason": "stop"}
        for i, one in enumerate(said)
    ]
    return {"pieces": [json.dumps({**HEAD, "object": "chat.completion", "choices": choices})]}


def test_chat(client: openai.OpenAI) -> None:
    got = client.chat.completions.create(
        model="mock", messages=ASK, temperature=0.5, seed=3, extra_body={"unknown": {"kept": [1]}}
    )
    asked = json.loads(str(got.choices[0].message.content).removeprefix("echo "))
    assert asked == {"model": "mock", "messages": ASK, "temperature": 0.5, "seed": 3, "unknown": {"kept": [1]}}
    assert got.usage is not None
    assert got.usage.total_tokens == 5


def test_several_choices(client: openai.OpenAI) -> None:
    got = client.chat.completions.create(
        model="mock", messages=ASK, n=2, extra_body={"mock": whole({"content": "a"}, {"content": "b"})}
    )
    assert [choice.message.content for choice in got.choices] == ["a", "b"]


def test_chat_stream(client: openai.OpenAI) -> None:
    pieces = ["Once ", "upon a <", "time> ", "{x} ", "🎉"]
    usage = {
        **HEAD,
        "object": "chat.completion.chunk",
        "choices": [],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
    }
    mock = events([*chunks([{"content": piece} for piece in pieces]), usage, "[DONE]"])
    with client.chat.completions.create(model="mock", messages=ASK, stream=True, extra_body={"mock": mock}) as stream:
        got = list(stream)
    assert "".join(c.choices[0].delta.content or "" for c in got if c.choices) == "".join(pieces)
    assert [c.choices[0].finish_reason for c in got if c.choices][-1] == "stop"
    assert got[-1].usage is not None


def test_tools(client: openai.OpenAI) -> None:
    mock = whole({"tool_calls": [call("read", "x"), call("read", "y")]})
    got = client.chat.completions.create(model="mock", messages=ASK, tools=TOOLS, extra_body={"mock": mock})
    calls = got.choices[0].message.tool_calls or []
    assert [json.loads(c.function.arguments)["token"] for c in calls if c.type == "function"] == ["x", "y"]
    assert len({c.id for c in calls}) == 2  # the upstream gave both the same


def test_tools_in_a_stream(client: openai.OpenAI) -> None:
    deltas = [
        {"tool_calls": [{"index": 0, "id": "a", "type": "function", "function": {"name": "read", "arguments": ""}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"to'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": 'ken": "x"}'}}]},
        {"tool_calls": [{"index": 1, "id": "b", "type": "function", "function": {"name": "shell", "arguments": "{}"}}]},
    ]
    mock = events([*chunks(deltas, "tool_calls"), "[DONE]"])
    with client.chat.completions.stream(model="mock", messages=ASK, tools=TOOLS, extra_body={"mock": mock}) as stream:
        got = stream.get_final_completion()
    [asked] = got.choices[0].message.tool_calls or []
    assert asked.function.arguments == '{"token": "x"}'
    assert got.choices[0].finish_reason == "tool_calls"
    assert "shell denied by policy" in str(got.choices[0].message.content)


def test_completions(client: openai.OpenAI) -> None:
    assert client.completions.create(model="mock", prompt="go on").choices[0].text.startswith("echo ")


def test_responses(client: openai.OpenAI) -> None:
    items = [message("hello"), {"type": "function_call", "id": "f", "call_id": "c", "name": "shell", "arguments": "{}"}]
    got = client.responses.create(
        model="mock", input="hi", extra_body={"mock": {"pieces": [json.dumps(response(items))]}}
    )
    assert got.output_text.startswith("hello")
    assert "shell denied by policy" in got.output_text


def test_responses_stream(client: openai.OpenAI) -> None:
    items = [
        message("hello you"),
        {"type": "function_call", "id": "f1", "call_id": "c1", "name": "read", "arguments": '{"a": 1}'},
        {"type": "function_call", "id": "f2", "call_id": "c2", "name": "shell", "arguments": "{}"},
    ]
    tools: Any = [{"type": "function", "name": "read", "parameters": {}, "strict": False}]
    with client.responses.stream(
        model="mock", input="hi", tools=tools, extra_body={"mock": responses_stream(items)}
    ) as stream:
        kinds = [event.type for event in stream]
        got = stream.get_final_response()
    assert "response.output_text.delta" in kinds
    assert [item.type for item in got.output] == ["message", "function_call", "message"]
    assert got.output_text.startswith("hello you")
    assert "shell denied" in got.output_text


def test_models_and_pages(client: openai.OpenAI, door: Gateway) -> None:
    assert [model.id for model in client.models.list()] == ["mock"]
    assert client.models.retrieve("mock").id == "mock"
    with pytest.raises(openai.NotFoundError, match="no upstream has the model"):
        client.models.retrieve("other")
    counts = door.client.get(door.url.removesuffix("/v1") + "/metrics").text
    assert 'molehunt_gateway_requests_total{endpoint="/v1/chat/completions",status="200"}' in counts
    assert door.health().json()["status"] == "ok"


def test_errors_of_the_upstream_come_as_they_are(client: openai.OpenAI) -> None:
    body = json.dumps({"error": {"message": "too many", "type": "rate", "code": "slow_down"}})
    mock = {"status": 429, "pieces": [body], "headers": {"retry-after": "7"}}
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model="mock", messages=ASK, extra_body={"mock": mock})
    assert caught.value.code == "slow_down"
    assert caught.value.response.headers["retry-after"] == "7"


def test_a_request_keeps_its_id(door: Gateway) -> None:
    assert door.chat().headers["x-request-id"]
    named = door.client.post(f"{door.url}/chat/completions", json={"messages": []}, headers={"x-request-id": "mine-1"})
    assert named.headers["x-request-id"] == "mine-1"


def test_text_is_not_kept_waiting(door: Gateway) -> None:
    """The upstream pauses for long after its first words: they are here before it goes on."""
    mock = {**events(chunks([{"content": "first"}])[:1]), "then": "hang"}
    body = {"model": "mock", "stream": True, "messages": [], "mock": mock}
    with door.client.stream("POST", f"{door.url}/chat/completions", json=body) as answer:
        first = next(answer.iter_text())
    assert "first" in first
    assert isinstance(answer, httpx2.Response)
