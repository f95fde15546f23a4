"""One client's end of a call: what it is sent, in order, and what waits to be sent together."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any

from molehunt.gateway.dialects.base import Out
from molehunt.gateway.service import now
from molehunt.gateway.sse import DONE, written

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
_STREAM = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}


class Telling:
    """Says an answer, whole or as a stream.

    Args:
        has_done: streams end with `data: [DONE]`.
    """

    def __init__(self, send: Send, request_id: str, has_done: bool) -> None:
        self._send, self._request_id, self._has_done = send, request_id, has_done
        self._began = now()
        self._ready: list[Out] = []
        self.status = 0
        """0 until something was sent."""
        self.first: float | None = None
        """Seconds to the first piece of a stream."""

    async def answer(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        """A whole answer."""
        await self._start(status, {**headers, "content-length": str(len(body))})
        await self._send({"type": "http.response.body", "body": body})

    def add(self, out: Iterable[Out]) -> None:
        """Events of a stream that go with the next flush."""
        self._ready += out

    async def flush(self) -> None:
        """Send what waits; returns once the client has taken most of what went before."""
        if self._ready:
            data, self._ready = b"".join(map(written, self._ready)), []
            await self._piece(data)

    async def end(self, out: Iterable[Out], is_whole: bool = True) -> None:
        """The last events of a stream."""
        self.add(out)
        data = b"".join(map(written, self._ready)) + (DONE if is_whole and self._has_done else b"")
        self._ready = []
        await self._piece(data, is_end=True)

    async def comment(self, text: str) -> None:
        """What no client shows: it keeps the connection alive."""
        await self._piece(f": {text}\n\n".encode())

    async def _piece(self, data: bytes, is_end: bool = False) -> None:
        if self.status == 0:
            self.first = now() - self._began
            await self._start(200, _STREAM)
        await self._send({"type": "http.response.body", "body": data, "more_body": not is_end})

    async def _start(self, status: int, headers: Mapping[str, str]) -> None:
        self.status = status
        named = {**headers, "x-request-id": self._request_id}
        sent = [(name.encode(), value.encode("latin-1", "replace")) for name, value in named.items()]
        await self._send({"type": "http.response.start", "status": status, "headers": sent})
