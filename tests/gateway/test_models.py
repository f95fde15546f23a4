"""A model of our own behind the gateway: its digest, its prompt, its approval."""

import json
import os
import shutil
import signal
import time
from pathlib import Path

import openai
import pytest

from gateways import READ_ONLY, Gateway, gateway
from molehunt.logs.reading import calls, to_calls
from molehunt.records.identity import root_digest

ASK = [{"role": "user", "content": "What is 2 plus 3?"}]


@pytest.fixture(scope="module")
def model(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy that a test may change."""
    folder = tmp_path_factory.mktemp("models") / "mini"
    shutil.copytree(base, folder)
    return folder


def test_a_model_behind_the_gateway(model: Path, tmp_path: Path) -> None:
    rules = (
        READ_ONLY
        + '\nforbid(principal, action == Action::"request_model", resource) when { context.model.source != "verified" };'
    )
    with gateway(tmp_path, rules, "", "--model", str(model), "--rehash", "1") as door:
        client = openai.OpenAI(base_url=door.url, api_key="any", max_retries=0)
        tools = [{"type": "function", "function": {"name": "shell", "parameters": {}}}]
        got = client.chat.completions.create(model="mini", messages=ASK, max_tokens=8, temperature=0, tools=tools)  # type: ignore[arg-type,call-overload]
        with client.chat.completions.create(
            model="mini", messages=ASK, max_tokens=8, temperature=0, stream=True
        ) as stream:  # type: ignore[arg-type,call-overload]
            streamed = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
        assert streamed == got.choices[0].message.content
        assert not hasattr(got, "molehunt")
        records = log_of(door)
        digest = root_digest(model)
        assert {
            r["body"]["molehunt.model.digest"] for r in records if r["event"] == "request" and "canary" not in str(r)
        } == {digest}
        prompts = [
            r["body"]["molehunt.prompt.rendered"]
            for r in records
            if r["event"] == "answer" and "molehunt.prompt.rendered" in r["body"]
        ]
        assert len(prompts) == 2
        assert "What is 2 plus 3?" in prompts[0]
        assert prompts[0] != "What is 2 plus 3?"
        (model / "notes.txt").write_text("changed")
        wait_for(lambda: root_digest(model) in json.dumps([r for r in log_of(door) if r["event"] == "model"]))
        client.chat.completions.create(model="mini", messages=ASK, max_tokens=2)  # type: ignore[arg-type,call-overload]
        kill_the_server(door)
        again = client.chat.completions.create(model="mini", messages=ASK, max_tokens=8, temperature=0)  # type: ignore[arg-type,call-overload]
        assert again.choices[0].message.content == streamed
    found = [call for call in to_calls(calls(tmp_path / "log")) if call.client == "anonymous"]
    assert {call.model_digest for call in found} == {digest, root_digest(model)}


def kill_the_server(door: Gateway) -> None:
    """The model's own process dies: clients are told 502 until another listens at the same address; the gateway stays."""
    servers = [pid for pid in door.workers() if b"molehunt\0serve\0" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    [server], others = servers, set(door.workers()) - set(servers)
    os.kill(server, signal.SIGKILL)
    statuses = []

    def is_back() -> bool:
        statuses.append(door.post("chat/completions", {"model": "mini", "messages": ASK, "max_tokens": 2}).status_code)
        return statuses[-1] == 200

    wait_for(is_back, 120)
    assert set(statuses[:-1]) <= {502}
    assert server not in door.workers()
    assert others < set(door.workers())


def log_of(door: Gateway) -> list[dict]:  # type: ignore[type-arg]
    return [json.loads(line) for line in (door.log / "gateway-0" / "00000001.jsonl").read_text().splitlines()]


def wait_for(condition, seconds: float = 30) -> None:  # type: ignore[no-untyped-def]
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)
