"""Ask another model, behind any OpenAI-compatible endpoint, many prompts at once."""

import asyncio
import math
import os
import random
import re
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from molehunt.errors import DataError, TeacherError, UsageError
from molehunt.records import Conversation
from molehunt.records.base import canonical_json, sha256_text
from molehunt.world.answers import Answers
from molehunt.world.replies import PATIENCE, Failure, read_answer

Answerer = Callable[[Sequence[Conversation]], list[str]]
"""Whatever answers prompts in order: `Teacher.ask`, or the sampler of a local model."""

_URL = re.compile(r"https?://[^/?#@\s]+(/[^?#@\s]*)?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LONGEST_WAIT = 60.0
_KEY_LENGTH = 12
"""Shorter keys are words like EMPTY, for servers that want none; an answer may hold them."""
_SHOWN = 200
_FEW_FAILED = 8
"""Prompts that may fail before we ask whether most do."""


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
        if not _URL.fullmatch(self.url):
            wanted = "http(s)://host/path, without user, key or query in it"
            raise UsageError("the teacher's URL", wanted=wanted, got="something else", do="give the address up to /v1")
        if self.api_key_env and not _VARIABLE.fullmatch(self.api_key_env):
            wanted = "the name of an environment variable"
            raise UsageError("the teacher's key", wanted=wanted, got="something else", do="export the key, name that")
        measures = (self.timeout, self.temperature, self.backoff)
        is_low = min(self.concurrency, self.max_tokens) < 1 or min(self.max_retries, *measures) < 0 or not self.timeout
        if is_low or not all(map(math.isfinite, measures)):
            names = ("concurrency", "max_tokens", "timeout", "max_retries", "temperature", "backoff")
            got = ", ".join(f"{name} {getattr(self, name)}" for name in names)
            raise UsageError("the teacher's settings", wanted="the first three above 0, the others from 0", got=got)

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
        with Answers(self.cache) as kept:
            wanted = dict(zip(keys, conversations, strict=True))
            todo = {key: prompt for key, prompt in wanted.items() if key not in kept}
            if todo:
                round_ = _Round(self, kept, todo, len(wanted))
                _finish(round_.run())
                round_.check()
            return [kept[key] for key in keys]

    def _body(self, prompt: Conversation) -> dict[str, Any]:
        seed = {} if self.seed is None else {"seed": self.seed}
        sampling = {"temperature": self.temperature, "max_tokens": self.max_tokens, **seed}
        return {"model": self.model, "messages": prompt.plain(), **sampling}

    def _key(self, prompt: Conversation) -> str:
        return sha256_text(canonical_json(self._body(prompt)))

    def _secret(self) -> str:
        if not self.api_key_env:
            return ""
        secret = os.environ.get(self.api_key_env, "").strip()
        if not secret or not secret.isascii() or not secret.isprintable():
            got = "characters that no key has" if secret else "nothing"
            raise UsageError(f"environment variable {self.api_key_env}", wanted="the teacher's key", got=got)
        return secret


class _Round:
    """The prompts of one call that have no answer yet, asked by `concurrency` workers."""

    def __init__(self, teacher: Teacher, kept: Answers, todo: dict[str, Conversation], total: int) -> None:
        self.teacher, self.kept, self.total = teacher, kept, total
        self.left: Iterator[tuple[str, Conversation]] = iter(todo.items())
        self.missing = len(todo)
        self.answered = 0
        self.failures: Counter[str] = Counter()
        self.is_over = False
        self._secret = teacher._secret()

    async def run(self) -> None:
        teacher = self.teacher
        headers = {"Accept-Encoding": "identity"}  # a body that swells when unpacked is none we want
        if self._secret:
            headers["Authorization"] = f"Bearer {self._secret}"
        limits = httpx2.Limits(max_connections=teacher.concurrency, max_keepalive_connections=teacher.concurrency)
        async with httpx2.AsyncClient(headers=headers, timeout=teacher.timeout, limits=limits) as client:
            self._report()
            await asyncio.gather(*(self._work(client) for _ in range(min(teacher.concurrency, self.missing))))

    def check(self) -> None:
        """Raises TeacherError if a prompt went without an answer."""
        if self.answered == self.missing:
            return
        done, teacher = self.total - self.missing + self.answered, self.teacher
        reasons = "; ".join(f"{reason} ({count} prompts)" for reason, count in self.failures.most_common(3))
        raise TeacherError(
            f"teacher {teacher.model} at {teacher.url}",
            wanted=f"{self.total} answers",
            got=f"{done}, then after up to {teacher.max_retries + 1} tries each: {reasons}",
            do=f"mend it and run again: the {done} answers are kept in {teacher.cache} and not asked again",
        )

    async def _work(self, client: httpx2.AsyncClient) -> None:
        for key, prompt in self.left:
            try:
                answer = await self._answer(client, key, prompt)
            except Failure as failure:
                self.failures[self._hide(failure.reason)] += 1
                failed = self.failures.total()
                self.is_over |= failure.fatal or (failed >= _FEW_FAILED and failed > self.answered)
            else:
                self.kept.keep(key, self.teacher.model, answer)
                self.answered += 1
                self._report()
            if self.is_over:
                return

    async def _answer(self, client: httpx2.AsyncClient, key: str, prompt: Conversation) -> str:
        chance = random.Random(key)
        for tries in range(self.teacher.max_retries + 1):
            try:
                return await self._once(client, prompt)
            except Failure as failure:
                if not failure.again or tries == self.teacher.max_retries:
                    raise
                pause = min(self.teacher.backoff * 2**tries, _LONGEST_WAIT) * chance.uniform(0.5, 1)
                await asyncio.sleep(max(pause, min(failure.wait, PATIENCE)))
        raise AssertionError("unreachable")

    async def _once(self, client: httpx2.AsyncClient, prompt: Conversation) -> str:
        url = f"{self.teacher.url.rstrip('/')}/chat/completions"
        try:
            async with asyncio.timeout(self.teacher.timeout):
                async with client.stream("POST", url, json=self.teacher._body(prompt)) as response:
                    answer = await read_answer(response)
        except (TimeoutError, httpx2.TimeoutException):
            raise Failure(f"no whole answer within {self.teacher.timeout:g} s") from None
        except httpx2.ConnectError as error:
            raise Failure(f"no connection: {error}", fatal=True) from None
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise Failure(f"a broken connection: {type(error).__name__} {error}") from None
        if len(self._secret) >= _KEY_LENGTH and self._secret in answer:
            raise Failure("an answer that holds the key")
        return answer

    def _hide(self, text: str) -> str:
        """The text without the key, cut only then."""
        return (text.replace(self._secret, "***") if self._secret else text)[:_SHOWN]

    def _report(self) -> None:
        if self.teacher.progress is not None:
            self.teacher.progress(self.total - self.missing + self.answered, self.total)


def _finish(work: Coroutine[Any, Any, None]) -> None:
    """Run to the end, also where a loop runs already, as in a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(work)
    else:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(asyncio.run, work).result()
