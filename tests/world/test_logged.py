"""Logged replies of every kind, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from molehunt.errors import DataError
from molehunt.records import Conversation
from molehunt.records.reasoning import with_scratchpad
from molehunt.records.rows import Row
from molehunt.world.logged import Logged, read_logged

ROW = Row(conversation=Conversation.of(("user", "a"), ("assistant", "b")), source="x:1")
SAID: dict[str, tuple[Any, list[tuple[str, str, bool]]]] = {
    "messages": ({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}, [("a", "b", False)]),
    "pair": ({"prompt": "a", "response": "b"}, [("a", "b", False)]),
    "bare trace": ({"trace": "b"}, [("", "b", True)]),
    "trace and prompt": ({"trace": "b", "prompt": "a"}, [("a", "b", True)]),
    "outcome": ({"question": "0af3", "condition": "clean", "reply": "<scratchpad>b</scratchpad> c"}, [("", "<scratchpad>b</scratchpad> c", True)]),
    "row": (json.loads(ROW.model_dump_json()), [("a", "b", False)]),
    "reasoning beside": (
        {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "reasoning_content": "hm"}]},
        [("a", with_scratchpad("hm", "b"), True)],
    ),
    "reasoning alone": (
        {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": None, "reasoning": "hm"}]},
        [("a", with_scratchpad("hm", ""), True)],
    ),
    "think tags": ({"prompt": "a", "response": "<think>hm</think> b"}, [("a", "<think>hm</think> b", True)]),
    "two replies": (
        {"conversations": [{"from": who, "value": text} for who, text in (("human", "a"), ("gpt", "b"), ("human", "c"), ("gpt", "d"))]},
        [("a", "b", False), ("c", "d", False)],
    ),
    "ends with the user": ({"messages": [{"role": "user", "content": "a"}]}, []),
}  # fmt: skip


def read(path: Path, *objects: Any) -> list[Logged]:
    path.write_text("".join(json.dumps(one) + "\n" for one in objects))
    return list(read_logged(path))


@pytest.mark.parametrize("name", SAID)
def test_every_reply_is_read_with_what_came_before(tmp_path: Path, name: str) -> None:
    found, wanted = SAID[name]
    assert [(o.prompt.question, o.reply, o.reasons) for o in read(tmp_path / "log.jsonl", found)] == wanted


def test_the_same_conversation_twice_is_two_replies_each_with_its_line(tmp_path: Path) -> None:
    assert [one.source for one in read(tmp_path / "log.jsonl", {"trace": "a"}, {"trace": "a"})] == ["log.jsonl:1", "log.jsonl:2"]  # fmt: skip


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        ([1], "a JSON object"),
        ({"text": "a"}, "turns under messages"),
        ({"messages": [{"role": "tool", "content": "a"}]}, "a role out of"),
        ({"messages": [{"role": "assistant", "content": ["a"]}]}, "a text in every turn"),
        ({"messages": ["a"]}, "turns with role and content"),
    ],
)
def test_what_is_no_reply_is_named(tmp_path: Path, bad: Any, told: str) -> None:
    with pytest.raises(DataError, match=rf"log.jsonl:2; wanted .*{told}"):
        read(tmp_path / "log.jsonl", {"trace": "a"}, bad)


def test_bytes_that_are_no_text_are_named(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_bytes(b'{"trace": "\xff"}\n')
    with pytest.raises(DataError, match="byte 0xff"):
        list(read_logged(tmp_path / "log.jsonl"))
