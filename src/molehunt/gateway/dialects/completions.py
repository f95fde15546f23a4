"""/v1/completions: texts that go on; calls can stand in the text alone."""

from collections.abc import Iterator
from typing import Any

from molehunt.gateway.dialects.base import (
    Garbage,
    Json,
    Logged,
    Out,
    TextGate,
    as_list,
    as_object,
    as_word,
    judged_text,
    place_of,
    strip_tools,
    usage_of,
    without_strays,
)
from molehunt.gateway.judging import Asked, Judge
from molehunt.gateway.refusals import Refusal
from molehunt.logs.messages import text_message

_TOP = ("id", "object", "created", "model", "choices", "usage", "system_fingerprint")
_CHOICE = ("index", "text", "finish_reason", "logprobs")


def _text_of(choice: Json) -> str | None:
    """The text of a choice, None without one. Raises Garbage for what is none: nobody can judge what clients make of it."""
    text = choice.get("text")
    if text is not None and not isinstance(text, str):
        raise Garbage("'text' is no text")
    return text


class Completions:
    """The dialect."""

    operation, has_done = "text_completion", True

    def check(self, body: Json) -> None:
        """There must be a prompt."""
        if body.get("prompt") is None:
            raise Refusal(400, "'prompt' is missing", "invalid_value")

    def strip(self, body: Json, judge: Judge) -> Json:
        """The API knows no tools; a server that does gets the permitted ones."""
        return strip_tools(body, judge, "tools", "tool_choice")

    def history(self, body: Json, with_text: bool) -> Iterator[Asked]:
        """A prompt does not say who wrote what."""
        return iter(())

    def asked(self, body: Json) -> tuple[list[Json], list[Json]]:
        """One message a prompt."""
        prompt = body["prompt"]
        several = (
            prompt if isinstance(prompt, list) and all(isinstance(one, str | list) for one in prompt) else [prompt]
        )
        return [text_message("user", one if isinstance(one, str) else str(one)) for one in several], []

    async def whole(self, answer: Json, judge: Judge) -> Json:
        """Each choice's text."""
        choices = [as_object(c, "a choice") for c in as_list(answer.get("choices"), "'choices'")]
        found = without_strays(answer, _TOP, judge)
        return {**found, "choices": [await self._choice(choice, judge) for choice in choices]}

    async def _choice(self, choice: Json, judge: Judge) -> Json:
        text = _text_of(choice)
        if text is None:
            return without_strays(choice, _CHOICE, judge)
        passed = await judged_text(text, judge)
        return without_strays({**choice, "text": passed}, _CHOICE if passed == text else _CHOICE[:3], judge)

    def logged(self, answer: Json) -> Logged:
        """One message a choice."""
        finishes = [as_word(choice.get("finish_reason")) for choice in answer["choices"]]
        said = [
            {**text_message("assistant", as_word(choice.get("text"))), "finish_reason": finish}
            for choice, finish in zip(answer["choices"], finishes, strict=True)
        ]
        return Logged(said, finishes, usage_of(answer), as_word(answer.get("id")), as_word(answer.get("model")))

    def stream(self, judge: Judge) -> "CompletionStream":
        """A filter of chunks."""
        return CompletionStream(self, judge)


class CompletionStream:
    """Chunks of a stream."""

    def __init__(self, dialect: Completions, judge: Judge) -> None:
        self._dialect, self._judge = dialect, judge
        self._gates: dict[int, TextGate] = {}
        self._finishes: dict[int, Any] = {}
        self._head: Json = {}
        self._usage: Json = {}
        self._last: list[Out] = []

    async def feed(self, data: Json) -> list[Out]:
        """A chunk's texts; finishes and the count of tokens wait for the end."""
        if data.get("choices") is None and "error" in data:
            return [Out({"error": data["error"]}, is_last=True)]
        chunk = without_strays(data, _TOP, self._judge)
        self._head = self._head or {k: v for k, v in chunk.items() if k not in ("choices", "usage")}
        self._usage = usage_of(data) or self._usage
        choices = [as_object(c, "a choice") for c in as_list(data.get("choices"), "'choices'")]
        if usage_of(data) and not choices:
            self._last.append(Out(chunk, is_last=True))
        return [out for choice in choices for out in await self._choice(chunk, choice)]

    async def _choice(self, chunk: Json, choice: Json) -> list[Out]:
        index = place_of(choice, "index")
        gate = self._gates.get(index) or self._gates.setdefault(index, TextGate(self._judge))
        text = _text_of(choice) or ""
        passed = await gate.feed(text)
        if isinstance(choice.get("finish_reason"), str):
            self._finishes[index] = choice["finish_reason"]
        if not passed:
            return []
        known = without_strays(
            {k: v for k, v in choice.items() if k != "logprobs" or passed == text}, _CHOICE, self._judge
        )
        return [Out({**chunk, "choices": [{**known, "text": passed, "finish_reason": None}]})]

    @property
    def has_ended(self) -> bool:
        """True once every choice has its finish."""
        return bool(self._gates) and self._gates.keys() <= self._finishes.keys()

    async def end(self, is_whole: bool) -> list[Out]:
        """The rest of every text, its finish, and the count of tokens."""
        out: list[Out] = []
        for index, gate in sorted(self._gates.items()):
            if text := await gate.end():
                out.append(self._chunk(index, text, None, is_last=False))
            if is_whole:
                out.append(self._chunk(index, "", self._finishes.get(index), is_last=True))
        return out + (self._last if is_whole else [])

    def _chunk(self, index: int, text: str, finish: Any, is_last: bool) -> Out:
        choice = {"index": index, "text": text, "logprobs": None, "finish_reason": finish}
        return Out({**self._head, "choices": [choice]}, is_last=is_last)

    def logged(self) -> Logged:
        """What the texts have come to."""
        choices = [
            {"text": gate.released, "finish_reason": self._finishes.get(index)}
            for index, gate in sorted(self._gates.items())
        ]
        return self._dialect.logged({**self._head, "choices": choices, "usage": self._usage})
