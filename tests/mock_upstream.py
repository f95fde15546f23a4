"""An upstream in a process of its own that answers as the request's field `mock` says.

    {"status": 200, "type": "application/json", "pieces": ["…"], "then": "end" | "cut" | "hang", "seconds": 0}

Pieces are written one by one, in chunks of HTTP; `cut` closes in the middle, `hang` says nothing more. `{"say": "…"}` is a chat's
answer of that text, word by word if it is to be a stream, with `pause` seconds between words; `times` repeats the pieces.
"""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any


async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            line = head.split(b"\r\n", 1)[0].decode()
            fields = dict(one.decode().lower().split(": ", 1) for one in head.split(b"\r\n")[1:-2])
            body = await reader.readexactly(int(fields.get("content-length", 0)))
            if not await answer(writer, line, json.loads(body) if body else {}):
                break
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def answer(writer: asyncio.StreamWriter, line: str, body: dict[str, Any]) -> bool:
    mock = body.get("mocks", {}).get(body.get("model")) or body.get("mock") or ordinary(line.split()[1], body)
    mock = chat(mock["say"], bool(body.get("stream"))) | mock if "say" in mock else mock
    if "raw" in mock:
        writer.write(mock["raw"].encode("latin-1"))
        return False
    await asyncio.sleep(mock.get("seconds", 0))
    kind, status = mock.get("type", "application/json"), mock.get("status", 200)
    more = "".join(f"{name}: {value}\r\n" for name, value in mock.get("headers", {}).items())
    head = f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\n{more}"
    if "then" not in mock and kind == "application/json":
        data = "".join(mock["pieces"]).encode("utf-8", "surrogateescape")
        writer.write(f"{head}content-length: {len(data)}\r\n\r\n".encode() + data)
        await writer.drain()
        return True
    writer.write(f"{head}transfer-encoding: chunked\r\n\r\n".encode())
    for piece in mock["pieces"] * mock.get("times", 1):
        data = piece.encode("utf-8", "surrogateescape")
        writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        await writer.drain()
        await asyncio.sleep(mock.get("pause", 0))
    if mock.get("then") == "hang":
        await asyncio.sleep(3600)
    if mock.get("then", "end") == "end":
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True
    return False


def ordinary(path: str, body: dict[str, Any]) -> dict[str, Any]:
    if path.endswith("/models"):
        return {"pieces": [json.dumps({"object": "list", "data": [{"id": "mock", "object": "model"}]})]}
    text = f"echo {json.dumps(body)}"
    if path.endswith("/responses"):
        return {"pieces": [json.dumps(response([message(text)]))]}
    if path.endswith("/chat/completions"):
        return chat(text, bool(body.get("stream")))
    return {
        "pieces": [
            json.dumps(
                {**HEAD, "object": "text_completion", "choices": [{"index": 0, "text": text, "finish_reason": "stop"}]}
            )
        ]
    }


HEAD = {"id": "mock-1", "created": 1, "model": "mock"}
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def events(chunks: list[Any]) -> dict[str, Any]:
    return {
        "type": "text/event-stream",
        "pieces": [f"data: {c if isinstance(c, str) else json.dumps(c)}\n\n" for c in chunks],
    }


@lru_cache(64)
def chat(text: str, stream: bool) -> dict[str, Any]:
    if not stream:
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        return {"pieces": [json.dumps({**HEAD, "object": "chat.completion", "choices": [choice], "usage": USAGE})]}
    return events([*chunks([{"content": piece} for piece in text.split(" ")]), "[DONE]"])


def chunks(deltas: list[dict[str, Any]], finish: str = "stop", index: int = 0) -> list[dict[str, Any]]:
    head = {**HEAD, "object": "chat.completion.chunk"}
    found = [{**head, "choices": [{"index": index, "delta": delta, "finish_reason": None}]} for delta in deltas]
    return [*found, {**head, "choices": [{"index": index, "delta": {}, "finish_reason": finish}]}]


def message(text: str, name: str = "msg_1") -> dict[str, Any]:
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return {"type": "message", "id": name, "role": "assistant", "status": "completed", "content": content}


def response(output: list[dict[str, Any]], status: str = "completed") -> dict[str, Any]:
    more = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "created_at": 1}
    return {"id": "resp_1", "object": "response", "status": status, "model": "mock", "output": output, **more}


def responses_stream(items: list[dict[str, Any]], is_lying: bool = False) -> dict[str, Any]:
    """As OpenAI streams it. A liar's deltas are harmless, and its ends say something else."""
    found: list[dict[str, Any]] = [{"type": "response.created", "response": response([]), "sequence_number": 0}]
    for at, item in enumerate(items):
        place = {"output_index": at, "item_id": item.get("id", "x"), "content_index": 0, "sequence_number": 1}
        opening = {**item, **({"content": []} if item["type"] == "message" else {"arguments": "", "input": ""})}
        found.append({"type": "response.output_item.added", "item": opening, **place})
        key = "arguments" if "arguments" in item else "input"
        if item["type"] == "message":
            found += [
                event
                for i, part in enumerate(item["content"])
                for event in part_events(part["text"], {**place, "content_index": i}, is_lying)
            ]
        elif isinstance(item.get(key), str):
            kind = "function_call_arguments" if key == "arguments" else "custom_tool_call_input"
            found.append({"type": f"response.{kind}.delta", "delta": item[key], **place})
            found.append({"type": f"response.{kind}.done", key: item[key], **place})
        found.append({"type": "response.output_item.done", "item": item, **place})
    found.append({"type": "response.completed", "response": response(items), "sequence_number": 9})
    return {"type": "text/event-stream", "pieces": [f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in found]}


def part_events(text: str, place: dict[str, Any], is_lying: bool) -> list[dict[str, Any]]:
    said = "harmless" if is_lying else text
    deltas = [{"type": "response.output_text.delta", "delta": said[i : i + 5], **place} for i in range(0, len(said), 5)]
    part = {"type": "output_text", "text": "", "annotations": []}
    done = {"type": "response.output_text.done", "text": text, **place}
    return [{"type": "response.content_part.added", "part": part, **place}, *deltas, done]


def call(name: str, token: str, key: str = "c1") -> dict[str, Any]:
    return {"id": key, "type": "function", "function": {"name": name, "arguments": json.dumps({"token": token})}}


async def main() -> None:
    server = await asyncio.start_server(handle, "127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def mock_upstream(port: int = 0) -> Iterator[str]:
    """Run this file; yields the address up to /v1."""
    with subprocess.Popen(
        [sys.executable, str(Path(__file__)), str(port)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
        finally:
            process.terminate()


if __name__ == "__main__":
    asyncio.run(main())
