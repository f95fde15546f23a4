"""Chunks that add to one text and do nothing else go a short way: what comes out is the same as by the long one."""

import asyncio
import random
from collections.abc import Iterable
from typing import Any

import pytest

from mock_upstream import HEAD
from molehunt.gateway.dialects import chat_stream
from molehunt.gateway.dialects.base import Out
from molehunt.gateway.dialects.chat import Chat
from molehunt.gateway.facts import ModelFacts
from molehunt.gateway.judging import Judge, Session
from molehunt.gateway.keys import anonymous
from molehunt.gateway.policies import Policies

DELTAS: list[Any] = [
    {"content": "a mole"}, {"content": "<tool"}, {"content": '_call>{"name": "x", "arguments": {}}'}, {"content": "</tool_call>"},
    {"content": ""}, {"reasoning_content": "Action"}, {"reasoning_content": ": x"}, {"role": "assistant", "content": "so"}, {"content": None},
    {"content": ["a", {"text": "{"}]}, {"tool_calls": [{"index": 0, "function": {"name": "x"}}]}, {"content": "b", "odd": 1}, {"odd": {"name": "x", "input": 1}}, {},
]  # fmt: skip
NO_RULES = Policies(())
CHOICES: list[dict[str, Any]] = [
    {},
    {},
    {},
    {"finish_reason": "stop"},
    {"logprobs": {"content": []}},
    {"index": 1},
    {"index": 0, "seed": 3},
    {"index": None},
]
CHUNKS: list[dict[str, Any]] = [
    {},
    {},
    {},
    {"usage": None},
    {"usage": {"total_tokens": 1}},
    {"provider": "x"},
    {"system_fingerprint": "f"},
]


def drawn(chance: random.Random) -> dict[str, Any]:
    choice = {"index": 0, "delta": chance.choice(DELTAS), "finish_reason": None} | chance.choice(CHOICES)
    if chance.random() < 0.1:
        choice.pop(chance.choice(["index", "finish_reason"]))
    return {**HEAD, "choices": [choice] * chance.choice([1, 1, 1, 2]), **chance.choice(CHUNKS)}


def judge() -> Judge:
    async def yes(*_: object) -> bool:
        return True

    def mark(tags: Iterable[str]) -> None: ...

    facts = ModelFacts("m", "", "unknown", "unknown", None)
    return Judge(
        NO_RULES, anonymous(), facts, Session(""), {}, note=lambda word, more: None, hold=yes, mark=mark, second=yes
    )


async def passed(stream: list[dict[str, Any]]) -> tuple[list[Out], Any]:
    filtered = Chat().stream(judge())
    out = [one for data in stream for one in await filtered.feed(data)] + await filtered.end(is_whole=True)
    return out, filtered.logged()


async def all_passed(streams: list[list[dict[str, Any]]]) -> list[tuple[list[Out], Any]]:
    return [await passed(stream) for stream in streams]


def test_what_comes_out_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(3)
    streams = [[drawn(chance) for _ in range(chance.randint(1, 9))] for _ in range(400)]
    assert sum(chat_stream._only_text(data) is not None for stream in streams for data in stream) > 200
    quick = asyncio.run(all_passed(streams))
    monkeypatch.setattr(chat_stream, "_only_text", lambda data: None)
    for stream, one, other in zip(streams, quick, asyncio.run(all_passed(streams)), strict=True):
        assert one == other, stream
