"""Calls that a model writes into its text: found while the text streams, held from their first sign until they are whole."""

import re
from collections.abc import Callable
from typing import NamedTuple

from molehunt.gateway.intext_reading import Written, read_json, read_mistral, read_python, read_react, read_tag
from molehunt.gateway.names import folded

MOST_HELD = 2**18
"""Characters of one call that are held; what is longer is never released."""

_FIRST_KEYS = (
    "name|function|function_name|type|tool|tool_name|tool_calls|tool_input|action|action_input|recipient_name|parameters|arguments|args|id|index"
    "|thought|thoughts|thinking|reasoning|reason|rationale|explanation|analysis|plan|goal|intent|step|comment"
)
"""What calls begin with, and what models are told to write down before them."""
_JSON = rf"""\{{\s*(?:"[^"\\]{{0,40}}\\|["'](?:{_FIRST_KEYS})["'])"""
_START = re.compile(
    rf"(?P<hermes><tool_call)|(?P<function><function(?:=|_call|\s+name))|(?P<invoke><invoke)|(?P<llama><\|python_(?:tag|start)\|>)"
    rf"|(?P<mistral>\[tool_calls\])|(?P<react>action\s*(?:\d+\s*)?:)|(?P<json>{_JSON})"
)
_PYTHON_START = re.compile(r"\[\s*[^\W\d][^\s()\[\]{}\"',=:]*\(")
_LITERALS = (
    "<tool_call",
    "<function=",
    "<function_call",
    "<function name",
    "<invoke",
    "<|python_tag|>",
    "<|python_start|>",
    "[tool_calls]",
)
_PART = re.compile(
    r"(?:<[a-z_|=]{0,14}\s*[name]{0,4}|\[[a-z_]{0,10}|a(?:c(?:t(?:i(?:o(?:n\s*(?:\d+\s*)?)?)?)?)?)?|\{\s*(?:[\"'][^\"']{0,41})?)\Z"
)
_LOUD = re.compile(r"[<\[{\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|a(?:\Z|c(?:\Z|t(?:\Z|i(?:\Z|o(?:\Z|n)))))", re.I | re.A)
"""What every sign begins with, whole or in part, and what hides from sight: ASCII without any of it can hold no sign."""
_OPENING = re.compile(r"\s*(?:\[\s*(?:[^\W\d][^\s()\[\]{}\"',=:]*)?)?\Z")
_ENDS = {
    "hermes": re.compile(r"</tool_call\s*>"),
    "function": re.compile(r"</function(?:_call)?\s*>"),
    "invoke": re.compile(r"</invoke\s*>"),
    "llama": re.compile(r"<\|(?:eo[mt](?:_id)?|python_end)\|>"),
    "react": re.compile(r"\n\s*observation\s*(?:\d+\s*)?:"),
}


_MOST_PART = 4096
"""Characters that may turn out to be the beginning of a sign; more are let pass."""
_OVERLAP = 256


class Held(NamedTuple):
    """A piece of text that asks for tools, as it stood there."""

    raw: str
    syntax: str
    calls: tuple[Written, ...]
    """Empty if it could not be read: nobody can say what a client would make of it."""


class InText:
    """Splits one text, fed in pieces, into what may pass at once and what must be judged."""

    def __init__(self) -> None:
        self._buffer = ""
        self._syntax = ""
        self._is_opening = True
        self._seen = _Braces()
        self._looked = 0
        self._settled = {"json": 0, "react": 0}
        """How many of the next characters are known to hold no such call: nothing is looked through twice for one syntax."""

    def feed(self, text: str) -> list[str | Held]:
        """The pieces that are ready, in order; together with `end` they are the text, to the character."""
        if text and not (self._buffer or self._syntax) and text.isascii() and _LOUD.search(text) is None:
            self._is_opening = self._is_opening and text.isspace()
            self._settle(len(text))
            return [text]
        self._buffer += text
        return self._drain(is_end=False)

    @property
    def waiting(self) -> str:
        """What is held now."""
        return self._buffer

    def end(self) -> list[str | Held]:
        """What is left when the text is over."""
        return self._drain(is_end=True)

    def _drain(self, is_end: bool) -> list[str | Held]:
        found: list[str | Held] = []
        while True:
            piece = self._closed(is_end) if self._syntax else self._passing(is_end)
            if piece:
                found.append(piece)
            if not self._syntax and not (piece and self._buffer):
                return found
            if self._syntax and not piece and not self._may_close(is_end):
                return found

    def _may_close(self, is_end: bool) -> bool:
        """True right after a sign was found: the rest of the buffer may hold the whole call."""
        return is_end or self._cut(is_end) is not None

    def _passing(self, is_end: bool) -> str:
        shadow, places = folded(self._buffer)
        start = self._start(shadow, places)
        syntax, at = (str(start.lastgroup), start.start()) if start else ("", len(shadow))
        if self._is_opening and (opened := _PYTHON_START.match(shadow.lstrip())) and (not start or at > 0):
            syntax, at = "python", len(shadow) - len(shadow.lstrip()) + opened.start()
        if not syntax and not is_end and len(shadow) - (safe := _safe(shadow, self._is_opening)) < _MOST_PART:
            at = safe
        cut = _place(at, places, len(self._buffer))
        passed, self._buffer = self._buffer[:cut], self._buffer[cut:]
        self._is_opening = self._is_opening and not passed.strip()
        self._syntax, self._seen, self._looked = syntax, _Braces(), 0
        self._settle(len(passed))
        return passed

    def _start(self, shadow: str, places: list[int] | None) -> re.Match[str] | None:
        """The first sign of a call that is not settled yet."""
        for found in _START.finditer(shadow):
            if _place(found.start(), places, len(shadow)) >= self._settled.get(str(found.lastgroup), 0):
                return found
        return None

    def _settle(self, passed: int) -> None:
        if any(self._settled.values()):
            self._settled = {syntax: max(0, left - passed) for syntax, left in self._settled.items()}

    def _closed(self, is_end: bool) -> Held | str:
        cut = self._cut(is_end)
        if cut is None:
            return ""
        raw, self._buffer = self._buffer[:cut], self._buffer[cut:]
        syntax, self._syntax, self._is_opening = self._syntax, "", False
        calls = _read(syntax, raw)
        if calls is None:
            return self._step_over(raw, syntax)
        self._settle(len(raw))
        return Held(raw, syntax, calls)

    def _step_over(self, raw: str, syntax: str) -> str:
        """No call after all: its first sign passes, and the rest is looked through again, for calls in other syntaxes."""
        first = _first_sign(raw)
        self._buffer = raw[first:] + self._buffer
        self._settle(first)
        if syntax in self._settled:
            self._settled[syntax] = max(self._settled[syntax], len(raw) - first)
        return raw[:first]

    def _cut(self, is_end: bool) -> int | None:
        """Where the held call ends, if it is whole."""
        if is_end or len(self._buffer) > MOST_HELD:
            return len(self._buffer)
        if self._syntax in ("json", "python"):
            return self._seen.end_of(self._buffer)
        if (ending := _ENDS.get(self._syntax)) is None:
            return None
        start = max(0, self._looked - _OVERLAP)
        tail = self._buffer[start:]
        shadow, places = folded(tail)
        found = ending.search(shadow)
        if found is None:
            self._looked = len(self._buffer)
            return None
        at = found.start() if self._syntax == "react" else found.end()
        return start + _place(at, places, len(tail))


class _Braces:
    """Where brackets that open a text are closed, text in quotes left out; remembers how far it has looked."""

    _SIGNS = re.compile(r"[\"'\\{}\[\]()]")

    def __init__(self) -> None:
        self._at, self._depth, self._quote, self._skip = 0, 0, "", -1
        self._end: int | None = None

    def end_of(self, text: str) -> int | None:
        if self._end is None:
            self._end = self._look(text)
        return self._end

    def _look(self, text: str) -> int | None:
        for found in self._SIGNS.finditer(text, self._at):
            sign, at = found[0], found.start()
            self._at = at + 1
            if at == self._skip:
                continue
            if sign == "\\":
                self._skip = at + 1
            elif self._quote:
                self._quote = "" if sign == self._quote else self._quote
            elif sign == '"' or (sign == "'" and text[at - 1 : at] in ("{", "[", "(", ",", ":", " ", "=")):
                self._quote = sign
            elif sign in "{[(":
                self._depth += 1
            elif sign in "}])":
                self._depth -= 1
                if self._depth == 0:
                    return at + 1
        return None


def _safe(shadow: str, is_opening: bool) -> int:
    """How much of a text can be no part of a sign that has only begun."""
    part = _PART.search(shadow)
    at = len(shadow)
    if part and (part[0][0] not in "<[" or any(literal.startswith(part[0]) for literal in _LITERALS)):
        at = part.start()
    if is_opening and (opening := _OPENING.fullmatch(shadow)):
        at = min(at, len(shadow) - len(shadow.lstrip()) if shadow.strip() else opening.end())
    return at


def _place(at: int, places: list[int] | None, length: int) -> int:
    if places is None:
        return at
    return places[at] if at < len(places) else length


def _first_sign(raw: str) -> int:
    """One visible character, and what hides around it."""
    shadow, places = folded(raw)
    return _place(1, places, len(raw)) if len(shadow) > 1 else len(raw)


_READ: dict[str, Callable[[str], tuple[Written, ...] | None]] = {
    "hermes": lambda raw: read_tag(raw) or (),
    "function": lambda raw: read_tag(raw) or (),
    "invoke": lambda raw: read_tag(raw) or (),
    "llama": lambda raw: read_python(raw, is_tagged=True) or (),
    "mistral": lambda raw: read_mistral(raw) or (),
    "react": read_react,
    "json": read_json,
    "python": read_python,
}


def _read(syntax: str, raw: str) -> tuple[Written, ...] | None:
    """Calls in a held text: None where it is none after all, () where it is one that cannot be read."""
    if len(raw) > MOST_HELD:
        return ()
    try:
        return _READ[syntax](raw)
    except (RecursionError, MemoryError):
        return ()
