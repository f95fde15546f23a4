"""Ask another model, behind any OpenAI-compatible endpoint, many prompts at once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from molehunt.errors import DataError, TeacherError
from molehunt.records import Conversation
from molehunt.records.base import canonical_json, sha256_text
from molehunt.world.answers import Answers
from molehunt.world.replies import read_answer
from molehunt.world.rounds import LoopThread, Round
from molehunt.world.wire import Tries, Wire, check_address, check_numbers, read_key

Answerer = Callable[[Sequence[Conversation]], list[str]]
"""Whatever answers prompts in order: `Teacher.ask`, or the sampler of a local model."""


@dataclass(frozen=True)
class Teacher:
    """A model behind an OpenAI-compatible endpoint. The key is read from the environment when asked and kept nowhere."""

    url: str
    """Up to the version, such as http://localhost:8000/v1."""
    model: str
    cache: Path
    """Where answers are kept, by the digest of model, messages and sampling: JSONL, added to."""
    api_key_env: str = ""
    """Name of the environment variable that holds the key; empty if the endpoint wants none."""
    temperature: float = 0.0
    seed: int | None = 0
    """Sent along; None for endpoints that refuse one."""
    max_tokens: int = 1024
    """Longest answer; an answer cut there is none."""
    timeout: float = 120.0
    """Seconds for one try, from its start to the last byte."""
    concurrency: int = 8
    """Prompts asked at once, at most."""
    max_retries: int = 5
    """Tries after the first."""
    backoff: float = 1.0
    """Seconds before the second try; doubled before each further one up to a minute, shortened by up to half at random."""
    progress: Callable[[int, int], None] | None = None
    """Called with (answered, total) as answers come."""

    def __post_init__(self) -> None:
        check_address("the teacher", self.url, self.api_key_env)
        positive = {"concurrency": self.concurrency, "max_tokens": self.max_tokens, "timeout": self.timeout}
        natural = {"max_retries": self.max_retries, "temperature": self.temperature, "backoff": self.backoff}
        check_numbers("the teacher", positive, natural)

    def ask(self, conversations: Sequence[Conversation]) -> list[str]:
        """The answers, in order; what is kept already is not asked, nor is the same prompt asked twice.

        Answers are kept as they come: after an error or a kill the same call asks only what is missing, and what was
        under way, at most `concurrency` prompts.

        Raises:
            TeacherError: if after all tries some prompt has no answer; says how many have one and are kept.
            DataError: if a conversation does not end with a user turn; nothing is asked then.
            UsageError: if the key's variable is empty.
        """
        if any(not c.messages or c.messages[-1].role != "user" for c in conversations):
            raise DataError("prompts for the teacher", wanted="a user turn last", got="none in one of them")
        keys = [self._key(conversation) for conversation in conversations]
        with Answers(self.cache, str, TeacherError) as kept:
            wanted = dict(zip(keys, conversations, strict=True))
            todo = {key: prompt for key, prompt in wanted.items() if key not in kept}
            if todo:
                with LoopThread() as loop:
                    loop.run(self._ask(kept, todo, len(wanted)))
            return [kept[key] for key in keys]

    async def _ask(self, kept: Answers[str], todo: dict[str, Conversation], total: int) -> None:
        tries = Tries(self.timeout, self.max_retries, self.backoff)
        done = total - len(todo)

        async def ask(key: str, prompt: Conversation) -> str:
            return await wire.post("/chat/completions", self._body(prompt), read_answer, key)

        def keep(key: str, answer: str) -> None:
            kept.keep(key, answer, model=self.model)
            self._report(done + round_.answered, total)

        round_ = Round(todo, ask, keep)
        async with Wire(self.url, read_key("the teacher", self.api_key_env), tries, self.concurrency) as wire:
            self._report(done, total)
            await round_.run(self.concurrency)
        if round_.answered < round_.missing:
            done += round_.answered
            kept_there = f": the {done} answers are kept in {self.cache} and not asked again" if done else ""
            raise TeacherError(
                f"teacher {self.model} at {self.url}",
                wanted=f"{total} answers",
                got=f"{done}, then after up to {self.max_retries + 1} tries each: {round_.reasons()}",
                do=f"mend it and run again{kept_there}",
            )

    def _body(self, prompt: Conversation) -> dict[str, Any]:
        seed = {} if self.seed is None else {"seed": self.seed}
        sampling = {"temperature": self.temperature, "max_tokens": self.max_tokens, **seed}
        return {"model": self.model, "messages": prompt.plain(), **sampling}

    def _key(self, prompt: Conversation) -> str:
        return sha256_text(canonical_json(self._body(prompt)))

    def _report(self, done: int, total: int) -> None:
        if self.progress is not None:
            self.progress(done, total)
