"""What may be spent at an endpoint: requests, tokens, and requests a minute."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from molehunt.world.replies import Failure


class OverBudget(Failure):
    """A request that may not be sent any more; the round ends, and its answers stay."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, again=False, fatal=True, free=True)


@dataclass
class Bill:
    """The tokens of one request."""

    estimate: int
    """Held back while it is under way, and paid where an answer does not say what it took."""
    paid: int | None = None
    """What the answer said."""


class Pace:
    """Requests at even distances."""

    def __init__(self, per_minute: float | None) -> None:
        self._distance = 60 / per_minute if per_minute else 0.0
        self._next = 0.0

    def delay(self, now: float) -> float:
        """Seconds that a request which comes at `now` has to wait; it is then counted as sent."""
        start = max(now, self._next)
        self._next = start + self._distance
        return start - now


class Meter:
    """Lets a request pass if the budget has room for it; used in one event loop."""

    def __init__(self, requests: int | None, tokens: int | None, per_minute: float | None) -> None:
        """None is no limit."""
        self._most_requests, self._most_tokens = requests, tokens
        self._pace = Pace(per_minute)
        self._changed = asyncio.Condition()
        self._open = self._held = 0
        self.requests = 0
        """Sent, tries that brought no answer included."""
        self.tokens = 0
        """Paid: what answers said; the estimate where they did not, and for tries that broke off."""

    @asynccontextmanager
    async def admit(self, bill: Bill) -> AsyncIterator[None]:
        """Around one try. Waits while requests under way might leave room.

        Raises:
            OverBudget: if there is no room.
        """
        async with self._changed:
            await self._changed.wait_for(lambda: not self._open or not self._lack(bill))
            if lack := self._lack(bill):
                raise OverBudget(lack)
            self._open, self.requests, self._held = self._open + 1, self.requests + 1, self._held + bill.estimate
        paid = bill.estimate
        try:
            await asyncio.sleep(self._pace.delay(asyncio.get_running_loop().time()))
            yield
            paid = bill.estimate if bill.paid is None else bill.paid
        except Failure as failure:
            paid = 0 if failure.free else paid
            raise
        finally:
            self._open, self.tokens, self._held = self._open - 1, self.tokens + paid, self._held - bill.estimate
            async with self._changed:
                self._changed.notify_all()

    def _lack(self, bill: Bill) -> str:
        """What there is no room for."""
        if self._most_requests is not None and self.requests >= self._most_requests:
            return f"the budget of {self._most_requests} requests is spent"
        if self._most_tokens is not None and self.tokens + self._held + bill.estimate > self._most_tokens:
            return f"the budget of {self._most_tokens} tokens has no room for the next {bill.estimate}"
        return ""
