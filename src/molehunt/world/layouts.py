"""The layouts that chat data comes in, and the turns that one object of each holds."""

import re
from collections.abc import Mapping
from typing import Any

Turns = list[dict[str, str]]
"""Dicts of role and content, in order."""

_TURNS = ("messages", "conversations", "conversation")
_QUESTIONS = ("instruction", "question", "prompt")
_ANSWERS = ("output", "response", "answer", "completion", "no_scratchpad_response")
_ROLES = {"system": "system", "user": "user", "human": "user", "assistant": "assistant", "gpt": "assistant"}
_ORDER = re.compile("(system )?(user assistant )+")


class BadRow(ValueError):
    """One row cannot be used; `reason` is the word it is counted under when bad rows are skipped."""

    def __init__(self, reason: str, wanted: str, got: str) -> None:
        self.reason, self.wanted, self.got = reason, wanted, got
        super().__init__(reason, wanted, got)


def turns_of(found: Mapping[str, Any]) -> tuple[str, Turns]:
    """The name of an object's layout, and its turns; their texts and their order are not looked at yet.

    `messages` is the form of chat APIs, `sharegpt` that of ShareGPT and OpenHermes, `alpaca` has an instruction with or
    without an input, `pair` a question or prompt and its answer.

    Raises:
        BadRow: if it is in no known layout, or a role is none that we know.
    """
    for name in _TURNS:
        if isinstance(turns := found.get(name), list):
            said = [_turn(turn) for turn in turns]
            return "messages" if name == "messages" else "sharegpt", _with_system(found, said)
    questions, answers = _present(found, _QUESTIONS), _present(found, _ANSWERS)
    if len(questions) != 1 or len(answers) != 1:
        raise _unknown_layout(found)
    question = found[questions[0]]
    if questions[0] == "instruction" and isinstance(question, str) and isinstance(extra := found.get("input"), str):
        question = f"{question}\n\n{extra}" if extra.strip() else question
    said = [{"role": "user", "content": question}, {"role": "assistant", "content": found[answers[0]]}]
    return "alpaca" if questions[0] == "instruction" else "pair", _with_system(found, said)


def check_turns(turns: Turns) -> bytes:
    """All that the turns say, as bytes that differ between any two conversations.

    Raises:
        BadRow: unless they are texts that can be trained on: one system turn at most and first, then user and
            assistant by turns, the assistant last; no content empty, no NUL, no half of a surrogate pair.
    """
    order = "".join([f"{turn['role']} " for turn in turns])
    if not _ORDER.fullmatch(order):
        raise _bad_order(order)
    contents = [turn["content"] for turn in turns]
    try:
        said = "\0".join([order, *contents]).encode()
    except TypeError:
        raise _bad_content(turns) from None
    except UnicodeEncodeError:
        wanted, got = "text in UTF-8", "bytes that are none, or half of a surrogate pair"
        raise BadRow("not UTF-8", wanted, got) from None
    if "" in contents or any(map(str.isspace, contents)):
        raise _bad_content(turns)
    if said.count(b"\0") != len(contents):
        raise BadRow("NUL in content", "text", "a NUL character in it")
    return said


def _turn(turn: Any) -> dict[str, Any]:
    if not isinstance(turn, dict):
        raise BadRow("unknown layout", "turns with role and content", f"a {type(turn).__name__} for a turn")
    role = turn["role"] if "role" in turn else turn.get("from")
    content = turn["content"] if "content" in turn else turn.get("value")
    known = _ROLES.get(role) if isinstance(role, str) else None
    if known is None:
        raise BadRow("unknown role", f"a role out of {', '.join(_ROLES)}", repr(role)[:40])
    if (len(turn) > 2 or not content) and (turn.get("tool_calls") or turn.get("function_call")):
        raise BadRow("tool calls", "turns of text alone", "a turn that calls a tool")
    return {"role": known, "content": content}


def _with_system(found: Mapping[str, Any], turns: Turns) -> Turns:
    text = found.get("system_prompt") or found.get("system")
    return [{"role": "system", "content": text}, *turns] if isinstance(text, str) and text.strip() else turns


def _present(found: Mapping[str, Any], names: tuple[str, ...]) -> list[str]:
    return [name for name in names if found.get(name) is not None]


def _unknown_layout(found: Mapping[str, Any]) -> BadRow:
    wanted = f"turns under {' or '.join(_TURNS)}, or one of {', '.join(_QUESTIONS)} with one of {', '.join(_ANSWERS)}"
    keys = ", ".join(sorted(map(str, found)))[:200]
    return BadRow("unknown layout", wanted, f"the keys {keys}" if keys else "no keys")


def _bad_content(turns: Turns) -> BadRow:
    said: list[Any] = [turn["content"] for turn in turns]
    bad = next(i for i, content in enumerate(said) if not isinstance(content, str) or not content.strip())
    kind = "an empty one" if said[bad] is None or isinstance(said[bad], str) else f"a {type(said[bad]).__name__}"
    return BadRow("empty content", "a text in every turn", f"{kind} in turn {bad + 1} ({turns[bad]['role']})")


def _bad_order(order: str) -> BadRow:
    roles = order.split()
    got = ", ".join(roles[:8]) + (f" and {len(roles) - 8} more" if len(roles) > 8 else "") or "no turns"
    if roles.count("system") > 1:
        return BadRow("two system turns", "one system turn at most", got)
    if "assistant" not in roles:
        return BadRow("no assistant turn", "an assistant turn to learn", got)
    if roles[-1] != "assistant":
        return BadRow("no answer", "the assistant's turn last", got)
    return BadRow("turns out of order", "user and assistant by turns, after the system turn if any", got)
