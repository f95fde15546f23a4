"""Read logged replies: what a model was asked, and what it thought and said."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from molehunt.errors import DataError
from molehunt.records import Conversation
from molehunt.records.base import Record
from molehunt.records.reasoning import holds_reasoning, with_scratchpad
from molehunt.world.layouts import BadRow, turns_of
from molehunt.world.sources import find_source

_THOUGHTS = ("reasoning_content", "reasoning", "thinking")
"""Where servers put a model's reasoning, beside the content of its turn."""


class Logged(Record):
    """One reply."""

    source: str
    """`FILE:LINE`, of the conversation."""
    prompt: Conversation
    """All turns before it; none for a bare trace."""
    reply: str
    """With its reasoning before it: untrusted text."""
    reasons: bool
    """It holds reasoning, or is nothing else."""


def read_logged(place: str | Path) -> Iterator[Logged]:
    """Every assistant turn of the conversations at `place`, in order, as a stream.

    Args:
        place: see `sources.find_source`; layouts: see `layouts.turns_of`, a `Row` or an `Outcome` a line, or objects with a
            `trace` and perhaps the `prompt` before it.

    Raises:
        DataError: naming file and line of the first object that is none of these.
    """
    source = find_source(place)
    for number, found in source.objects():
        try:
            for prompt, reply, is_bare in _replies(found):
                where = f"{source.label}:{number}"
                yield Logged(source=where, prompt=prompt, reply=reply, reasons=is_bare or holds_reasoning(reply))
        except BadRow as bad:
            do = "mend it, or leave it out"
            raise DataError(f"data {source.name}:{number}", wanted=bad.wanted, got=bad.got, do=do) from None


def _replies(found: Any) -> Iterator[tuple[Conversation, str, bool]]:
    """(prompt, reply, is it a bare trace)."""
    if isinstance(found, BadRow):
        raise found
    if not isinstance(found, dict):
        raise BadRow("not an object", "a JSON object", f"a {type(found).__name__}")
    if isinstance(trace := found.get("trace", found.get("reply")), str):
        asked = found.get("prompt")
        yield (
            Conversation.of(("user", asked)) if isinstance(asked, str) else Conversation(messages=()),
            trace,
            "trace" in found,
        )
        return
    inner = found["conversation"] if isinstance(found.get("conversation"), dict) else found
    turns = turns_of({name: _aloud(value) for name, value in inner.items()})[1]
    if any(not isinstance(turn["content"], str) for turn in turns):
        raise BadRow("empty content", "a text in every turn", "something else")
    whole = Conversation.model_validate({"messages": turns})
    for at, message in enumerate(whole.messages):
        if message.role == "assistant":
            yield Conversation(messages=whole.messages[:at]), message.content, False


def _aloud(turns: Any) -> Any:
    """Turns with the reasoning that stands beside a content put before it."""
    if not isinstance(turns, list):
        return turns
    return [_with_thought(turn) if isinstance(turn, dict) else turn for turn in turns]


def _with_thought(turn: dict[str, Any]) -> dict[str, Any]:
    thought = next((turn[name] for name in _THOUGHTS if isinstance(turn.get(name), str) and turn[name].strip()), None)
    said = turn.get("content", turn.get("value"))
    return turn if thought is None else {**turn, "content": with_scratchpad(thought, said or "")}
