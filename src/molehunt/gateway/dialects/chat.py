"""/v1/chat/completions: messages, choices, tool_calls and the older function_call."""

from collections.abc import Iterator

from molehunt.gateway.dialects.base import (
    Joined,
    Json,
    Logged,
    as_list,
    as_object,
    as_word,
    strip_tools,
    text_calls,
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
    structured,
    with_notices,
)
from molehunt.gateway.dialects.chat_stream import ChatStream
from molehunt.gateway.judging import Asked, Judge
from molehunt.gateway.refusals import Refusal
from molehunt.logs import messages as log_messages


class Chat:
    """The dialect."""

    operation, has_done = "chat", True

    def check(self, body: Json) -> None:
        """`messages` must be a list of objects."""
        messages = body.get("messages")
        if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
            raise Refusal(400, "'messages' is not a list of objects", "invalid_value")

    def strip(self, body: Json, judge: Judge) -> Json:
        """Tools, functions and the server's own search."""
        body = strip_tools(body, judge, "tools", "tool_choice", ("parallel_tool_calls",))
        body = strip_tools(body, judge, "functions", "function_call")
        if body.get("web_search_options") is not None and not judge.may_offer("web_search", {"type": "web_search"}):
            body = {key: part for key, part in body.items() if key != "web_search_options"}
        return body

    def history(self, body: Json, with_text: bool) -> Iterator[Asked]:
        """Of all assistant messages."""
        for message in body["messages"]:
            if message.get("role") == "assistant":
                yield from (call for _, call in structured(message))
                content = message.get("content")
                yield from text_calls(content) if with_text and isinstance(content, str) else ()

    def asked(self, body: Json) -> tuple[list[Json], list[Json]]:
        """All of them are messages."""
        return log_messages.from_chat(body["messages"]), []

    async def whole(self, answer: Json, judge: Judge) -> Json:
        """Each choice's message, in order."""
        choices = [as_object(c, "a choice") for c in as_list(answer.get("choices"), "'choices'")]
        found = without_strays(answer, TOP, judge)
        return {**found, "choices": [await self._choice(choice, judge) for choice in choices]}

    async def _choice(self, choice: Json, judge: Judge) -> Json:
        message = without_strays(as_object(choice.get("message"), "a message"), MESSAGE, judge)
        for key in TEXTS:
            if message.get(key):
                message[key] = await judged_content(message[key], judge, Joined(judge).judged)
        message, notices = await judged_calls(message, judge)
        if notices:
            message["content"] = with_notices(message.get("content"), notices)
        rest = without_strays({k: v for k, v in choice.items() if k not in SAID}, CHOICE, judge)
        return {**rest, "message": message, **finish_of(choice, message)}

    def logged(self, answer: Json) -> Logged:
        """One message a choice."""
        choices = answer["choices"]
        finishes = [as_word(choice.get("finish_reason")) for choice in choices]
        said = [
            log_messages.from_chat_message(choice.get("message", {}), finish)
            for choice, finish in zip(choices, finishes, strict=True)
        ]
        return Logged(said, finishes, usage_of(answer), as_word(answer.get("id")), as_word(answer.get("model")))

    def stream(self, judge: Judge) -> ChatStream:
        """A filter of chunks."""
        return ChatStream(self.logged, judge)
