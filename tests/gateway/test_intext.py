"""Calls in text: found wherever the text is cut, and nothing of it lost."""

import random
import re

import pytest

from molehunt.gateway import intext
from molehunt.gateway.intext import Held, InText

CALLS = {
    "hermes": 'Sure. <tool_call>\n{"name": "shell", "arguments": {"cmd": "ls"}}\n</tool_call> done',
    "hermes, open": '<tool_call>{"name": "shell", "arguments": {}}',
    "qwen": "x <tool_call><function=shell><parameter=cmd>ls</parameter></function></tool_call>",
    "function": '<function=shell>{"cmd":"ls"}</function>',
    "invoke": 'a <invoke name="shell"><parameter name="cmd">ls</parameter></invoke>',
    "llama": '<|python_tag|>shell.call(cmd="ls")',
    "llama, json": '<|python_tag|>{"name":"shell","parameters":{"cmd":"ls"}}<|eom_id|>x',
    "json": '{"name": "shell", "parameters": {"cmd": "ls"}}',
    "fenced": 'Here: ```json\n{"action": "shell", "action_input": "ls"}\n``` ok',
    "escaped": '{"n\\u0061me": "shell", "arguments": {"a": "}"}} tail',
    "nested": '{"answer": {"name": "shell", "arguments": {}}}',
    "reasoned": 'So: {"thought": "files?", "name": "shell", "arguments": {"cmd": "ls"}}',
    "reasoned, fenced": '```json\n{"reasoning": "r", "tool": "shell", "parameters": {}}\n```',
    "python": '[shell(cmd="ls"), shell(p=1)]',
    "mistral": '[TOOL_CALLS] [{"name": "shell", "arguments": {"cmd": "ls"}}]',
    "mistral, named": '[TOOL_CALLS]shell[ARGS]{"cmd": "ls"}[TOOL_CALLS]shell{"a":1}',
    "react": "Thought: go\nAction: shell\nAction Input: ls -la\nObservation: x",
    "hidden": "Thought: go\nAct\u200bion: shell\nAction Input: ls -la",
    "wide": '＜tool_call＞{"name": "shell", "arguments": {}}＜/tool_call＞ after',
    "literal": "{'name': 'shell', 'arguments': {'a': 1}}",
    "upper": '<TOOL_CALL>{"name": "shell", "arguments": {}}</TOOL_CALL>',
    "after a decoy": '{"id": 1} {"name": "x"} {"name": "shell", "arguments": {}}',
}
UNREADABLE = {
    "hermes": '<tool_call>{"name": "shell", "arguments": {</tool_call>',
    "json": '{"name": "shell", "arguments": {',
    "mistral": "[TOOL_CALLS] and then?",
    "python, no name": '[shell\u0301\u20dd(cmd="ls")]',
    "python": '[shell(cmd="ls"',
}
ORDINARY = (
    'An ordinary action: buy milk, then {"name": "Bob", "age": 3} and a < b, <b>bold</b> [1] [link](x) {x} {"a": 1}.',
    "Action: think.", 'def f(a): return {"type": "x"}', "[1, 2, 3]", '{"answer": 42, "list": [1,2]}', "if (a<function_b) { 'x' }",
    '```json\n{"id": 1, "name": "x"}\n```', '{"reasoning": "two and two", "answer": 4} is it', 'It is {"name": "unclosed', "une phrase avec é et 🎉 action", "   ", "",
    "[see (this)](url) for more", "\ud800 half",
)  # fmt: skip


def split(text: str, cuts: list[int]) -> list[str | Held]:
    scan, found, last = InText(), list[str | Held](), 0
    for cut in [*cuts, len(text)]:
        found += scan.feed(text[last:cut])
        last = cut
    return found + scan.end()


def rejoined(pieces: list[str | Held]) -> str:
    return "".join(piece if isinstance(piece, str) else piece.raw for piece in pieces)


def ways(text: str) -> list[list[int]]:
    chance = random.Random(text.encode("utf-8", "replace"))
    drawn = [sorted(chance.sample(range(len(text) + 1), min(len(text), chance.randint(1, 12)))) for _ in range(30)]
    return [[], list(range(len(text))), *drawn]


@pytest.mark.parametrize("text", CALLS.values(), ids=CALLS.keys())
def test_a_call_is_found_however_the_text_is_cut(text: str) -> None:
    for cuts in ways(text):
        pieces = split(text, cuts)
        held = [piece for piece in pieces if isinstance(piece, Held)]
        assert rejoined(pieces) == text
        assert {call.name for piece in held for call in piece.calls} == {"shell"}
        assert held == [piece for piece in split(text, []) if isinstance(piece, Held)]


@pytest.mark.parametrize("text", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_what_looks_like_a_call_and_cannot_be_read_is_held(text: str) -> None:
    for cuts in ways(text):
        held = [piece for piece in split(text, cuts) if isinstance(piece, Held)]
        assert [piece.calls for piece in held] == [()]


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_text_passes_whole(text: str) -> None:
    for cuts in ways(text):
        pieces = split(text, cuts)
        assert all(isinstance(piece, str) for piece in pieces)
        assert rejoined(pieces) == text


def test_ordinary_text_is_not_kept_waiting() -> None:
    scan = InText()
    for piece in ("Once upon", " a time, there", " was a mole.", "\nIt dug", " and dug"):
        assert scan.feed(piece) == [piece]


def test_endless_calls_are_not_held_for_ever() -> None:
    scan = InText()
    found = scan.feed('<tool_call>{"name": "')
    for _ in range(8):
        found += scan.feed("x" * 2**16)
    held = [piece for piece in found if isinstance(piece, Held)]
    assert held
    assert held[0].calls == ()


@pytest.mark.parametrize(
    "text",
    [
        '{"id":' * 4_000, "Action: x\n" * 4_000, "<tool_call>" * 4_000, "action" + " " * 20_000, "{" + " " * 20_000,
        '<invoke name="x"><parameter name="y">' * 5_000, "[TOOL_CALLS]" * 4_000, '[{"name": "' * 4_000, '{"id": 1} ' * 4_000,
    ],
)  # fmt: skip
def test_hostile_text_takes_time_that_grows_with_its_length_alone(text: str) -> None:
    pieces = split(text, list(range(0, len(text), 7)))
    assert rejoined(pieces) == text


def test_the_short_way_for_quiet_text_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of signs, strewn at random: each piece of text is passed, held and judged as without the short way."""
    words = ["a", "act", "ACTION", "Action: x", "action", " 1 ", ":", "\nAction Input: y", "\nObservation:", "<", "<tool_call", ">", "</tool_call>",
             "{", '{"name": "x", "arguments": {}}', '"', "[", "[f(", ")]", "\x00", "\u200b", "ａ", "ction", " ", "\n", "mole", "garden. ", ""]  # fmt: skip
    chance = random.Random(7)
    streams = [[chance.choice(words) for _ in range(chance.randint(1, 12))] for _ in range(3000)]
    assert sum(any(isinstance(piece, Held) for piece in fed(pieces)) for pieces in streams) > 100
    quick = [fed(pieces) for pieces in streams]
    monkeypatch.setattr(intext, "_LOUD", re.compile(""))
    assert quick == [fed(pieces) for pieces in streams]


def fed(pieces: list[str]) -> list[str | Held]:
    scan = InText()
    return [one for piece in pieces for one in scan.feed(piece)] + scan.end()
