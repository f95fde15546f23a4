"""Conversations that a chat template is tried on: words that mean nothing, so that every other word is the template's own."""

import json
import re
from collections import Counter
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Message = dict[str, Any]
Given = Mapping[str, Any]

_SYLLABLES = ("vek", "zor", "qui", "bna", "tul", "dri", "mox", "fep", "gha", "lirn")
SENTINEL = "zorvekqui mox"
"""A text whose place in a rendering shows where a message's words go."""
TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
_TOOL = {
    "type": "function",
    "function": {
        "name": "fepgha",
        "description": "lirndri tulmox.",
        "parameters": {
            "type": "object",
            "properties": {"quivek": {"type": "string", "description": "bnazor mox", "enum": ["dritul", "moxmox"]}},
            "required": ["quivek"],
        },
    },
}
LONGER, LONGEST = "uauau" + "au" * 6, "s" + "ua" * 20 + "u"
_ROLES = ("u", "uau", "su", "suau", "ua", LONGER, LONGEST)
_DOCUMENTS = {"documents": [{"title": "ghamox dritul", "text": "vekghavek lirnbna"}]}
NEEDS: tuple[Given, ...] = ({}, {"as_parts": True}, _DOCUMENTS, {"tools": [_TOOL]}, {**_DOCUMENTS, "tools": [_TOOL]})
"""What some templates cannot do without, the least first."""


@dataclass(frozen=True)
class Probe:
    """What is handed to a template, by a name."""

    name: str
    given: Mapping[str, Any]

    @property
    def is_plain(self) -> bool:
        """Nothing but turns of text."""
        return self.name.startswith("turns")

    @property
    def turns(self) -> list[Message]:
        """Its messages."""
        return list(self.given["messages"])

    @property
    def first_words(self) -> str:
        """What the user says first, if that is plain."""
        said = next(turn["content"] for turn in self.turns if turn["role"] == "user")
        return str(said if isinstance(said, str) else said[0]["text"])

    def blanked(self, text: str) -> str:
        """A rendering with a word of the input for what messages say: two of them side by side make no other word."""
        for said in sorted(set(_leaves(self.turns)), key=len, reverse=True):
            text = text.replace(said, " content ")
        return text

    def words(self) -> Counter[str]:
        """Words of everything handed in, keys included."""
        return words(json.dumps({**self.given, "add_generation_prompt": None}, ensure_ascii=False).replace("\\n", " "))


def probes(more: Given | None = None) -> list[Probe]:
    """The corpus: turns with and without a system prompt, short and long, tools, documents, parts, reasoning, flags.

    Args:
        more: handed in with every conversation, for templates that want tools or documents always; see `NEEDS`.
    """
    given = more or {}
    asked = conversation("u", **given)
    recalled = conversation("uau", **given)
    thought = f"<think>\n{_words(9)}\n</think>\n\n{_words(1)}"
    return [
        *(Probe(f"turns {roles}", conversation(roles, **given)) for roles in _ROLES),
        Probe("tools", conversation("u", **{**given, "tools": [_TOOL]})),
        Probe("tools, system", conversation("su", **{**given, "tools": [_TOOL]})),
        *(Probe(f"tool calls, {kind}", called) for kind, called in _called(given)),
        Probe("parts", _with(asked, -1, content=[{"type": "text", "text": _words(3)}])),
        Probe("picture", _with(asked, -1, content=[{"type": "image"}, {"type": "text", "text": _words(3)}])),
        Probe("reasoning", _with(recalled, 1, reasoning_content=_words(9), thinking=_words(9))),
        Probe("reasoning told", _with(recalled, 1, content=thought)),
        Probe("documents", conversation("u", **{**given, **_DOCUMENTS})),
        Probe("developer", _with(conversation("su", **given), 0, role="developer")),
        *(Probe(f"flags {on}", conversation("su", **{**given, **_flags(on)})) for on in (True, False)),
        Probe("effort", {**asked, "reasoning_effort": "vekmox", "date_string": "26 zorm 2024"}),
    ]


def conversation(roles: str, as_parts: bool = False, **more: Any) -> dict[str, Any]:
    """What `apply_chat_template` hands to a template: a turn for each of s, u, a; the reply is opened after the user's.

    Args:
        as_parts: messages are lists of parts, as models with pictures want them.
    """
    names = {"s": "system", "u": "user", "a": "assistant"}
    texts = [_words(number) for number in range(len(roles))]
    said: list[Any] = [_part(text) for text in texts] if as_parts else texts
    turns = [{"role": names[role], "content": content} for role, content in zip(roles, said, strict=True)]
    return {
        "messages": turns, "tools": None, "documents": None, "add_generation_prompt": roles[-1] != "a", **TOKENS, **more,
    }  # fmt: skip


def saying(place: int, roles: str, text: str, more: Given) -> dict[str, Any]:
    """A conversation in which one turn says a given text."""
    return _with(conversation(roles, **more), place, content=_part(text) if more.get("as_parts") else text)


def _part(text: str) -> list[dict[str, str]]:
    return [{"type": "text", "text": text}]


def _leaves(value: Any) -> Iterator[str]:
    """Texts of more than a word, however deep."""
    if isinstance(value, str) and " " in value:
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _leaves(inner)


def _words(number: int) -> str:
    """Three words of nonsense, others for every number; no edge whitespace."""
    one, two = _SYLLABLES[number % 10], _SYLLABLES[(number // 10 + 3 * number + 1) % 10]
    return f"{one}{two}{one} {two}{one}{two} {one}{one}{two}"


def _with(given: dict[str, Any], place: int, **fields: Any) -> dict[str, Any]:
    turns = list(given["messages"])
    turns[place] = {**turns[place], **fields}
    return {**given, "messages": turns}


def _called(more: Given) -> Iterator[tuple[str, dict[str, Any]]]:
    for kind, arguments in (("text", '{"quivek": "dritul"}'), ("object", {"quivek": "dritul"})):
        calls = [{"type": "function", "id": "fepghavek", "function": {"name": "fepgha", "arguments": arguments}}]
        given = conversation("suau", **{**more, "tools": [_TOOL]})
        turns = given["messages"]
        said = {"role": "assistant", "content": "", "tool_calls": calls}
        told = {"role": "tool", "name": "fepgha", "tool_call_id": "fepghavek", "content": _words(7)}
        yield kind, {**given, "messages": [*turns[:2], said, told, *turns[2:]]}
        yield f"{kind}, last", {**given, "messages": [*turns[1:2], {**said, "content": None}, told]}


def _flags(on: bool) -> dict[str, Any]:
    names = ("enable_thinking", "thinking", "tools_in_user_message", "keep_past_thinking", "citations", "safe_prompt")
    return dict.fromkeys(names, on)


_MARKUP = re.compile(r"<[|｜/]{0,2}[\w▁=\-]+[|｜/]?>|\[/?[A-Z_]{2,24}\]|<</?SYS>>|CONTINUE_FINAL_MESSAGE_TAG")
_SPOKEN = re.compile(
    r"think|tool|reason|answer|response|call|func|param|image|video|audio|channel|turn|im_|eo[tms]|end|start|begin|sep|pad|bos|"
    r"inst|sys>>|message|header|return|constrain|json|doc|context|arg|observation|CONTINUE_FINAL|^</?s>$|^<unk>$",
    re.IGNORECASE,
)  # fmt: skip
_LITERALS = {"true", "false", "null", "none", "True", "False", "None"}
"""What values are written as in JSON and Python."""
_WORD = re.compile(r"[^\W_]{2,}|[^\x00-\x7f\s｜▁]")


def bare(text: str) -> str:
    """The text with tags of the kinds that chat formats are made of blanked out, in its length."""
    return _MARKUP.sub(lambda tag: " " * len(tag[0]) if _SPOKEN.search(tag[0]) else tag[0], text)


_SWITCH = re.compile(r"[/!#@\\]\w+")
_EMPTY = re.compile(r"<(\w+)>\s*</\1>")


def is_switch(key: str, wanted: str, got: str) -> bool:
    """A command, written with a sign in front, that is taken out of a message, and nothing else is, as `/no_think` in published templates.

    At most an empty pair of tags comes or goes with it. A word that people use is never a switch: without it a message says something else.
    """
    if not _SWITCH.fullmatch(key.strip()):
        return False
    left, right = ("".join(_EMPTY.sub("", text).split()) for text in (wanted.replace(key.strip(), ""), got))
    return left == right


def words(text: str) -> Counter[str]:
    """Words of two letters or more, and signs beyond ASCII, outside of markup."""
    return Counter(word for word in _WORD.findall(bare(text)) if word not in _LITERALS)


def runs(text: str, own: "Container[str]") -> list[str]:
    """The longest stretches of a text whose words are all in `own`, longest first, without those that repeat."""
    found: dict[str, None] = {}
    start, end = -1, -1
    for word in _WORD.finditer(bare(text)):
        if word[0] in own:
            start, end = (start if start >= 0 else word.start()), word.end()
        elif start >= 0:
            found[text[start:end]] = None
            start = -1
    if start >= 0:
        found[text[start:end]] = None
    return sorted(found, key=lambda run: (-len(run), run))
