"""Risky calls go on only where the approved base asks for the same tool; what it asked for is in the log."""

import json
from pathlib import Path
from typing import Any

from gateways import gateway
from mock_upstream import HEAD, call

RULES = """
@differ("require")
permit(principal, action in Action::"use_tool", resource == Tool::"pay");
@differ("record")
permit(principal, action in Action::"use_tool", resource == Tool::"read");
"""
TOOLS = [{"type": "function", "function": {"name": name}} for name in ("pay", "read")]


def asking(*names: str) -> dict[str, Any]:
    said = {
        "role": "assistant",
        "content": None,
        "tool_calls": [call(name, "x", f"c{i}") for i, name in enumerate(names)],
    }
    return {"pieces": [json.dumps({**HEAD, "choices": [{"index": 0, "message": said, "finish_reason": "tool_calls"}]})]}


def test_the_base_is_asked_too(upstream: str, tmp_path: Path) -> None:
    with gateway(tmp_path, RULES, upstream, "--base", f"base={upstream}") as door:

        def got(tuned: dict[str, Any], base: dict[str, Any]) -> list[str]:
            choice = door.chat(tools=TOOLS, mocks={"mock": tuned, "base": base}).json()["choices"][0]
            return [one["function"]["name"] for one in choice["message"].get("tool_calls", ())]

        assert got(asking("pay"), asking("pay")) == ["pay"]
        assert got(asking("pay"), asking("read")) == []
        assert got(asking("pay"), {"status": 500, "pieces": ["no"]}) == []
        assert got(asking("read"), asking("pay")) == ["read"]
        lines = (door.log / "gateway-0" / "00000001.jsonl").read_text().splitlines()
    told = [json.loads(line)["body"] for line in lines if '"event":"differ"' in line]
    assert [one["molehunt.differ.agrees"] for one in told] == [True, False, False, False]
    assert told[1]["molehunt.differ.base"][0]["name"] == "read"
