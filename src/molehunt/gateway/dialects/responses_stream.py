"""Streams of the Responses API: texts flow, items that are calls are held until they are whole, and the end repeats what was released."""

from collections.abc import Awaitable, Callable
from typing import Any

from molehunt.gateway.dialects.base import (
    Garbage,
    Json,
    Logged,
    Out,
    TextGate,
    as_object,
    as_word,
    place_of,
    scalars,
    usage_of,
    without_strays,
)
from molehunt.gateway.judging import Judge

_ENDS = ("response.completed", "response.incomplete", "response.failed", "response.cancelled")
_STATES = ("response.created", "response.in_progress", "response.queued")
_DELTAS = {
    "response.output_text.delta": "text",
    "response.refusal.delta": "refusal",
    "response.reasoning_text.delta": "text",
    "response.reasoning_summary_text.delta": "text",
}
_DONES = {name.removesuffix("delta") + "done": key for name, key in _DELTAS.items()}
_PARTS = tuple(
    f"response.{holder}_part.{state}" for holder in ("content", "reasoning_summary") for state in ("added", "done")
)
_FLOWING = ("message", "reasoning")
RESPONSE = (
    "output", "usage", "error", "incomplete_details", "metadata", "tools", "tool_choice", "text", "reasoning", "instructions", "prompt",
    "conversation", "include", "safety_identifier", "input",
)  # fmt: skip
"""Members of a response that repeat the request or count: no client takes them for calls."""
_INSIDE = ("item", "part", "response", "annotation", "logprobs")
"""Members of an event that are made anew or hold no call."""

Place = tuple[int, str, int]
"""Which item, content or summary, which part of it."""


class ResponseStream:
    """Events of one stream."""

    def __init__(
        self, judge: Judge, logged: Callable[[Json], Logged], judged_item: Callable[[Json, Judge], Awaitable[Json]]
    ) -> None:
        self._judge, self._logged, self._judged_item = judge, logged, judged_item
        self._gates: dict[Place, TextGate] = {}
        self._items: dict[int, Json] = {}
        """Released items by their place in the output."""
        self._held: dict[int, Json] = {}
        self._number = 0
        self._response: Json = {}
        self._last: list[Out] = []

    async def feed(self, data: Json) -> list[Out]:
        """What of an event may pass now."""
        kind = as_word(data.get("type"))
        if kind in _ENDS:
            self._response, self._last = as_object(data.get("response"), "'response'"), [self._out(data)]
            return []
        if kind in _STATES:
            self._response = as_object(data.get("response"), "'response'")
            return [self._out({**data, "response": {**self._told(), "output": []}})]
        if kind == "error":
            return [
                self._out({key: part for key, part in data.items() if not isinstance(part, dict | list)}, is_last=True)
            ]
        if kind in ("response.output_item.added", "response.output_item.done"):
            return await self._item(data, kind.endswith("done"))
        return await self._within(data, kind)

    async def _item(self, data: Json, is_done: bool) -> list[Out]:
        at, item = place_of(data, "output_index"), as_object(data.get("item"), "'item'")
        if as_word(item.get("type")) not in _FLOWING:
            if not is_done:
                self._held[at] = item
                return []
            self._held.pop(at, None)
            return self._shown(at, await self._judged_item(item, self._judge)) if at not in self._items else []
        if not is_done:
            self._items[at] = scalars(item) | ({"content": []} if item.get("type") == "message" else {"summary": []})
            return [self._out({**data, "item": self._items[at]})]
        out = (
            []
            if at in self._items
            else [self._out({**data, "type": "response.output_item.added", "item": {**scalars(item), "content": []}})]
        )
        rest = await self._rest_of(at)
        self._items[at] = self._rebuilt(at, item)
        return out + rest + [self._out({**data, "item": self._items[at]})]

    async def _within(self, data: Json, kind: str) -> list[Out]:
        """An event inside an item. What belongs to no item that flows is held with its item, or dropped."""
        at = place_of(data, "output_index")
        if at not in self._items or self._items[at].get("type") not in _FLOWING:
            return []
        place = (
            at,
            "summary" if "summary" in kind else "content",
            place_of(data, "summary_index" if "summary" in kind else "content_index"),
        )
        if kind in _DELTAS:
            passed = await self._speaking(place).feed(as_word(data.get("delta")))
            return (
                [self._out(_without_logprobs({**data, "delta": passed}, passed == data.get("delta")))] if passed else []
            )
        if kind in _DONES:
            rest = await self._rest(place, data, kind.removesuffix("done") + "delta")
            return [*rest, self._out(_without_logprobs({**data, _DONES[kind]: self._gate(place).released}, False))]
        if kind in _PARTS:
            return [
                self._out(
                    {**data, "part": self._part(place, as_object(data.get("part"), "'part'"), kind.endswith("done"))}
                )
            ]
        if kind == "response.output_text.annotation.added":
            return [self._out(without_strays(data, [key for key in data if key != "annotation"], self._judge))]
        return []

    def _part(self, place: Place, part: Json, is_done: bool) -> Json:
        text = self._gate(place).released if is_done else ""
        kept = without_strays({"annotations": part["annotations"]}, (), self._judge) if "annotations" in part else {}
        return {key: text if key in ("text", "refusal") else value for key, value in scalars(part).items()} | kept

    def _gate(self, place: Place) -> TextGate:
        """Parts are one text to clients: each begins where the one before it ended."""
        if (found := self._gates.get(place)) is None:
            before = max((other for other in self._gates if other[1] == place[1]), default=place)
            open_end = self._gates[before].open_end if before < place else ""
            found = self._gates[place] = TextGate(self._judge, open_end)
        return found

    def _speaking(self, place: Place) -> TextGate:
        """The gate of a part that goes on. Raises Garbage if the next one has begun: nobody could judge what clients make of it."""
        if any(other > place and other[1] == place[1] for other in self._gates):
            raise Garbage("a part goes on after the next has begun")
        return self._gate(place)

    async def _rest(self, place: Place, data: Json, kind: str) -> list[Out]:
        text = await self._gate(place).end()
        keep = ("item_id", "output_index", "content_index", "summary_index")
        event = {"type": kind, **{key: data[key] for key in keep if key in data}, "delta": text, "sequence_number": 0}
        return [self._out(event)] if text else []

    async def _rest_of(self, at: int) -> list[Out]:
        """Of an item that ends without having ended its texts."""
        out: list[Out] = []
        for place in [place for place in self._gates if place[0] == at]:
            kind = "response.output_text.delta" if place[1] == "content" else "response.reasoning_summary_text.delta"
            where = {"output_index": at, "content_index" if place[1] == "content" else "summary_index": place[2]}
            out += await self._rest(place, {**where, "item_id": self._items[at].get("id")}, kind)
        return out

    def _rebuilt(self, at: int, item: Json) -> Json:
        """An item with the texts that were released, whatever the upstream says they were."""
        found = scalars(item)
        for holder in ("content", "summary"):
            parts = item.get(holder)
            if isinstance(parts, list):
                found[holder] = [
                    self._part((at, holder, i), part, is_done=True)
                    for i, part in enumerate(parts)
                    if isinstance(part, dict)
                ]
        return found

    def _shown(self, at: int, item: Json) -> list[Out]:
        """The events of a whole item, made anew from what was judged."""
        self._items[at] = item
        where = {"output_index": at, "sequence_number": 0}
        inside: list[Json] = []
        opening = item
        if item.get("type") == "message":
            opening = {**item, "content": [], "status": "in_progress"}
            inside = _message_events(item, where)
        elif isinstance(item.get("arguments"), str) and item.get("type") == "function_call":
            opening = {**item, "arguments": "", "status": "in_progress"}
            inside = _call_events(item, where, "function_call_arguments", "arguments")
        elif isinstance(item.get("input"), str) and item.get("type") == "custom_tool_call":
            opening = {**item, "input": "", "status": "in_progress"}
            inside = _call_events(item, where, "custom_tool_call_input", "input")
        added = {"type": "response.output_item.added", "item": opening, **where}
        return [
            self._out(event) for event in (added, *inside, {"type": "response.output_item.done", "item": item, **where})
        ]

    async def end(self, is_whole: bool) -> list[Out]:
        """The last event, with the output as it was released; nothing of a stream that broke off."""
        if not is_whole or not self._last:
            return [
                out for place in list(self._gates) if place[0] in self._items for out in await self._open_rest(place)
            ]
        end = self._last[0].data
        last = {**end, "response": {**self._told(), "output": await self._output()}, "sequence_number": self._next()}
        return [Out(last, as_word(end.get("type")), is_last=True)]

    async def _open_rest(self, place: Place) -> list[Out]:
        return await self._rest_of(place[0])

    async def _output(self) -> list[Json]:
        """Items that the end alone tells of are judged like an answer in one piece."""
        given = self._response.get("output")
        items = given if isinstance(given, list) else []
        for at in range(len(self._items), len(items)):
            if at not in self._items:
                self._items[at] = await self._judged_item(as_object(items[at], "an item"), self._judge)
        return [self._items[at] for at in sorted(self._items)]

    @property
    def has_ended(self) -> bool:
        """True once the upstream has sent the last event."""
        return bool(self._last)

    def _told(self) -> Json:
        return without_strays(self._response, RESPONSE, self._judge)

    def _out(self, data: Json, is_last: bool = False) -> Out:
        data = {key: part for key, part in data.items() if key in _INSIDE or not isinstance(part, dict | list)}
        if "sequence_number" in data:
            data = {**data, "sequence_number": self._next()}
        return Out(data, as_word(data.get("type")), is_last)

    def _next(self) -> int:
        self._number += 1
        return self._number - 1

    def logged(self) -> Logged:
        """What the items have come to; texts that have not ended count as far as they were released."""
        texts = {
            at: "".join(g.released for p, g in self._gates.items() if p[:2] == (at, "content")) for at in self._items
        }
        output = [
            {**item, "content": [{"type": "output_text", "text": texts[at]}]}
            if item.get("type") == "message" and not item.get("content")
            else item
            for at, item in sorted(self._items.items())
        ]
        return self._logged({**self._response, "output": output, "usage": usage_of(self._response)})


def _without_logprobs(data: Json, is_same: bool) -> Json:
    """Log-probabilities name tokens, also those that were held."""
    return data if is_same or "logprobs" not in data else {**data, "logprobs": []}


def _message_events(item: Json, where: Json) -> list[Json]:
    events: list[Json] = []
    for i, part in enumerate(item.get("content") or ()):
        place = {"item_id": item.get("id"), "content_index": i, **where}
        text: Any = part.get("text", "")
        events += [
            {"type": "response.content_part.added", "part": {**part, "text": ""}, **place},
            {"type": "response.output_text.delta", "delta": text, "logprobs": [], **place},
            {"type": "response.output_text.done", "text": text, "logprobs": [], **place},
            {"type": "response.content_part.done", "part": part, **place},
        ]
    return events


def _call_events(item: Json, where: Json, kind: str, key: str) -> list[Json]:
    place = {"item_id": item.get("id"), **where}
    delta = {"type": f"response.{kind}.delta", "delta": item[key], **place}
    done = {"type": f"response.{kind}.done", key: item[key], **place}
    return [delta, {**done, "name": item["name"]} if "name" in item else done]
