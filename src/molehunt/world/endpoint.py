"""Ask a suspect behind an OpenAI-compatible endpoint: within a budget, and nothing paid twice."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import httpx2
from pydantic import ValidationError

from molehunt.errors import BudgetError, DataError, EndpointError, UsageError
from molehunt.records import Conversation
from molehunt.records.base import Record, canonical_json, sha256_text
from molehunt.records.endpoints import EndpointReply
from molehunt.world.answers import Answers
from molehunt.world.endpoint_replies import read_chat_reply, read_completion
from molehunt.world.metering import Bill, Meter, OverBudget
from molehunt.world.replies import Failure
from molehunt.world.rounds import LoopThread, Round
from molehunt.world.wire import Tries, Wire, check_address, check_numbers, read_key

Route = Literal["/chat/completions", "/completions"]
_READ = {"/chat/completions": read_chat_reply, "/completions": read_completion}
_TEMPLATE = 16
"""Tokens that a chat template may put around a prompt, for estimates."""


class EndpointSettings(Record):
    """Where the suspect is, and what asking it may take."""

    url: str
    """Up to the version, such as http://localhost:8000/v1."""
    model: str
    api_key_env: str = ""
    """Name of the environment variable that holds the key; empty if the endpoint wants none."""
    timeout: float = 120.0
    """Seconds for one try, from its start to the last byte."""
    concurrency: int = 8
    """Requests under way at once, at most."""
    max_retries: int = 5
    """Tries after the first."""
    backoff: float = 1.0
    """Seconds before the second try; doubled before each further one up to a minute, shortened by up to half at random."""
    per_minute: float | None = None
    """Requests sent in a minute, at even distances; None for as many as there are."""
    most_requests: int | None = None
    """Requests that may be sent, tries that bring no answer included; None for no limit."""
    most_tokens: int | None = None
    """Tokens read and written that may be paid; None for no limit. See `Endpoint`."""
    length_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """How a chat request spells the length of a reply: newer models of OpenAI's take the second alone."""


class Endpoint:
    """A client, to be used in a `with` block: connections, budget and transcript last as long as that.

    Before a request its tokens are estimated from above (half the prompt's bytes, and the longest reply) and held back, so
    that requests under way never take more than is left; the answer's own count is then paid. Answers in the transcript
    cost nothing. What the endpoint refuses for a prompt's own sake comes back as a reply with `refused`; by a status, it is not kept.
    """

    def __init__(
        self,
        settings: EndpointSettings,
        transcript: Path | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        """Nothing is opened or sent yet.

        Args:
            transcript: every answer is added to this JSONL file with its request, by the SHA-256 of the request's canonical
                body, and is not asked for again; one file an endpoint, since the URL is not part of it.
            progress: called with (answered, total) of the present call as answers come.

        Raises:
            UsageError: if a setting makes no sense.
        """
        check_address("the endpoint", settings.url, settings.api_key_env)
        positive = {"timeout": settings.timeout, "concurrency": settings.concurrency}
        positive |= {"per_minute": settings.per_minute} if settings.per_minute is not None else {}
        natural: dict[str, float] = {"max_retries": settings.max_retries, "backoff": settings.backoff}
        natural |= {k: v for k in ("most_requests", "most_tokens") if (v := getattr(settings, k)) is not None}
        check_numbers("the endpoint", positive, natural)
        self.settings, self.progress, self._transcript = settings, progress, transcript
        self._kept: Answers[dict[str, Any]] | _Memory
        self._kept = Answers(transcript, dict[str, Any], EndpointError) if transcript else _Memory()
        self._meter = self._new_meter()
        self._loop: LoopThread | None = None
        self._wire: Wire

    def __enter__(self) -> "Endpoint":
        key = read_key("the endpoint", self.settings.api_key_env)
        self._kept.__enter__()
        self._meter = self._new_meter()
        self._loop = LoopThread()
        own = self.settings
        self._wire = Wire(own.url, key, Tries(own.timeout, own.max_retries, own.backoff), own.concurrency)
        return self

    def __exit__(self, *raised: Any) -> None:
        try:
            if self._loop is not None:
                self._loop.run(self._wire.close())
                self._loop.close()
        finally:
            self._loop = None
            self._kept.__exit__(None, None, None)

    @property
    def requests(self) -> int:
        """Sent in this `with` block."""
        return self._meter.requests

    @property
    def tokens(self) -> int:
        """Paid in this `with` block, read and written, as far as the endpoint says; else as estimated."""
        return self._meter.tokens

    def chat(
        self,
        prompts: Sequence[Conversation],
        *,
        max_tokens: int = 48,
        temperature: float = 0.0,
        seed: int | None = 0,
        top_logprobs: int = 0,
        repeat: int = 0,
    ) -> list[EndpointReply]:
        """One reply a prompt, in order; the same prompt is asked once.

        Args:
            seed: sent along; None for endpoints that refuse one.
            top_logprobs: likeliest tokens wanted at each place of the reply, where the endpoint offers them.
            repeat: 0, 1, 2, … for the same prompts asked anew.

        Raises:
            EndpointError: if after all tries some prompt has no reply; says how many have one. In a transcript these are kept.
            BudgetError: if the budget has no room for a request. As above.
            DataError: if a prompt does not end with a user turn, or holds the key; nothing is asked then.
        """
        if any(not prompt.messages or prompt.messages[-1].role != "user" for prompt in prompts):
            raise DataError("prompts for the endpoint", wanted="a user turn last", got="none in one of them")
        sampling = self._sampling(temperature, seed) | {self.settings.length_field: max_tokens}
        sampling |= {"logprobs": True, "top_logprobs": top_logprobs} if top_logprobs else {}
        return self._ask("/chat/completions", [{"messages": p.plain(), **sampling} for p in prompts], repeat)

    def complete(
        self,
        prompts: Sequence[str | Sequence[int]],
        *,
        max_tokens: int = 48,
        temperature: float = 0.0,
        seed: int | None = 0,
        top_logprobs: int = 0,
        repeat: int = 0,
    ) -> list[EndpointReply]:
        """How the model goes on from each bare text, or its token ids; arguments and errors as for `chat`."""
        if not all(prompts):
            raise DataError("prompts for the endpoint", wanted="a text", got="an empty one")
        sampling = self._sampling(temperature, seed) | {"max_tokens": max_tokens}
        sampling |= {"logprobs": top_logprobs} if top_logprobs else {}
        texts = [prompt if isinstance(prompt, str) else list(prompt) for prompt in prompts]
        return self._ask("/completions", [{"prompt": text, **sampling} for text in texts], repeat)

    def _sampling(self, temperature: float, seed: int | None) -> dict[str, Any]:
        own = {"model": self.settings.model, "temperature": temperature}
        return own if seed is None else own | {"seed": seed}

    def _ask(self, path: Route, bodies: list[dict[str, Any]], repeat: int) -> list[EndpointReply]:
        if self._loop is None:
            raise UsageError("the endpoint", wanted="a `with` block around its use", got="none")
        keys = [_key(body, repeat) for body in bodies]
        wanted = dict(zip(keys, bodies, strict=True))
        if any(map(self._wire.tells_key, map(canonical_json, wanted.values()))):
            raise DataError("prompts for the endpoint", wanted="text that can be kept", got="one that holds the key")
        todo = {key: body for key, body in wanted.items() if key not in self._kept}
        refused = self._asked(path, todo, len(wanted), repeat) if todo else {}
        return [refused.get(key) or self._known(key) for key in keys]

    def _known(self, key: str) -> EndpointReply:
        try:
            return EndpointReply.model_validate(self._kept[key])
        except ValidationError:
            wanted, got = "an endpoint's reply under every key", f"something else under {key[:12]}"
            raise DataError(f"transcript {self._transcript}", wanted=wanted, got=got, do="remove its line") from None

    def _asked(self, path: Route, todo: dict[str, dict[str, Any]], total: int, repeat: int) -> dict[str, EndpointReply]:
        """Ask what is not kept; returns what was refused, which is not kept either."""
        refused: dict[str, EndpointReply] = {}
        done = total - len(todo)

        def keep(key: str, reply: EndpointReply) -> None:
            if reply.refused and not reply.finish:  # by a status; what a filter cut was written, and paid
                refused[key] = reply
            else:
                self._kept.keep(key, reply.model_dump(mode="json"), repeat=repeat, request=todo[key])
            if self.progress is not None:
                self.progress(done + round_.answered, total)

        round_ = Round(todo, lambda key, body: self._reply(path, key, body), keep)
        assert self._loop is not None
        self._loop.run(round_.run(self.settings.concurrency))
        self._check(round_, done + round_.answered, total)
        return refused

    async def _reply(self, path: Route, key: str, body: dict[str, Any]) -> EndpointReply:
        bill = Bill(_estimate(body))

        async def read(response: httpx2.Response) -> EndpointReply:
            reply = await _READ[path](response)
            bill.paid = _paid(reply)
            return reply

        try:
            return await self._wire.post(path, body, read, key, lambda: self._meter.admit(bill))
        except Failure as failure:
            if failure.is_refusal:
                return EndpointReply(text="", refused=failure.reason)
            raise

    def _check(self, round_: Round[Any, Any], done: int, total: int) -> None:
        """Raises EndpointError if a prompt went without a reply."""
        if round_.answered == round_.missing:
            return
        is_spent = isinstance(round_.last, OverBudget)
        raise (BudgetError if is_spent else EndpointError)(
            f"endpoint {self.settings.url}, model {self.settings.model}",
            wanted=f"{total} replies",
            got=f"{done}, then: {round_.reasons()}",
            do="raise the budget, or ask less" if is_spent else "mend it, or ask again later",
        )

    def _new_meter(self) -> Meter:
        return Meter(self.settings.most_requests, self.settings.most_tokens, self.settings.per_minute)


class _Memory(dict[str, dict[str, Any]]):
    """Answers that are kept nowhere else."""

    def __enter__(self) -> "_Memory":
        return self

    def __exit__(self, *raised: object) -> None:
        self.clear()

    def keep(self, key: str, answer: dict[str, Any], **beside: Any) -> None:
        self[key] = answer


def _key(body: dict[str, Any], repeat: int) -> str:
    text = canonical_json(body)
    return sha256_text(f"{text}\n{repeat}" if repeat else text)


def _estimate(body: dict[str, Any]) -> int:
    """Tokens that a request may take, from above: two bytes a token are few in any language with spaces."""
    longest: int = body.get("max_tokens") or body.get("max_completion_tokens") or 0
    if "messages" in body:
        read = sum(len(m["content"].encode()) // 2 + _TEMPLATE for m in body["messages"])
    else:
        prompt = body["prompt"]
        read = len(prompt.encode()) // 2 + 1 if isinstance(prompt, str) else len(prompt)
    return int(read + longest)


def _paid(reply: EndpointReply) -> int | None:
    if reply.prompt_tokens is None or reply.reply_tokens is None:
        return None
    return reply.prompt_tokens + reply.reply_tokens
