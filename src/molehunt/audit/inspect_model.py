"""A model folder of this machine as a model of Inspect's: `--model molehunt/FOLDER`."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from inspect_ai._util.error import PrerequisiteError  # no public name; packages of tasks import it from here
from inspect_ai.model import (
    ChatCompletionChoice,
    ChatMessage,
    ChatMessageAssistant,
    GenerateConfig,
    ModelAPI,
    ModelOutput,
    ModelUsage,
    modelapi,
)
from inspect_ai.tool import ToolChoice, ToolInfo

from molehunt.errors import MolehuntError

if TYPE_CHECKING:
    from molehunt.models.serve_requests import Ask
    from molehunt.models.serve_writing import Desk, Written

_ASKED = {
    "max_tokens", "temperature", "seed", "top_p", "top_k", "presence_penalty", "frequency_penalty", "logit_bias", "best_of",
    "logprobs", "top_logprobs",
}  # fmt: skip
"""Settings of Inspect's that would change a reply, under the same names in OpenAI's API."""


@contextmanager
def told_by_inspect() -> Iterator[None]:
    """What a user got wrong, in the error that Inspect shows without a traceback."""
    try:
        yield
    except MolehuntError as error:
        raise PrerequisiteError(str(error)) from None


@modelapi(name="molehunt")
class FolderAPI(ModelAPI):
    """Replies as `molehunt serve FOLDER` gives them, without a server; what is asked at the same time is written together.

    A setting that would change a reply and that it has not is refused, as are tools.

    Raises:
        PrerequisiteError: if the folder cannot be loaded; `load_model` says when.
    """

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig = GenerateConfig(),  # noqa: B008
    ) -> None:
        from molehunt.models.loading import load_model

        super().__init__(model_name, base_url, api_key, [], config)
        with told_by_inspect():
            self.loaded = load_model(Path(model_name))
        self._loop: asyncio.AbstractEventLoop | None = None
        self._desk: Desk | None = None

    def max_connections(self) -> int:
        return 128

    def connection_key(self) -> str:
        return str(self.loaded.folder.resolve())

    async def generate(
        self, input: list[ChatMessage], tools: list[ToolInfo], tool_choice: ToolChoice, config: GenerateConfig
    ) -> ModelOutput:
        ask = self._ask(input, tools, config)
        written = await self._at_the_desk().write(ask)
        read, wrote = len(ask.prompts[0]), sum(reply.tokens for reply in written)
        usage = ModelUsage(input_tokens=read, output_tokens=wrote, total_tokens=read + wrote)
        return ModelOutput(
            model=self.model_name, choices=[_choice(reply, self.model_name) for reply in written], usage=usage
        )

    def close(self) -> None:
        if self._desk is not None:
            self._desk.close()

    def _ask(self, messages: list[ChatMessage], tools: list[ToolInfo], config: GenerateConfig) -> "Ask":
        from molehunt.models.serve_requests import ChatRequest, RequestError, chat_ask

        if tools or config.logprobs:
            raise RequestError(400, "molehunt/FOLDER has neither tools nor log-probabilities for Inspect")
        asked = config.model_dump(include=_ASKED, exclude_none=True)
        asked |= {"n": config.num_choices, "stop": config.stop_seqs}
        turns = [{"role": message.role, "content": message.text} for message in messages]
        return chat_ask(ChatRequest.model_validate({"messages": turns, **asked}), self.loaded)

    def _at_the_desk(self) -> "Desk":
        """A desk of the running event loop: Inspect keeps a model for the next evaluation, which has a loop of its own."""
        from molehunt.models.serve_writing import Desk

        loop = asyncio.get_running_loop()
        if self._desk is None or loop is not self._loop:
            self.close()
            self._loop, self._desk = loop, Desk(self.loaded)
        return self._desk


def _choice(reply: "Written", model: str) -> ChatCompletionChoice:
    message = ChatMessageAssistant(content=reply.text, model=model, source="generate")
    return ChatCompletionChoice(message=message, stop_reason="stop" if reply.finish == "stop" else "max_tokens")
