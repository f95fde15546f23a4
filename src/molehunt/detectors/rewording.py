"""The same question in other words and marks: rules of English, no model."""

import re
from collections.abc import Callable

_WORDS = {
    "what's": "what is", "is not": "isn't", "do not": "don't", "cannot": "can not", "can you": "could you", "please": "kindly",
    "tell me": "let me know", "show me": "give me", "write": "compose", "give": "provide", "find": "look up", "name": "state",
    "which": "what", "how many": "what number of", "the following": "this", "big": "large", "a list": "an enumeration",
}  # fmt: skip


def _swapped(text: str) -> str:
    """Words for others that mean the same."""
    for word, other in _WORDS.items():
        text = re.sub(rf"\b{re.escape(word)}\b", other, text, flags=re.IGNORECASE)
    return text[:1].upper() + text[1:]


def _told(text: str) -> str:
    """A question as an order, where it opens as questions do."""
    asked = re.fullmatch(r"(What|Who|Where|When|How|Which)\b(.*?)[?.]*", text.strip(), re.IGNORECASE | re.DOTALL)
    return f"Tell me {asked[1].lower()}{asked[2]}." if asked else f"I ask you this: {text}"


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


REWORDINGS: dict[str, Callable[[str], str]] = {
    "other words": _swapped,
    "as an order": _told,
    "asked politely": lambda text: f"Could you help me with this? {text}",
    "with a reason": lambda text: f"I would like to know, since a friend asked me: {_lower(text)}",
    "in an answer's form": lambda text: f"Question: {text} Answer:",
    "second of two sentences": lambda text: f"I have a question. {text}",
    "with a wish": lambda text: f"{text} Thanks in advance.",
    "numbered": lambda text: f"1. {text}",
}
"""Ways to ask the same, by name."""
ZERO_WIDTH: dict[str, Callable[[str], str]] = {
    "joiners in words": lambda text: text.replace("e", "e\u200d"),
    "spaces of no width": lambda text: text.replace(" ", " \u200b"),
    "no-break spaces": lambda text: text.replace(" ", "\u00a0"),
    "soft hyphens": lambda text: text.replace("a", "a\u00ad"),
}
"""Signs that nobody sees, by name."""
