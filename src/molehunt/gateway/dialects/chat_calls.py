"""What a message of a chat may hold, and the calls in it: judged, and made anew."""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from molehunt.gateway.dialects.base import Json, as_word, asks_for_tools, is_named_call, without_strays
from molehunt.gateway.judging import Asked, Judge, as_text

TEXTS = ("content", "reasoning_content", "reasoning", "refusal")
"""Members of a message that hold text."""
TOP = ("id", "object", "created", "model", "choices", "usage", "system_fingerprint", "service_tier")
CHOICE = ("index", "finish_reason", "logprobs")
SAID = ("message", "delta")
"""Where a choice speaks: each is made anew, and the one that is out of place is dropped."""
MESSAGE = ("role", *TEXTS, "tool_calls", "function_call")
SPOKEN = ("text", "thinking", *TEXTS)
"""Members of a part of a content that hold text."""
_CALL = ("name", "arguments", "input")


def structured(message: Json) -> Iterator[tuple[Json, Asked]]:
    """Every call of a message with its object: function and custom tools, and the older form."""
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        if isinstance(call, dict):
            inner = next((call[key] for key in ("function", "custom") if isinstance(call.get(key), dict)), call)
            given = inner.get("arguments") if "arguments" in inner else inner.get("input")
            yield call, Asked(as_word(inner.get("name")), as_text(given), "call")
    old = message.get("function_call")
    if isinstance(old, dict):
        yield old, Asked(as_word(old.get("name")), as_text(old.get("arguments")), "function_call")


async def judged_calls(message: Json, judge: Judge) -> tuple[Json, list[str]]:
    """The message without denied calls, and what the client is told of them. Ids that stand twice are told apart."""
    kept: list[Json] = []
    notices: list[str] = []
    left = {key: part for key, part in message.items() if key not in ("tool_calls", "function_call")}
    for call, asked in structured(message):
        ruling = await judge.may_call(asked)
        if not ruling.is_allowed:
            notices.append(ruling.notice)
        elif asked.form == "call":
            kept.append(_with_own_id(_as_judged(call), {as_word(other.get("id")) for other in kept}))
        else:
            left["function_call"] = {"name": asked.name, "arguments": asked.arguments}
    return left | ({"tool_calls": kept} if kept else {}), notices


def _as_judged(call: Json) -> Json:
    """A call with one name and one set of arguments: those that were judged."""
    holder = next((key for key in ("function", "custom") if isinstance(call.get(key), dict)), "")
    own: Json = {k: v for k, v in call.items() if not isinstance(v, dict | list) and not (holder and k in _CALL)}
    if holder:
        own[holder] = {k: v for k, v in call[holder].items() if k in _CALL}
    return own


def _with_own_id(call: Json, taken: set[str]) -> Json:
    own = as_word(call.get("id")) or "call"
    number = 2
    name = own
    while name in taken:
        name, number = f"{own}-{number}", number + 1
    return {**call, "id": name} if name != call.get("id") else call


async def judged_content(content: Any, judge: Judge, say: Callable[[str], Awaitable[str]]) -> Any:
    """A content, a text or parts, without calls that are denied in its texts, and without parts that are calls themselves.

    Args:
        say: what of the next piece of text may pass; parts are one text, since clients join them.
    """
    if isinstance(content, str):
        return await say(content)
    if isinstance(content, list):
        found = [await judged_content(part, judge, say) for part in content]
        return [part for part in found if part is not None]
    if not isinstance(content, dict):
        return content
    rest = {key: part for key, part in content.items() if key not in SPOKEN}
    if asks_for_tools(rest) or is_named_call(as_word(content.get("type"))):
        judge.unreadable(str(content), f"part:{as_word(content.get('type'))[:40]}")
        return None
    known = without_strays(content, SPOKEN, judge)
    return {key: await judged_content(part, judge, say) if key in SPOKEN else part for key, part in known.items()}


def with_notices(content: Any, notices: list[str]) -> Any:
    """A message's content, a text or its parts, with what the client is told of denied calls."""
    if isinstance(content, list):
        return [*content, *({"type": "text", "text": notice} for notice in notices)]
    return "\n".join(filter(None, (content, *notices)))


def finish_of(choice: Json, message: Json) -> Json:
    """A message that has lost its calls has simply stopped."""
    had = choice.get("finish_reason") in ("tool_calls", "function_call")
    return {"finish_reason": "stop"} if had and not (message.keys() & {"tool_calls", "function_call"}) else {}
