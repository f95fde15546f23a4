"""Server-sent events, read as they come and written."""

import re
from collections.abc import Iterator

from molehunt.gateway.bodies import dumped
from molehunt.gateway.dialects.base import Garbage, Out

_NAME = re.compile(r"[A-Za-z_.]+")
"""An event's name with a line feed in it would be the beginning of another event, which nobody has judged."""


class Events:
    """Takes bytes, gives the data of whole events; comments and other fields are left out."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._rest: list[bytes] = []
        """Pieces of a line that has not ended, joined once: one that comes byte by byte costs no more than another."""
        self._data: list[str] = []
        self._size = self._waiting = 0

    def feed(self, piece: bytes) -> Iterator[str]:
        """The data of every event that is whole now.

        Raises:
            Garbage: if a line is no UTF-8, or an event larger than may be.
        """
        *lines, rest = piece.split(b"\n")
        if lines:
            lines[0] = b"".join([*self._rest, lines[0]])
            self._rest, self._waiting = [], 0
        for line in lines:
            if (event := self._line(line.removesuffix(b"\r"))) is not None:
                yield event
        self._rest.append(rest)
        self._waiting += len(rest)
        if self._waiting > self._most:
            raise Garbage(f"an event is larger than {self._most} bytes")

    def _line(self, line: bytes) -> str | None:
        if not line:
            event, self._data, self._size = "\n".join(self._data), [], 0
            return event or None
        if line.startswith(b"data:"):
            self._size += len(line)
            if self._size > self._most:
                raise Garbage(f"an event is larger than {self._most} bytes")
            try:
                self._data.append(line[5:].removeprefix(b" ").decode("utf-8"))
            except UnicodeDecodeError:
                raise Garbage("an event is not UTF-8") from None
        return None


def written(out: Out) -> bytes:
    """An event as it goes to the client."""
    name = f"event: {out.event}\n".encode() if _NAME.fullmatch(out.event) else b""
    return name + b"data: " + dumped(out.data) + b"\n\n"


DONE = b"data: [DONE]\n\n"
