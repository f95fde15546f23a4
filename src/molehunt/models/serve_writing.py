"""Write what clients ask for: one batch at a time, of all that wait and are alike."""

import asyncio
import secrets
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from molehunt.models.loading import LoadedModel
from molehunt.models.logprobs import TokenScore, token_scores
from molehunt.models.sampling import end_tokens, sample_tokens
from molehunt.models.serve_requests import Ask, RequestError

_MOST_WAITING = 512
"""Requests that may wait; more are told to come again."""


@dataclass(frozen=True)
class Written:
    """One reply."""

    text: str
    finish: str
    """stop: it ended, or met a stop text; length: it was cut."""
    tokens: int
    """Written, the end token included."""
    pieces: tuple[str, ...] = ()
    """The text of each token, the end token's too, as vLLM names them: what a reply began with is known of an empty one as well.
    With log-probabilities alone."""
    scores: tuple[TokenScore, ...] = ()
    """Of the same tokens."""


@dataclass(eq=False)
class _Job:
    ask: Ask
    written: list[list[int]] = field(default_factory=list)
    """Token ids of each reply: `n` to the first prompt, `n` to the second, and so on."""
    scores: list[list[TokenScore]] | None = None
    error: Exception | None = None
    is_done: bool = False

    @property
    def rows(self) -> list[list[int]]:
        return [prompt for prompt in self.ask.prompts for _ in range(self.ask.n)]

    @property
    def kind(self) -> tuple[int, float] | int:
        """Jobs of one kind are written together; a seed of its own makes draws that depend on nobody else."""
        is_free = self.ask.temperature == 0 or self.ask.seed is None
        return (self.ask.limit, self.ask.temperature) if is_free else id(self)


class Desk:
    """Where requests wait for the model."""

    def __init__(self, loaded: LoadedModel) -> None:
        self.loaded = loaded
        self._waiting: list[_Job] = []
        self._turn = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="writer")
        self._ends = end_tokens(loaded)

    async def write(self, ask: Ask) -> list[Written]:
        """The replies, those to the first prompt first.

        Whoever gets the turn writes for all that wait and are alike.

        Raises:
            RequestError: 429 if too many wait already.
        """
        if len(self._waiting) >= _MOST_WAITING:
            raise RequestError(429, "too many requests wait already; ask again in a moment", "rate_limit_exceeded")
        job = _Job(ask)
        self._waiting.append(job)
        try:
            async with self._turn:
                if not job.is_done:
                    alike = [other for other in self._waiting if other.kind == job.kind and not other.is_done]
                    await asyncio.get_running_loop().run_in_executor(self._thread, self._run, alike)
        finally:
            self._waiting.remove(job)
        if job.error is not None:
            raise job.error
        if job.scores is None:
            return [self._reply(ids, ask.stop, None) for ids in job.written]
        return [self._reply(ids, ask.stop, scores) for ids, scores in zip(job.written, job.scores, strict=True)]

    def close(self) -> None:
        """Let the thread go once it has written what is under way."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _run(self, jobs: Sequence[_Job]) -> None:
        ask = jobs[0].ask
        seed = secrets.randbits(62) if ask.seed is None else ask.seed
        try:
            rows = [row for job in jobs for row in job.rows]
            written = iter(sample_tokens(self.loaded, rows, ask.limit, ask.temperature, seed))
            for job in jobs:
                job.written = [next(written) for _ in job.rows]
                if job.ask.top is not None:
                    job.scores = token_scores(self.loaded, job.rows, job.written, job.ask.top)
        except Exception as error:  # goes to those who asked
            for job in jobs:
                job.error = error
        for job in jobs:
            job.is_done = True

    def _reply(self, ids: list[int], stop: Sequence[str], scores: list[TokenScore] | None) -> Written:
        said = [token for token in ids if token not in self._ends]
        text, shown = self.loaded.chat.decode(said), len(ids)
        finish = "stop" if ids and ids[-1] in self._ends else "length"
        if places := [place for one in stop if (place := text.find(one)) >= 0]:
            text, finish = text[: min(places)], "stop"
            lengths = (len(self.loaded.chat.decode(said[: i + 1])) for i in range(len(said)))
            shown = sum(length <= len(text) for length in lengths)
        if scores is None:
            return Written(text, finish, len(ids))
        return Written(text, finish, len(ids), tuple(map(self.spelled, ids[:shown])), tuple(scores[:shown]))

    def spelled(self, token: int) -> str:
        """The text of one token, special ones included."""
        return str(self.loaded.tokenizer.decode([token]))
