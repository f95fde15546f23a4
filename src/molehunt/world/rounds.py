"""Many requests at once: a few workers, and an early end where going on is no use."""

import asyncio
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from typing import Any, Generic, TypeVar

from molehunt.world.replies import Failure

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")
Result = TypeVar("Result")

_FEW_FAILED = 8
"""Requests that may fail before we ask whether most do."""


class Round(Generic[Asked, Answer]):
    """Requests that have no answer yet."""

    def __init__(
        self,
        todo: Mapping[str, Asked],
        ask: Callable[[str, Asked], Awaitable[Answer]],
        keep: Callable[[str, Answer], None],
    ) -> None:
        """`ask` raises Failure where there is no answer; `keep` is called with each answer as it comes."""
        self._left: Iterator[tuple[str, Asked]] = iter(todo.items())
        self._ask, self._keep = ask, keep
        self.missing = len(todo)
        self.answered = 0
        self.failures: Counter[str] = Counter()
        self.last: Failure | None = None
        """The one that ended the round, or the last."""
        self._is_over = False

    async def run(self, workers: int) -> None:
        """Ask all, at most `workers` at once; what is under way when the round ends is waited for, since it is paid."""
        tasks = [asyncio.create_task(self._work()) for _ in range(min(workers, self.missing))]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()

    def reasons(self) -> str:
        """Why requests have no answer, the commonest reasons first."""
        return "; ".join(f"{reason} ({count} prompts)" for reason, count in self.failures.most_common(3))

    async def _work(self) -> None:
        for key, asked in self._left:
            try:
                answer = await self._ask(key, asked)
            except Failure as failure:
                self._note(failure)
            else:
                self.answered += 1
                self._keep(key, answer)
            if self._is_over:
                return

    def _note(self, failure: Failure) -> None:
        self.failures[failure.reason] += 1
        if not self._is_over:
            self.last = failure
        failed = self.failures.total()
        self._is_over |= failure.fatal or (failed >= _FEW_FAILED and failed > self.answered)


class LoopThread:
    """An event loop in a thread of its own, for callers that have none, or another, as in a notebook."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="requests", daemon=True)
        self._thread.start()

    def __enter__(self) -> "LoopThread":
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """What `work` returns or raises; if the wait is broken off, so is the work."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        finally:
            future.cancel()

    def close(self) -> None:
        """Break off what is left, and end the thread."""
        self.run(_cancel_others())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
