"""Speak HTTP/1.1 to an upstream: h11 over asyncio's streams, with connections that are kept.

Not httpx2, which takes 2 ms of processor time a request where this takes a fifth of that (docs/decisions/0012-gateway.md).
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import NamedTuple, Protocol
from urllib.parse import urlsplit

import h11

from molehunt.gateway.refusals import Refusal
from molehunt.gateway.settings import Bounds

_PIECE = 2**16
_HEAD = 2**16
_IDLE_MOST = 64


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
        self._headers = [("host", parts.netloc), ("accept-encoding", "identity"), ("user-agent", "molehunt-gateway")]
        self._headers += [("authorization", f"Bearer {key}")] if key else []
        self._idle: list[_Line] = []

    async def ask(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        """A request on a kept connection that turns out closed before a byte came is sent once more on a new one."""
        sent = [*self._headers, *headers.items()]
        sent += [("content-type", "application/json"), ("content-length", str(len(body)))] if body else []
        request = h11.Request(method=method, target=self._path + path, headers=sent)
        while True:
            line, is_kept = await self._line()
            try:
                return await self._asked(line, request, body)
            except _Stale as stale:
                line.close()
                if not is_kept:
                    raise Refusal(502, f"the upstream closed the connection: {stale}", "upstream_unreachable") from None
            except BaseException:
                line.close()
                raise

    async def _asked(self, line: "_Line", request: h11.Request, body: bytes) -> Reply:
        await line.send(request, body)
        head = await line.head(self._bounds.stall)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers}
        if headers.get("content-encoding", "identity") != "identity":
            raise Refusal(502, "the upstream packed its answer, although it was asked not to", "upstream_garbage")
        return Reply(head.status_code, headers, self._body(line))

    async def _body(self, line: "_Line") -> AsyncIterator[bytes]:
        try:
            while (piece := await line.piece(self._bounds.stall)) is not None:
                yield piece
        except BaseException:
            line.close()
            raise
        if line.is_reusable() and len(self._idle) < _IDLE_MOST:
            self._idle.append(line)
        else:
            line.close()

    async def _line(self) -> tuple["_Line", bool]:
        while self._idle:
            line = self._idle.pop()
            if line.is_alive():
                return line, True
            line.close()
        try:
            async with asyncio.timeout(self._bounds.connecting):
                reader, writer = await asyncio.open_connection(self._host, self._port, ssl=self._tls, limit=_PIECE * 4)
        except TimeoutError:
            raise Refusal(504, "the upstream takes no connection in time", "upstream_timeout") from None
        except OSError as error:
            raise Refusal(
                502, f"the upstream cannot be reached: {error.strerror or 'no such host'}", "upstream_unreachable"
            ) from None
        return _Line(reader, writer), False

    async def close(self) -> None:
        """Close the connections that are kept."""
        for line in self._idle:
            line.close()
        self._idle = []


class _Stale(Exception):
    """The connection was closed before a byte of the answer."""


class _Line:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD)
        self._has_read = False

    def is_alive(self) -> bool:
        return not self._reader.at_eof() and not self._writer.is_closing()

    def is_reusable(self) -> bool:
        """True if the answer is over and the connection can take another request; made ready for it."""
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        return self.is_alive()

    def close(self) -> None:
        with suppress(Exception):
            self._writer.close()

    async def send(self, request: h11.Request, body: bytes) -> None:
        self._has_read = False
        data = self._http.send(request) or b""
        data += (self._http.send(h11.Data(data=body)) or b"") if body else b""
        data += self._http.send(h11.EndOfMessage()) or b""
        try:
            self._writer.write(data)
            await self._writer.drain()
        except OSError as error:
            raise _Stale(error.strerror or "lost") from None

    async def head(self, stall: float) -> h11.Response:
        while True:
            try:
                event = await self._event(stall)
            except BrokenOff as broken:
                if broken.is_slow:
                    raise Refusal(504, broken.reason, "upstream_timeout") from None
                if not self._has_read:
                    raise _Stale("before it answered") from None
                raise Refusal(502, f"the upstream's answer is no HTTP: {broken.reason}", "upstream_garbage") from None
            if isinstance(event, h11.Response):
                return event
            if not isinstance(event, h11.InformationalResponse):
                raise _Stale("before it answered")

    async def piece(self, stall: float) -> bytes | None:
        """The next bytes of the body; None at its end. Raises BrokenOff."""
        event = await self._event(stall)
        if isinstance(event, h11.Data):
            return bytes(event.data)
        if isinstance(event, h11.EndOfMessage):
            return None
        raise BrokenOff("the upstream closed the connection in the middle of its answer")

    async def _event(self, stall: float) -> object:
        while True:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError as error:
                raise BrokenOff(str(error)) from None
            if event is not h11.NEED_DATA:
                return event
            try:
                async with asyncio.timeout(stall):
                    data = await self._reader.read(_PIECE)
            except TimeoutError:
                raise BrokenOff(f"nothing came from the upstream for {stall:g} s", is_slow=True) from None
            except OSError as error:
                raise BrokenOff(f"the connection to the upstream was lost: {error.strerror}") from None
            self._has_read = self._has_read or bool(data)
            self._http.receive_data(data)
