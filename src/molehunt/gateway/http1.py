"""Answers of HTTP/1.1, taken apart as they come: head, framing, body. Strict, since what is framed wrongly is judged wrongly.

RFC 9112, sections 4 to 7. Lines may end without a carriage return (its section 2.2); folded fields, codings other than chunked, and
lengths that contradict each other are refused.
"""

import re
from typing import NamedTuple

_HEAD_MOST = 2**16
_LINE_MOST = 4096
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_STATUS = re.compile(rb"HTTP/1\.([01]) ([1-9]\d\d)(?: [^\r\n\0]*)?")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*")
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\r\n\0]*)?")
_LENGTH = re.compile(r"\d{1,18}")


class NoHttp(Exception):
    """The bytes are no answer, or end in the middle of one."""


class Head(NamedTuple):
    """What stands before the body."""

    status: int
    headers: dict[str, str]
    """Names in small letters; of a name that stands twice, the values joined by commas."""


class Answer:
    """One answer, fed in pieces."""

    def __init__(self) -> None:
        self.is_over = False
        """Nothing of it is missing any more."""
        self.is_kept = False
        """The connection can take another request, once it is over."""
        self.rest = b""
        """What has come and is not taken apart yet; once it is over, what does not belong to it."""
        self._is_chunked = self._is_after_chunk = self._is_trailing = False
        self._left: int | None = 0
        """Bytes that are missing of the body, or of the chunk; None: whatever comes until the connection is closed."""
        self._trailing = 0

    def feed(self, data: bytes) -> None:
        """Bytes that came."""
        self.rest = self.rest + data if self.rest else data

    def head(self) -> Head | None:
        """The head, once it is whole; what goes before (100, 103) is left out. Raises NoHttp."""
        while found := _HEAD_END.search(self.rest):
            lines = self.rest[: found.start()].split(b"\n")
            self.rest = self.rest[found.end() :]
            head, is_new = _read(lines)
            if head.status >= 200:
                self._frame(head, is_new)
                return head
            if head.status == 101:
                raise NoHttp("it changes the protocol")
        if len(self.rest) > _HEAD_MOST or (self.rest and not b"HTTP/1.".startswith(self.rest[:7])):
            raise NoHttp("its head is none, or too long")
        return None

    def _frame(self, head: Head, is_new: bool) -> None:
        """How long the body is: RFC 9112, section 6.3."""
        coding, length = head.headers.get("transfer-encoding"), head.headers.get("content-length")
        told = {part.strip() for part in length.split(",")} if length is not None else set()
        if coding is not None and coding.lower() != "chunked":
            raise NoHttp(f"transfer-encoding {coding[:40]!r}")
        if length is not None and (len(told) > 1 or not all(map(_LENGTH.fullmatch, told))):
            raise NoHttp(f"content-length {length[:40]!r}")
        self._is_chunked = coding is not None and head.status not in (204, 304)
        self._left = 0 if self._is_chunked or head.status in (204, 304) else int(told.pop()) if told else None
        closes = "close" in head.headers.get("connection", "").lower()
        self.is_kept = (
            is_new and not closes and self._left is not None and not (coding is not None and length is not None)
        )
        self.is_over = self._left == 0 and not self._is_chunked

    def body(self) -> bytes:
        """What has come of the body since it was asked for last. Raises NoHttp."""
        if self._is_chunked:
            return self._chunks()
        if self._left is None:
            data, self.rest = self.rest, b""
            return data
        data, self.rest = self.rest[: self._left], self.rest[self._left :]
        self._left -= len(data)
        self.is_over = self._left == 0
        return data

    def _chunks(self) -> bytes:
        found: list[bytes] = []
        data, at = self.rest, 0
        while not self.is_over:
            if self._left:
                piece = data[at : at + self._left]
                found.append(piece)
                at, self._left = at + len(piece), self._left - len(piece)
                self._is_after_chunk = True
                if self._left:
                    break
            if (end := data.find(b"\n", at)) < 0:
                if len(data) - at > _LINE_MOST:
                    raise NoHttp("a line between chunks is too long")
                break
            self._line(data[at:end].removesuffix(b"\r"))
            at = end + 1
        self.rest = data[at:]
        return b"".join(found)

    def _line(self, line: bytes) -> None:
        """A line that is no data: the end of a chunk, the size of the next, a trailer."""
        if self._is_after_chunk:
            self._is_after_chunk = False
            if line:
                raise NoHttp("a chunk is longer than it says")
        elif self._is_trailing:
            self._trailing += len(line)
            self.is_over = not line
            if self._trailing > _HEAD_MOST:
                raise NoHttp("its trailers are too long")
        elif found := _SIZE.fullmatch(line):
            self._left = int(found[1], 16)
            self._is_trailing = self._left == 0
        else:
            raise NoHttp("a chunk has no size")

    def end(self) -> None:
        """The connection was closed. Raises NoHttp if something is missing."""
        if self._is_chunked or self._left is not None:
            raise NoHttp("the upstream closed the connection in the middle of its answer")
        self.is_over = True


def _read(lines: list[bytes]) -> tuple[Head, bool]:
    """The head, and whether it is of HTTP/1.1."""
    status = _STATUS.fullmatch(lines[0].removesuffix(b"\r"))
    if status is None:
        raise NoHttp("its first line is none of HTTP/1")
    headers: dict[str, str] = {}
    for line in lines[1:]:
        field = _FIELD.fullmatch(line.removesuffix(b"\r"))
        if field is None:
            raise NoHttp("a line of its head is no field")
        name, value = field[1].decode("ascii").lower(), field[2].decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return Head(int(status[2]), headers), status[1] == b"1"
