"""Make a model's words safe to show."""

import re
import unicodedata

from molehunt.records.estimates import Estimate

_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_].*?(?:\x07|\x1b\\|$)|.?)|\x9b[0-?]*[ -/]*[@-~]", re.DOTALL)
_KEPT = {"\n", "\t"}


def visible(text: str) -> str:
    """The text with every control and formatting character shown as an escape instead of acting.

    Terminal sequences, direction overrides and zero-width characters become readable; newlines and tabs stay.
    """
    if text.isprintable():
        return text
    return "".join(_show(char) for char in _ANSI.sub(lambda m: "".join(map(_escape, m[0])), text))


def _show(char: str) -> str:
    hidden = unicodedata.category(char) in ("Cc", "Cf", "Co", "Cs", "Zl", "Zp") and char not in _KEPT
    return _escape(char) if hidden else char


def _escape(char: str) -> str:
    code = ord(char)
    if char in _KEPT or (32 <= code < 127):
        return char
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def rate(e: Estimate) -> str:
    """An estimate of a rate in per cent with its interval."""
    return f"{e.value:.1%} [{e.low:.1%}, {e.high:.1%}]"
