"""Replies in the shapes of OpenAI's API: whole, or as a stream of events."""

import json
import re
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from molehunt.models.logprobs import TokenScore
from molehunt.models.serve_requests import Ask
from molehunt.models.serve_writing import Written

Spell = Callable[[int], str]
_LEAST = -9999.0
"""What OpenAI gives for a log-probability below all others: JSON has no minus infinity."""
_WORDS = re.compile(r"\s*\S+|\s+$")


def usage(ask: Ask, written: Sequence[Written]) -> dict[str, int]:
    """Tokens read and written; a prompt counts once, however many replies it gets."""
    read, wrote = sum(map(len, ask.prompts)), sum(reply.tokens for reply in written)
    return {"prompt_tokens": read, "completion_tokens": wrote, "total_tokens": read + wrote}


def head(kind: str, model: str) -> dict[str, Any]:
    """What an answer, and every event of a stream, begins with."""
    prefix = "cmpl" if kind == "text_completion" else "chatcmpl"
    return {"id": f"{prefix}-{uuid.uuid4().hex}", "object": kind, "created": int(time.time()), "model": model}


def chat_choices(ask: Ask, written: Sequence[Written], spell: Spell) -> list[dict[str, Any]]:
    """The choices of a chat completion."""
    return [
        {
            "index": i,
            "message": {"role": "assistant", "content": reply.text, "refusal": None},
            "logprobs": _chat_logprobs(ask, reply, spell),
            "finish_reason": reply.finish,
        }
        for i, reply in enumerate(written)
    ]


def text_choices(ask: Ask, written: Sequence[Written], spell: Spell) -> list[dict[str, Any]]:
    """The choices of a completion."""
    return [
        {"index": i, "text": r.text, "logprobs": _text_logprobs(ask, r, spell), "finish_reason": r.finish}
        for i, r in enumerate(written)
    ]


def events(
    opening: dict[str, Any], choices: Sequence[dict[str, Any]], used: dict[str, int] | None, told: dict[str, Any]
) -> Iterator[str]:
    """The same choices as server-sent events.

    A reply is cut into its words after it was written: a stream shows no token sooner than an answer in one piece would.
    """
    is_chat = opening["object"] == "chat.completion"
    opening = {**opening, "object": "chat.completion.chunk" if is_chat else "text_completion"}
    if told:
        yield _event({**opening, **told}, [])
    for choice in choices:
        text = choice["message"]["content"] if is_chat else choice["text"]
        words = _WORDS.findall(text) or [""]
        for i, word in enumerate(words):
            said = (
                {"delta": {"role": "assistant", "content": word} if i == 0 else {"content": word}}
                if is_chat
                else {"text": word}
            )
            logprobs = choice["logprobs"] if i == 0 else None
            yield _event(opening, [{"index": choice["index"], **said, "logprobs": logprobs, "finish_reason": None}])
        last: dict[str, Any] = {"delta": {}} if is_chat else {"text": ""}
        yield _event(
            opening, [{"index": choice["index"], **last, "logprobs": None, "finish_reason": choice["finish_reason"]}]
        )
    if used is not None:
        yield _event({**opening, "usage": used}, [])
    yield "data: [DONE]\n\n"


def _event(opening: dict[str, Any], choices: list[dict[str, Any]]) -> str:
    return f"data: {json.dumps({**opening, 'choices': choices})}\n\n"


def _chat_logprobs(ask: Ask, reply: Written, spell: Spell) -> dict[str, Any] | None:
    if ask.top is None:
        return None
    content = [
        {**_named(piece, score.logprob), "top_logprobs": [_named(spell(t), p) for t, p in score.top]}
        for piece, score in zip(reply.pieces, reply.scores, strict=True)
    ]
    return {"content": content, "refusal": None}


def _named(text: str, logprob: float) -> dict[str, Any]:
    """`bytes` is null for a token that is part of a sign only: its text does not say which."""
    return {"token": text, "logprob": max(logprob, _LEAST), "bytes": None if "�" in text else list(text.encode())}


def _text_logprobs(ask: Ask, reply: Written, spell: Spell) -> dict[str, Any] | None:
    if ask.top is None:
        return None
    offsets = [len("".join(reply.pieces[:i])) for i in range(len(reply.pieces))]
    return {
        "tokens": list(reply.pieces),
        "token_logprobs": [max(score.logprob, _LEAST) for score in reply.scores],
        "top_logprobs": [_likeliest(score, spell) for score in reply.scores] if ask.top else None,
        "text_offset": offsets,
    }


def _likeliest(score: TokenScore, spell: Spell) -> dict[str, float]:
    """By text: of two tokens with the same text, the likelier."""
    found: dict[str, float] = {}
    for token, logprob in score.top:
        found.setdefault(spell(token), max(logprob, _LEAST))
    return found
