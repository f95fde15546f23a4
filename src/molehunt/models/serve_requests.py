"""What a client may ask of the server: OpenAI's request bodies, read strictly enough that nothing is passed over in silence."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from molehunt.errors import MolehuntError
from molehunt.models.loading import LoadedModel, context_length
from molehunt.records import Conversation

USUAL_LENGTH = 256
"""Tokens of a chat reply, where a request does not say and the context has room for them."""
_MOST_PROMPTS = 128
"""Prompts times replies of one request."""
_IDLE: dict[str, tuple[Any, ...]] = {
    "top_p": (1,), "top_k": (-1, 0), "min_p": (0,), "presence_penalty": (0,), "frequency_penalty": (0,),
    "repetition_penalty": (1,), "logit_bias": ({},), "best_of": (1,), "suffix": ("",), "echo": (False,), "tools": ([],),
    "functions": ([],), "tool_choice": ("none", "auto"), "function_call": ("none", "auto"), "modalities": (["text"],),
    "response_format": ({"type": "text"},), "ignore_eos": (False,), "min_tokens": (0,), "use_beam_search": (False,),
}  # fmt: skip
"""Fields that would change the reply and that we have not, with the values at which they change nothing."""


class RequestError(Exception):
    """A request that gets an error in place of an answer."""

    def __init__(self, status: int, message: str, code: str | None = None, param: str | None = None) -> None:
        self.status, self.message, self.code, self.param = status, message, code, param
        super().__init__(message)

    def body(self) -> dict[str, Any]:
        """In OpenAI's shape."""
        kind = "invalid_request_error" if self.status < 500 and self.status != 429 else "server_error"
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}


def _joined(content: Any) -> Any:
    """Content in parts as one text; parts that are no text are left, and refused."""
    is_text = isinstance(content, list) and all(isinstance(p, dict) and p.get("type") == "text" for p in content)
    return "".join(str(part.get("text", "")) for part in content) if is_text else content


class _Message(BaseModel):
    role: Annotated[
        Literal["system", "user", "assistant"], BeforeValidator(lambda r: "system" if r == "developer" else r)
    ]
    content: Annotated[str, BeforeValidator(_joined)]


class _StreamOptions(BaseModel):
    include_usage: bool = False


class _Asked(BaseModel):
    model_config = ConfigDict(extra="allow", allow_inf_nan=False)

    model: str = ""
    max_tokens: int | None = Field(None, ge=1, le=2**20)
    temperature: float = Field(1.0, ge=0, le=2)
    seed: int | None = Field(None, ge=-(2**63), lt=2**63)
    n: int = Field(1, ge=1, le=_MOST_PROMPTS)
    stop: Annotated[list[Annotated[str, Field(min_length=1)]], BeforeValidator(lambda s: [s] if isinstance(s, str) else s)] = (
        Field([], max_length=4)
    )  # fmt: skip
    stream: bool = False
    stream_options: _StreamOptions = _StreamOptions()

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, body: Any) -> Any:
        return {k: v for k, v in body.items() if v is not None} if isinstance(body, dict) else body

    @model_validator(mode="after")
    def _refuse_idle(self) -> Self:
        for name, value in (self.model_extra or {}).items():
            if name in _IDLE and value not in _IDLE[name]:
                raise RequestError(400, f"'{name}' is not supported by this server", "unsupported_parameter", name)
        return self


class ChatRequest(_Asked):
    """The body of `POST /v1/chat/completions`."""

    messages: list[_Message] = Field(min_length=1)
    max_completion_tokens: int | None = Field(None, ge=1, le=2**20)
    logprobs: bool = False
    top_logprobs: int = Field(0, ge=0, le=20)


class CompletionRequest(_Asked):
    """The body of `POST /v1/completions`; `add_special_tokens` is vLLM's."""

    prompt: str | list[int] | list[str] | list[list[int]]
    logprobs: int | None = Field(None, ge=0, le=20)
    add_special_tokens: bool = True


@dataclass(frozen=True)
class Ask:
    """What is to be written, whichever route it came by."""

    prompts: list[list[int]]
    """Token ids; each gets `n` replies."""
    limit: int
    """Tokens of a reply, at most."""
    temperature: float
    seed: int | None
    n: int
    stop: tuple[str, ...]
    top: int | None
    """Likeliest tokens named at each place; 0 gives the written ones' log-probabilities alone, None none at all."""
    stream: bool
    stream_usage: bool


def parsed(body: bytes, kind: type[_Asked]) -> Any:
    """The request in a body.

    Raises:
        RequestError: 400, naming the first field that is off.
    """
    try:
        found = json.loads(body)
        body.decode().encode()
    except (ValueError, RecursionError):
        raise RequestError(400, "the body is not JSON in UTF-8", "invalid_json") from None
    if not isinstance(found, dict):
        raise RequestError(400, "the body is not a JSON object", "invalid_json")
    if _has_halves(found):
        raise RequestError(400, "a text holds half of a surrogate pair", "invalid_text")
    try:
        return kind.model_validate(found)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"]))
        message = f"'{place}': {first['msg']}"
        raise RequestError(400, message, "invalid_value", str(first["loc"][0]) if first["loc"] else None) from None


def _has_halves(value: Any) -> bool:
    """JSON can spell surrogates that no text can hold."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


def chat_ask(request: ChatRequest, loaded: LoadedModel) -> Ask:
    """The prompt as `sample_replies` would make it.

    Raises:
        RequestError: 400 if the template refuses the messages, or the context has no room for them.
    """
    if request.messages[-1].role == "assistant":
        raise RequestError(400, "'messages' must end with the user's or a system message", "invalid_value", "messages")
    if request.top_logprobs and not request.logprobs:
        raise RequestError(400, "'top_logprobs' needs 'logprobs': true", "invalid_value", "top_logprobs")
    conversation = Conversation.of(*((message.role, message.content) for message in request.messages))
    try:
        prompts = loaded.chat.encode_texts([loaded.chat.render(conversation)])  # what strangers ask is not remembered
    except MolehuntError as error:
        raise RequestError(400, str(error), "invalid_value", "messages") from None
    limit = request.max_completion_tokens or request.max_tokens
    return _ask(request, prompts, limit, USUAL_LENGTH, request.top_logprobs if request.logprobs else None, loaded)


def completion_ask(request: CompletionRequest, loaded: LoadedModel) -> Ask:
    """The prompts as they are, with the tokenizer's own special tokens before a text unless those are declined.

    Raises:
        RequestError: 400 if a prompt is empty or too long, or holds ids that the model does not know.
    """
    given = request.prompt
    is_one = isinstance(given, str) or (len(given) > 0 and isinstance(given[0], int))
    several: Sequence[Any] = [given] if is_one else given
    special = request.add_special_tokens
    prompts = [
        list(loaded.tokenizer(one, add_special_tokens=special)["input_ids"]) if isinstance(one, str) else one
        for one in several
    ]
    known = loaded.model.get_input_embeddings().num_embeddings
    if any(not 0 <= token < known for prompt in prompts for token in prompt):
        raise RequestError(400, f"'prompt' holds token ids outside 0 to {known - 1}", "invalid_value", "prompt")
    return _ask(request, prompts, request.max_tokens, 16, request.logprobs, loaded)


def _ask(
    asked: _Asked, prompts: list[list[int]], limit: int | None, usual: int, top: int | None, loaded: LoadedModel
) -> Ask:
    if not prompts or not all(prompts):
        raise RequestError(400, "an empty prompt", "invalid_value", "prompt")
    if len(prompts) * asked.n > _MOST_PROMPTS:
        raise RequestError(400, f"more than {_MOST_PROMPTS} replies in one request", "invalid_value", "n")
    room, longest = context_length(loaded), max(map(len, prompts))
    if room is not None and longest + (limit or 1) > room:
        message = (
            f"This model's maximum context length is {room} tokens; the prompt has {longest} and the reply may have"
            f" {limit or 1}. Shorten the prompt, or ask for a shorter reply."
        )
        raise RequestError(400, message, "context_length_exceeded", "messages")
    return Ask(
        prompts, limit or min(usual, usual if room is None else room - longest), asked.temperature, asked.seed, asked.n,
        tuple(asked.stop), top, asked.stream, asked.stream_options.include_usage,
    )  # fmt: skip


def wrong_model(named: str, own: str) -> RequestError:
    """For a request that names another model than the one served."""
    return RequestError(404, f"The model '{named}' does not exist; this server has '{own}'", "model_not_found", "model")
