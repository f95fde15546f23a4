"""The chunks of a chat's stream: texts that flow, calls that are gathered until they can be judged."""

from collections.abc import Callable
from typing import Any

from molehunt.gateway.dialects.base import (
    Json,
    Logged,
    Out,
    TextGate,
    as_list,
    as_object,
    place_of,
    usage_of,
    without_strays,
)
from molehunt.gateway.dialects.chat_calls import (
    CHOICE,
    MESSAGE,
    SAID,
    TEXTS,
    TOP,
    finish_of,
    judged_calls,
    judged_content,
)
from molehunt.gateway.judging import Judge

_KNOWN, _PLAIN, _NEEDED = (
    frozenset(TOP),
    frozenset(("delta", *CHOICE)),
    frozenset(("index", "delta", "finish_reason")),
)


class _Choice:
    """One choice of a stream: texts that flow, calls that are gathered."""

    def __init__(self, judge: Judge) -> None:
        self.gates: dict[str, TextGate] = {}
        self.judge = judge
        self.calls: dict[Any, Json] = {}
        self.old: Json | None = None
        self.message: Json = {"role": "assistant"}
        self.finish: str | None = None

    def gate(self, key: str) -> TextGate:
        """Of one of the texts."""
        if (found := self.gates.get(key)) is None:
            found = self.gates[key] = TextGate(self.judge)
        return found

    async def delta(self, delta: Json) -> Json:
        """What of a delta may pass now."""
        out = without_strays(delta, MESSAGE, self.judge)
        for key in TEXTS:
            if isinstance(out.get(key), str) and out[key]:
                out[key] = await self.gate(key).feed(out[key])
            elif isinstance(out.get(key), list | dict):
                out[key] = await judged_content(out[key], self.judge, self.gate(key).feed)
        self._gather(out.pop("tool_calls", None), out.pop("function_call", None))
        return {key: part for key, part in out.items() if part != "" or delta.get(key) == ""}

    def _gather(self, calls: Any, old: Any) -> None:
        for call in calls if isinstance(calls, list) else ():
            if isinstance(call, dict):
                at = call["index"] if isinstance(call.get("index"), int) else self._place(call)
                _join(self.calls.setdefault(at, {}), {key: part for key, part in call.items() if key != "index"})
        if isinstance(old, dict):
            self.old = self.old or {}
            _join(self.old, old)

    def _place(self, call: Json) -> Any:
        """Of a piece without an index: a new id begins a new call."""
        last = max(self.calls, default=-1)
        return last + 1 if call.get("id") and call["id"] != self.calls.get(last, {}).get("id") else max(last, 0)

    async def rest(self, is_whole: bool) -> list[Json]:
        """Deltas of what was held, judged; of a stream that broke off, calls are dropped, since nobody knows their end."""
        out: list[Json] = [{key: text} for key, gate in self.gates.items() if (text := await gate.end())]
        held: Json = {"tool_calls": [self.calls[at] for at in sorted(self.calls)]} if self.calls else {}
        held |= {"function_call": self.old} if self.old is not None else {}
        self.calls, self.old = {}, None
        if not held or not is_whole:
            return out
        left, notices = await judged_calls(held, self.judge)
        self.message |= left
        if notices:
            text = "\n".join(notices)
            self.gate("content").tell(text)
            out.append({"content": text})
        if calls := left.get("tool_calls"):
            out.append({"tool_calls": [{"index": i, **call} for i, call in enumerate(calls)]})
        return out + ([{"function_call": left["function_call"]}] if "function_call" in left else [])

    def logged(self) -> Json:
        """The message as it was released."""
        return {**self.message, **{key: gate.released for key, gate in self.gates.items()}}


def _join(whole: Json, piece: Json) -> None:
    """Add a piece to what is gathered, as clients do: texts are appended, but for ids and types."""
    for key, part in piece.items():
        if isinstance(part, dict) and isinstance(whole.get(key), dict):
            _join(whole[key], part)
        elif isinstance(part, dict):
            whole[key] = {}
            _join(whole[key], part)
        elif isinstance(part, str) and isinstance(whole.get(key), str) and key not in ("id", "type"):
            whole[key] += part
        elif part is not None:
            whole[key] = part


def _only_text(data: Json) -> str | None:
    """The member of the one delta of a chunk that adds to a text and does nothing else, as most do; None for any other chunk."""
    choices = data.get("choices")
    if not isinstance(choices, list) or len(choices) != 1 or not data.keys() <= _KNOWN or data.get("usage"):
        return None
    choice = choices[0]
    if not isinstance(choice, dict) or not _NEEDED <= choice.keys() <= _PLAIN or type(choice["index"]) is not int:
        return None
    delta = choice["delta"]
    is_busy = choice["finish_reason"] is not None or choice.get("logprobs") is not None
    if is_busy or not isinstance(delta, dict) or len(delta) != 1:
        return None
    [(key, text)] = delta.items()
    return key if key in TEXTS and isinstance(text, str) and text else None


class ChatStream:
    """Chunks of a stream."""

    def __init__(self, tell: Callable[[Json], Logged], judge: Judge) -> None:
        """`tell` says what goes into the log of an answer."""
        self._tell, self._judge = tell, judge
        self._choices: dict[int, _Choice] = {}
        self._head: Json = {}
        self._usage: Json = {}
        self._last: list[Out] = []

    async def feed(self, data: Json) -> list[Out]:
        """A chunk's deltas; finishes and the count of tokens wait for the end."""
        choices = data.get("choices")
        if (key := _only_text(data)) is not None:
            return await self._text(data, data["choices"][0], key)
        if choices is None and "error" in data:
            return [Out({"error": data["error"]}, is_last=True)]
        chunk = without_strays(data, TOP, self._judge)
        self._head = self._head or {k: v for k, v in chunk.items() if k not in ("choices", "usage")}
        self._usage = usage_of(data) or self._usage
        out: list[Out] = []
        for choice in as_list(choices, "'choices'"):
            out += await self._choice(chunk, as_object(choice, "a choice"))
        if usage_of(data) and not choices:
            self._last.append(Out(chunk, is_last=True))
        return out

    async def _text(self, data: Json, choice: Json, key: str) -> list[Out]:
        """A chunk that `_only_text` knows: the same as `feed` makes of it, at a third of the cost."""
        mine = self._of(choice["index"])
        if mine.finish is not None:
            return []
        self._head = self._head or {k: v for k, v in data.items() if k not in ("choices", "usage")}
        given = choice["delta"][key]
        passed = await mine.gate(key).feed(given)
        if passed != given:
            data = {**data, "choices": [{**choice, "delta": {key: passed}}]}
        return [Out(data)] if passed else []

    def _of(self, index: int) -> _Choice:
        """One of the choices; once it has finished, nothing more of it is taken."""
        if (found := self._choices.get(index)) is None:
            found = self._choices[index] = _Choice(self._judge)
        return found

    async def _choice(self, chunk: Json, choice: Json) -> list[Out]:
        index = place_of(choice, "index")
        mine = self._of(index)
        if mine.finish is not None:
            return []
        given = as_object(choice.get("delta") or {}, "a delta")
        delta = await mine.delta(given)
        out = []
        if delta:
            is_same = all(delta.get(key) == given.get(key) for key in TEXTS)
            left = {k: v for k, v in choice.items() if k not in SAID and (k != "logprobs" or is_same)}
            rest = without_strays(left, CHOICE, self._judge)
            out.append(Out({**chunk, "choices": [{**rest, "delta": delta, "finish_reason": None}]}))
        if isinstance(choice.get("finish_reason"), str):
            mine.finish = choice["finish_reason"]
            out += self._deltas(index, await mine.rest(is_whole=True))
        return out

    def _deltas(self, index: int, deltas: list[Json]) -> list[Out]:
        return [Out(self._chunk({"index": index, "delta": delta, "finish_reason": None})) for delta in deltas]

    def _chunk(self, choice: Json) -> Json:
        return {**self._head, "choices": [choice]}

    @property
    def has_ended(self) -> bool:
        """True once every choice has its finish."""
        return bool(self._choices) and all(choice.finish is not None for choice in self._choices.values())

    async def end(self, is_whole: bool) -> list[Out]:
        """The rest of every choice, its finish, and the count of tokens."""
        out: list[Out] = []
        for index, choice in sorted(self._choices.items()):
            out += self._deltas(index, await choice.rest(is_whole))
            if is_whole:
                choice.finish = finish_of({"finish_reason": choice.finish}, choice.message).get(
                    "finish_reason", choice.finish
                )
                last: Json = {"index": index, "delta": {}, "finish_reason": choice.finish}
                out.append(Out(self._chunk(last), is_last=True))
        return out + (self._last if is_whole else [])

    def logged(self) -> Logged:
        """What the choices have come to."""
        choices = [
            {"message": choice.logged(), "finish_reason": choice.finish} for _, choice in sorted(self._choices.items())
        ]
        return self._tell({**self._head, "choices": choices, "usage": self._usage})
