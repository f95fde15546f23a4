"""Whatever clients and upstreams send: one sentence, a status, and the gateway stays up."""

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateways import READ_ONLY, Gateway, gateway
from mock_upstream import HEAD, chunks, events

DEEP = '{"messages": ' + "[" * 5000 + "]" * 5000 + "}"


@pytest.fixture(autouse=True)
def stays_up(door: Gateway) -> Iterator[None]:
    pid = door.workers()
    yield
    assert door.chat().status_code == 200
    assert door.workers() == pid


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"", 400, "cannot be read"),
        (b"{", 400, "cannot be read"),
        (b"[]", 400, "not a JSON object"),
        (b'{"messages": [], "x": NaN}', 400, "NaN"),
        (b"\xff\xfe{}", 400, "not UTF-8"),
        (DEEP.encode(), 400, "nested deeper"),
        (b'{"messages": {}}', 400, "'messages'"),
        (b'{"messages": ["x"]}', 400, "'messages'"),
        (b'{"messages": [], "tools": {}}', 400, "'tools'"),
        (b'{"messages": [], "tools": [{"function": {}}]}', 400, "neither name nor type"),
        (b'{"messages": [], "n": ' + b"9" * 5000 + b"}", 400, "cannot be read"),
        (b"x" * 1_000_001, 413, "larger than 1000000"),
    ],
)  # fmt: skip
def test_a_request_that_is_none(door: Gateway, body: bytes, status: int, words: str) -> None:
    answer = door.client.post(f"{door.url}/chat/completions", content=body)
    assert answer.status_code == status
    assert words in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("path", "status"),
    [("/v1/embeddings", 404), ("/v1/chat/completions/", 404), ("/v1/../admin", 404), ("/v1/files", 404), ("/", 404), ("/docs", 404)],
)  # fmt: skip
def test_other_endpoints_are_refused(door: Gateway, path: str, status: int) -> None:
    answer = door.client.post(door.url.removesuffix("/v1") + path, json={}, follow_redirects=False)
    assert answer.status_code in (status, 307)
    assert "mock" not in answer.text


def raw(door: Gateway, *pieces: bytes, most: int = 4096) -> bytes:
    host, port = door.url.split("/")[2].split(":")
    with socket.create_connection((host, int(port)), 30) as line:
        for piece in pieces:
            line.sendall(piece)
        return line.recv(most)


def test_a_body_of_100_mb_is_refused_before_it_is_read(door: Gateway) -> None:
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 100000000\r\n\r\n"
    assert b"413" in raw(door, head, b"x" * 1000)


def test_a_body_without_end_is_cut_off(door: Gateway) -> None:
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    assert b"413" in raw(door, head, b"100000\r\n" + b"x" * 0x100000 + b"\r\n")


def test_what_is_no_http(door: Gateway) -> None:
    assert b"400" in raw(door, b"\x16\x03\x01 nonsense\r\n\r\n")
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: -5\r\n\r\n"
    assert b"400" in raw(door, head)


UPSTREAM: list[tuple[dict[str, Any], int, str]] = [
    ({"pieces": ["{not json"]}, 502, "no JSON"),
    ({"pieces": ["[]"]}, 502, "no JSON object"),
    ({"pieces": ["{}"]}, 502, "'choices'"),
    ({"pieces": ['{"choices": [1]}']}, 502, "a choice is no object"),
    ({"pieces": ["[" * 5000]}, 502, "no JSON"),
    ({"pieces": ["<html>"], "type": "text/html"}, 502, "no JSON"),
    ({"pieces": ['{"choices"'], "then": "cut"}, 502, "broke off"),
    ({"pieces": ['{"choices"'], "then": "hang"}, 504, "nothing came from the upstream for 2 s"),
    ({"pieces": ["{}"], "seconds": 30}, 504, "nothing came from the upstream for 2 s"),
    ({"raw": ""}, 502, "closed the connection"),
    ({"raw": "SSH-2.0 hello\r\n\r\n"}, 502, "no HTTP"),
    ({"raw": "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\nxx"}, 502, "packed"),
    ({"status": 302, "pieces": [""], "headers": {"location": "http://127.0.0.1/"}}, 502, ""),
    ({"type": "text/event-stream", "pieces": ["data: {garbage\n\n"]}, 502, "no JSON"),
    ({"type": "text/event-stream", "pieces": ["data: \udcff\n\n"]}, 502, "not UTF-8"),
    ({"type": "text/event-stream", "pieces": ["nothing\n\n"]}, 502, "before it was whole"),
    ({"type": "text/event-stream", "pieces": ["data: 1\n\n"]}, 502, "no JSON object"),
]


def test_a_completion_that_is_no_text(door: Gateway) -> None:
    choice = {"index": 0, "text": ["<tool_call>", '{"name": "shell", "arguments": {}}'], "finish_reason": "stop"}
    whole = json.dumps({**HEAD, "choices": [choice]})
    for mock in ({"pieces": [whole]}, events([whole, "[DONE]"])):
        answer = door.post("completions", {"prompt": "go", "mock": mock})
        assert (answer.status_code, "shell" in answer.text) == (502, False), answer.text


@pytest.mark.parametrize(("mock", "status", "words"), UPSTREAM)
def test_an_upstream_that_makes_no_sense(door: Gateway, mock: dict[str, Any], status: int, words: str) -> None:
    answer = door.chat(mock)
    assert answer.status_code == status
    assert words in (answer.json()["error"]["message"] if words else "")


def test_a_stream_that_breaks_off_ends_with_an_error_and_without_done(door: Gateway) -> None:
    begun = chunks([{"content": "Hello"}, {"content": " wor"}])[:2]
    for then in ("cut", "end"):
        answer = door.chat({**events(begun), "then": then}, stream=True)
        assert "Hello" in answer.text
        assert "upstream_broke_off" in answer.text
        assert "[DONE]" not in answer.text


def test_a_call_that_breaks_off_is_never_sent(door: Gateway) -> None:
    part = {
        "tool_calls": [{"index": 0, "id": "a", "type": "function", "function": {"name": "read", "arguments": '{"tok'}}]
    }
    tools = [{"type": "function", "function": {"name": "read"}}]
    answer = door.chat({**events([*chunks([{"content": "so"}, part])[:2]]), "then": "cut"}, stream=True, tools=tools)
    assert "so" in answer.text
    assert "tool_calls" not in answer.text


def test_garbage_in_a_stream_that_has_begun(door: Gateway) -> None:
    answer = door.chat(events([*chunks([{"content": "Hello"}])[:1], "{garbage"]), stream=True)
    assert "Hello" in answer.text
    assert "upstream_garbage" in answer.text


def test_a_stream_without_done_that_has_finished_is_whole(door: Gateway) -> None:
    answer = door.chat(events(chunks([{"content": "Hello"}])), stream=True)
    assert "[DONE]" in answer.text


def test_odd_calls_are_told_of_in_a_sentence(door: Gateway) -> None:
    tools = [{"type": "function", "function": {"name": "read"}}]
    odd: list[Any] = [
        [{"id": 1, "function": {"name": "read", "arguments": "{no json"}}], [{"function": "x"}], ["x"], "x", [{}],
        [{"function": {"name": 3}}], [{"function": {"name": "read", "arguments": '{"a": 1, "a": 2}'}}],
    ]  # fmt: skip
    for calls in odd:
        said = {"role": "assistant", "content": None, "tool_calls": calls}
        mock = {
            "pieces": [json.dumps({**HEAD, "choices": [{"index": 0, "message": said, "finish_reason": "tool_calls"}]})]
        }
        answer = door.chat(mock, tools=tools)
        assert answer.status_code == 200, answer.text


def test_a_slow_reader_holds_nothing_up(door: Gateway) -> None:
    """It asks for much, reads nothing and goes; others are answered meanwhile."""
    mock = {**events(chunks([{"content": "x" * 10_000}])[:1] * 100), "then": "hang"}
    body = json.dumps({"model": "mock", "stream": True, "messages": [], "mock": mock}).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body)
    host, port = door.url.split("/")[2].split(":")
    with socket.create_connection((host, int(port))) as line:
        line.sendall(head + body)
        assert door.chat().status_code == 200


def test_a_slow_reader_does_not_fill_the_memory(door: Gateway) -> None:
    """Of 48 MB that the upstream would send, as much waits here as buffers hold; the upstream has to wait too."""
    [worker] = door.workers()
    mock = {**events(chunks([{"content": "mole " * 20_000}])[:1]), "times": 480}
    body = json.dumps({"model": "mock", "stream": True, "messages": [], "mock": mock}).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body)
    host, port = door.url.split("/")[2].split(":")
    before = resident(worker)
    with socket.create_connection((host, int(port))) as line:
        line.sendall(head + body)
        assert line.recv(4096)
        for _ in range(30):
            assert door.chat().status_code == 200
            assert resident(worker) - before < 24 << 20


def resident(pid: int) -> int:
    """Bytes of memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_body_that_does_not_come_is_not_waited_for(upstream: str, tmp_path: Path) -> None:
    with gateway(tmp_path, READ_ONLY, upstream, "--body-timeout", "1") as slow:
        head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n"
        answer = raw(slow, head, b'{"messages": [')
        assert b" 408 " in answer
        assert b"did not come within 1 s" in answer
        assert b"connection: close" in answer.lower()
        assert raw(slow) == b""  # nor is a request that does not even begin
        assert slow.chat().status_code == 200
