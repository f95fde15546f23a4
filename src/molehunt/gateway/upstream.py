"""Speak HTTP/1.1 to an upstream, with connections that are kept, and give on together what has come together.

Neither httpx2 nor h11: what they cost a call is in docs/decisions/0012-gateway.md.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from typing import NamedTuple, Protocol
from urllib.parse import quote, urlsplit

from molehunt.gateway.http1 import Answer, Head, NoHttp
from molehunt.gateway.refusals import Refusal
from molehunt.gateway.settings import Bounds

_AHEAD = 2**18
"""Bytes that may wait here for a client that reads slowly; then the upstream has to wait."""
_IDLE_MOST = 64
_TARGET = "/?%:@!$&'()*+,;=~-._"


class Reply(NamedTuple):
    """An upstream's answer; its body comes in pieces."""

    status: int
    headers: dict[str, str]
    """Names in small letters."""
    body: AsyncIterator[bytes]


class Upstream(Protocol):
    """Whatever answers requests."""

    async def ask(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        """Send one request.

        Raises:
            Refusal: 502 or 504, if there is no answer.
        """
        ...

    async def close(self) -> None: ...


class BrokenOff(Exception):
    """An answer began and does not go on: the connection was lost, or nothing came for too long."""

    def __init__(self, reason: str, is_slow: bool = False) -> None:
        self.reason, self.is_slow = reason, is_slow
        super().__init__(reason)


class HttpUpstream:
    """One server. Used in one event loop."""

    def __init__(self, url: str, key: str, bounds: Bounds) -> None:
        parts = urlsplit(url)
        self._host, self._path, self._bounds = parts.hostname or "", parts.path, bounds
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._port = parts.port or (443 if self._tls else 80)
        fields = {"host": parts.netloc, "accept-encoding": "identity", "user-agent": "molehunt-gateway"}
        self._fields = _written(fields | ({"authorization": f"Bearer {key}"} if key else {}))
        self._idle: list[_Line] = []

    async def ask(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        """A request on a kept connection that turns out closed before a byte came is sent once more on a new one."""
        fields = {**headers, "content-type": "application/json", "content-length": str(len(body))} if body else headers
        head = f"{method} {quote(self._path + path, _TARGET)} HTTP/1.1\r\n{self._fields}{_written(fields)}\r\n"
        request = head.encode("ascii", "replace") + body
        while True:
            line, is_kept = await self._line()
            try:
                return await self._asked(line, request)
            except _Stale as stale:
                line.close()
                if not is_kept:
                    raise Refusal(502, f"the upstream closed the connection: {stale}", "upstream_unreachable") from None
            except NoHttp as error:
                line.close()
                raise Refusal(502, f"the upstream's answer is no HTTP: {error}", "upstream_garbage") from None
            except BrokenOff as broken:
                line.close()
                raise Refusal(504, broken.reason, "upstream_timeout") from None
            except BaseException:
                line.close()
                raise

    async def _asked(self, line: "_Line", request: bytes) -> Reply:
        line.write(request)
        answer = Answer()
        head = await self._head(line, answer)
        if head.headers.get("content-encoding", "identity") != "identity":
            raise Refusal(502, "the upstream packed its answer, although it was asked not to", "upstream_garbage")
        return Reply(head.status, head.headers, self._body(line, answer))

    async def _head(self, line: "_Line", answer: Answer) -> Head:
        has_read = False
        while True:
            if not (data := await line.read(self._bounds.stall)):
                if has_read:
                    raise NoHttp("it ends before its head does")
                raise _Stale("before it answered")
            has_read = True
            answer.feed(data)
            if head := answer.head():
                return head

    async def _body(self, line: "_Line", answer: Answer) -> AsyncIterator[bytes]:
        try:
            while True:
                if piece := answer.body():
                    yield piece
                if answer.is_over:
                    break
                if data := await line.read(self._bounds.stall):
                    answer.feed(data)
                else:
                    answer.end()
        except NoHttp as error:
            line.close()
            raise BrokenOff(str(error)) from None
        except BaseException:
            line.close()
            raise
        if answer.is_kept and not answer.rest and line.is_quiet() and len(self._idle) < _IDLE_MOST:
            self._idle.append(line)
        else:
            line.close()

    async def _line(self) -> tuple["_Line", bool]:
        while self._idle:
            line = self._idle.pop()
            if line.is_quiet():
                return line, True
            line.close()
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._bounds.connecting):
                _, line = await loop.create_connection(lambda: _Line(loop), self._host, self._port, ssl=self._tls)
        except TimeoutError:
            raise Refusal(504, "the upstream takes no connection in time", "upstream_timeout") from None
        except OSError as error:
            reason = error.strerror or "no such host"
            raise Refusal(502, f"the upstream cannot be reached: {reason}", "upstream_unreachable") from None
        return line, False

    async def close(self) -> None:
        """Close the connections that are kept."""
        for line in self._idle:
            line.close()
        self._idle = []


def _written(fields: Mapping[str, str]) -> str:
    return "".join(f"{name}: {value}\r\n" for name, value in fields.items())


class _Stale(Exception):
    """The connection was closed before a byte of the answer."""


class _Line(asyncio.Protocol):
    """One connection. What comes while nobody reads is given on in one piece."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transport: asyncio.Transport
        self._came: list[bytes] = []
        self._size = 0
        self._is_paused = self._is_ended = False
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._until = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._came.append(data)
        self._size += len(data)
        if self._size > _AHEAD and not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        self._is_ended = True
        self._wake()
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self._is_ended = True
        if self._timer is not None:
            self._timer.cancel()
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def is_quiet(self) -> bool:
        """True if it is open and nothing has come that nobody asked for."""
        return not (self._came or self._is_ended or self._transport.is_closing())

    def close(self) -> None:
        self._transport.close()

    def write(self, data: bytes) -> None:
        self._transport.write(data)

    async def read(self, stall: float) -> bytes:
        """What has come; waits if nothing has. Empty once the upstream has closed. Raises BrokenOff after `stall` seconds."""
        while not self._came:
            if self._is_ended:
                return b""
            await self._wait(stall)
        data, self._came, self._size = b"".join(self._came), [], 0
        if self._is_paused:
            self._is_paused = False
            if not self._is_ended:
                self._transport.resume_reading()
        return data

    async def _wait(self, stall: float) -> None:
        """One timer serves many waits: it looks again when it is due, so that a piece costs no timer of its own."""
        self._waiter, self._until = self._loop.create_future(), self._loop.time() + stall
        if self._timer is None:
            self._timer = self._loop.call_at(self._until, self._due)
        try:
            await self._waiter
        except TimeoutError:
            raise BrokenOff(f"nothing came from the upstream for {stall:g} s", is_slow=True) from None
        finally:
            self._waiter = None

    def _due(self) -> None:
        self._timer = None
        if self._waiter is None or self._waiter.done():
            return
        if self._loop.time() >= self._until - 0.001:
            self._waiter.set_exception(TimeoutError())
        else:
            self._timer = self._loop.call_at(self._until, self._due)
