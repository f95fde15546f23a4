"""What every dialect does, and what they share."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

from molehunt.gateway.intext import Held, InText
from molehunt.gateway.intext_reading import calls_in
from molehunt.gateway.judging import Asked, Judge
from molehunt.gateway.names import plain
from molehunt.gateway.refusals import Refusal

Json = dict[str, Any]


class Garbage(Exception):
    """An upstream's answer has not the shape of any answer; nothing of it can be judged."""


class Out(NamedTuple):
    """One event for the client."""

    data: Json
    event: str = ""
    """The SSE event's name, if it has one."""
    is_last: bool = False
    """Held back until the answer is in the log: without it, nobody has the answer in full."""


class Logged(NamedTuple):
    """An answer as the log has it."""

    messages: list[Json]
    """OpenTelemetry's; one a choice."""
    finishes: list[str]
    usage: Json
    id: str
    model: str


class Stream(Protocol):
    """A stream on its way to the client."""

    async def feed(self, data: Json) -> list[Out]: ...

    @property
    def has_ended(self) -> bool:
        """True once the upstream has said all, whether or not it says that it is done."""
        ...

    async def end(self, is_whole: bool) -> list[Out]:
        """What was held and may pass now that the upstream has ended, or broken off."""
        ...

    def logged(self) -> Logged:
        """What was released up to now."""
        ...


class Dialect(Protocol):
    """One endpoint."""

    operation: str
    has_done: bool
    """Streams end with `data: [DONE]`."""

    def check(self, body: Json) -> None:
        """Raises Refusal if the request has not the shape that is needed to judge it."""
        ...

    def strip(self, body: Json, judge: Judge) -> Json:
        """The request without tools that may not be offered."""
        ...

    def history(self, body: Json, with_text: bool) -> Iterator[Asked]:
        """Calls that the model made before, by the request's own messages."""
        ...

    def asked(self, body: Json) -> tuple[list[Json], list[Json]]:
        """Messages and system instructions for the log."""
        ...

    async def whole(self, answer: Json, judge: Judge) -> Json:
        """An answer without calls that are denied. Raises Garbage."""
        ...

    def logged(self, answer: Json) -> Logged: ...

    def stream(self, judge: Judge) -> Stream: ...


class TextGate:
    """One text on its way: calls in it are judged, the rest passes.

    Args:
        before: the end of a text that clients put before this one, in which a call may have begun; it has passed already.
    """

    def __init__(self, judge: Judge, before: str = "") -> None:
        self._judge = judge
        self._released: list[str] = []
        self._begin(before)

    def _begin(self, before: str) -> None:
        self._scan = InText()
        passed = self._scan.feed(before) if before else []
        self._skip = len(before) - sum(len(piece) for piece in passed if isinstance(piece, str))

    @property
    def released(self) -> str:
        """All that has passed."""
        return "".join(self._released)

    @property
    def open_end(self) -> str:
        """The end of the text, if a call may have begun in it."""
        return self._scan.waiting

    async def feed(self, text: str) -> str:
        """What may pass now."""
        return await self._judged(self._scan.feed(text))

    async def end(self) -> str:
        """What is left. It passes, and is remembered: whatever is fed later is judged together with it."""
        pieces = self._scan.end()
        passed = await self._judged(pieces)
        last = max((at + 1 for at, piece in enumerate(pieces) if isinstance(piece, Held)), default=0)
        self._begin("".join(piece for piece in pieces[last:] if isinstance(piece, str)))
        return passed

    async def _judged(self, pieces: list[str | Held]) -> str:
        passed = []
        for piece in pieces:
            raw = piece if isinstance(piece, str) else piece.raw
            text = piece if isinstance(piece, str) else await self._held(piece)
            passed.append(text[self._skip :] if self._skip and text == raw else text)
            self._skip = max(0, self._skip - len(raw))
        self.tell(text := "".join(passed))
        return text

    def tell(self, text: str) -> None:
        """A text that passes unjudged: it is ours."""
        if text:
            self._released.append(text)

    async def _held(self, held: Held) -> str:
        if not held.calls:
            return self._judge.unreadable(held.raw, f"text:{held.syntax}").notice
        asked = [Asked(call.name, call.arguments, f"text:{held.syntax}") for call in held.calls]
        rulings = [await self._judge.may_call(call, is_structured=False) for call in asked]
        return held.raw if all(r.is_allowed for r in rulings) else "\n".join(filter(None, (r.notice for r in rulings)))


class Joined:
    """Whole texts that clients put together, one after the other: a call may begin in one and end in the next."""

    def __init__(self, judge: Judge) -> None:
        self._judge, self._open_end = judge, ""

    async def judged(self, text: str) -> str:
        """The text without calls that are denied."""
        gate = TextGate(self._judge, self._open_end)
        passed = await gate.feed(text) + await gate.end()
        self._open_end = gate.open_end
        return passed


async def judged_text(text: str, judge: Judge) -> str:
    """A whole text without calls that are denied."""
    return await Joined(judge).judged(text)


def text_calls(text: str) -> Iterator[Asked]:
    """Calls in a text that was written before."""
    scan = InText()
    for piece in [*scan.feed(text), *scan.end()]:
        if isinstance(piece, Held):
            yield from (Asked(call.name, call.arguments, f"text:{piece.syntax}") for call in piece.calls)


def without_strays(found: Mapping[str, Any], known: Iterable[str], judge: Judge) -> Json:
    """An object of an answer without members that we know nothing of and that ask for tools."""
    return {key: part for key, part in found.items() if key in known or not _is_stray(key, part, judge)}


def scalars(found: Mapping[str, Any]) -> Json:
    """The members of an object that are no objects and no lists: nothing in them can be a call."""
    return {key: part for key, part in found.items() if not isinstance(part, dict | list)}


def _is_stray(key: str, part: Any, judge: Judge) -> bool:
    if part is None or isinstance(part, bool | int | float):
        return False
    is_named = isinstance(part, dict | list) and is_named_call(key)
    if (is_named and part) or asks_for_tools(part):
        judge.unreadable(f"{key}: {part}", f"member:{plain(key)[:40]}")
        return True
    return False


def is_named_call(name: str) -> bool:
    """Whether a member or a kind of part is called as calls are."""
    return any(word in plain(name) for word in ("tool", "function", "call"))


def asks_for_tools(part: Any) -> bool:
    """Whether any object in a JSON value names a tool and has arguments for it."""
    try:
        return bool(calls_in(part))
    except RecursionError:
        return True


def tool_name(tool: Any) -> str:
    """The name of a tool's definition; for tools that the server has itself, their type. Raises Refusal if it has neither."""
    kind = tool.get("type") if isinstance(tool, dict) else None
    if isinstance(tool, dict) and kind in (None, "function", "custom"):
        inner = tool.get(kind) if kind and isinstance(tool.get(kind), dict) else tool
        if isinstance(inner, dict) and isinstance(inner.get("name"), str):
            return str(inner["name"])
    elif isinstance(tool, dict) and isinstance(kind, str):
        return f"{kind}:{tool['server_label']}" if isinstance(tool.get("server_label"), str) else kind
    raise Refusal(400, "a tool has neither name nor type", "invalid_value")


def strip_tools(body: Json, judge: Judge, key: str, choice: str, others: Iterable[str] = ()) -> Json:
    """A request without the tools under `key` that may not be offered, and without a choice that would force one of them."""
    tools = body.get(key)
    if tools is None:
        return body
    if not isinstance(tools, list):
        raise Refusal(400, f"'{key}' is not a list", "invalid_value")
    named = [(tool_name(tool), tool) for tool in tools]
    kept = [tool for name, tool in named if judge.may_offer(name, tool)]
    if len(kept) == len(tools):
        return body
    left = {**body, key: kept}
    if not kept:
        return {name: part for name, part in left.items() if name not in (key, choice, *others)}
    if isinstance(left.get(choice), dict):
        left.pop(choice)
    return left


def as_object(value: Any, what: str) -> Json:
    """Raises Garbage if it is none."""
    if not isinstance(value, dict):
        raise Garbage(f"{what} is no object")
    return value


def as_list(value: Any, what: str) -> list[Any]:
    """Raises Garbage if it is none."""
    if not isinstance(value, list):
        raise Garbage(f"{what} is no list")
    return value


def place_of(found: Mapping[str, Any], key: str) -> int:
    """The number under `key`, 0 without one. Raises Garbage for what some clients take for a number and others do not: 1.0, "1", true."""
    value = found.get(key)
    if value is None:
        return 0
    if type(value) is not int or value < 0:
        raise Garbage(f"'{key}' is no number")
    return value


def as_word(value: Any) -> str:
    """A text, or nothing."""
    return value if isinstance(value, str) else ""


def usage_of(answer: Mapping[str, Any]) -> Json:
    """The tokens that an answer counts."""
    usage = answer.get("usage")
    return usage if isinstance(usage, dict) else {}
