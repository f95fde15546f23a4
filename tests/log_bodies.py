"""Bodies of log events, as a gateway writes them."""

import random
from typing import Any

from molehunt.logs import events
from molehunt.logs.messages import call_part, from_chat_message, text_message

WORDS = [
    "the",
    "a",
    "river",
    "stone",
    "light",
    "morning",
    "account",
    "number",
    "please",
    "tell",
    "me",
    "how",
    "why",
    "invoice",
    "café",
    "日本",
    "😀",
]


def words(draw: random.Random, count: int) -> str:
    return " ".join(draw.choice(WORDS) for _ in range(count))


def request(call: str, text: str = "hello", **more: Any) -> dict[str, Any]:
    return {
        events.CALL_ID: call,
        events.OPERATION: "chat",
        events.REQUEST_MODEL: "tiny",
        events.INPUT: [text_message("system", "Be kind."), text_message("user", text)],
        **more,
    }


def answer(call: str, text: str = "yes", *tools: tuple[str, str], **more: Any) -> dict[str, Any]:
    message = from_chat_message({"role": "assistant", "content": text}, "stop")
    message["parts"] += [call_part(name, arguments) for name, arguments in tools]
    return {
        events.CALL_ID: call,
        events.OUTPUT: [message],
        events.STATUS: 200,
        events.FINISH_REASONS: ["stop"],
        events.USAGE_INPUT: 7,
        **more,
    }
