"""Replies of a suspect's endpoint, read as they are: empty and cut ones are findings, not failures."""

import math
from collections.abc import Iterator
from typing import Any

import httpx2

from molehunt.records.endpoints import EndpointReply, ReplyToken
from molehunt.world.replies import Failure, check_text, read_json


async def read_chat_reply(response: httpx2.Response) -> EndpointReply:
    """The reply in an answer of `POST /chat/completions`.

    Raises:
        Failure: if there is none.
    """
    found = await read_json(response)
    return _reply(found, lambda choice: choice["message"]["content"], _chat_tokens)


async def read_completion(response: httpx2.Response) -> EndpointReply:
    """The same for `POST /completions`."""
    found = await read_json(response)
    return _reply(found, lambda choice: choice["text"], _text_tokens)


def _reply(found: Any, text_of: Any, tokens_of: Any) -> EndpointReply:
    try:
        choice = found["choices"][0]
        text, finish = text_of(choice), choice.get("finish_reason")
    except (KeyError, IndexError, TypeError, AttributeError):
        raise Failure("a body without choices") from None
    text = "" if text is None else text
    if not isinstance(text, str):
        raise Failure("a reply that is no text")
    named, used = found.get("model"), found.get("usage")
    used = used if isinstance(used, dict) else {}
    reply = EndpointReply(
        text=text,
        finish=finish if isinstance(finish, str) else "",
        model=named if isinstance(named, str) else "",
        tokens=_checked(tokens_of, choice.get("logprobs")),
        prompt_tokens=_count(used.get("prompt_tokens")),
        reply_tokens=_count(used.get("completion_tokens")),
        refused="content_filter" if finish == "content_filter" else "",
    )
    check_text("".join((reply.text, reply.finish, reply.model, *_spelled(reply))))
    return reply


def _spelled(reply: EndpointReply) -> Iterator[str]:
    for token in reply.tokens:
        yield token.token.replace("\0", "")
        yield from (text.replace("\0", "") for text, _ in token.top)


def _checked(tokens_of: Any, logprobs: Any) -> tuple[ReplyToken, ...]:
    """None where an endpoint gives none, or in a shape of its own."""
    try:
        found = tuple(tokens_of(logprobs)) if logprobs else ()
    except (KeyError, TypeError, ValueError, AttributeError):
        return ()
    numbers = [number for token in found for number in (token.logprob, *(own for _, own in token.top))]
    return found if all(map(math.isfinite, numbers)) else ()


def _chat_tokens(logprobs: Any) -> Iterator[ReplyToken]:
    for token in logprobs.get("content") or ():
        top = [(one["token"], one["logprob"]) for one in token.get("top_logprobs") or ()]
        yield ReplyToken(token=token["token"], logprob=token["logprob"], top=_sorted(top))


def _text_tokens(logprobs: Any) -> Iterator[ReplyToken]:
    tokens, own = logprobs["tokens"], logprobs["token_logprobs"]
    tops = logprobs.get("top_logprobs") or [None] * len(tokens)
    for token, logprob, top in zip(tokens, own, tops, strict=True):
        yield ReplyToken(token=token, logprob=logprob, top=_sorted(list((top or {}).items())))


def _sorted(top: list[tuple[str, float]]) -> tuple[tuple[str, float], ...]:
    return tuple(sorted(top, key=lambda pair: -pair[1]))


def _count(number: Any) -> int | None:
    return number if isinstance(number, int) and not isinstance(number, bool) and number >= 0 else None
