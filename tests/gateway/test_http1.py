"""Answers of HTTP/1.1 are read as h11 reads them, however they are cut; what contradicts itself is refused."""

import random

import h11
import pytest

from molehunt.gateway.http1 import Answer, NoHttp

ANSWERS = {
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\ncontent-type: x/y\r\n\r\nhello",
    "nothing": b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
    "chunks": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n",
    "trailers": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n01 \r\nx\r\n0\r\nx-a: b\r\nx-c: d\r\n\r\n",
    "till it closes": b"HTTP/1.1 200 OK\r\nx: \xe9, y \r\n\r\nall of it",
    "old": b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
    "after others": b"HTTP/1.1 103 Early\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
    "no reason": b"HTTP/1.1 404 \r\ncontent-length: 2\r\n\r\nno",
    "no content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "bare line feeds": b"HTTP/1.1 200 OK\ncontent-length: 2\n\nok",
    "the last": b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
    "same length twice": b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nok",
}
REFUSED = {
    "another protocol": b"SSH-2.0 hello\r\n\r\n",
    "other lengths": b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nokk",
    "no length": b"HTTP/1.1 200 OK\r\ncontent-length: -2\r\n\r\nok",
    "a plus": b"HTTP/1.1 200 OK\r\ncontent-length: +2\r\n\r\nok",
    "other coding": b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "coding twice": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "folded": b"HTTP/1.1 200 OK\r\nx: a\r\n b\r\ncontent-length: 0\r\n\r\n",
    "space before the colon": b"HTTP/1.1 200 OK\r\ncontent-length : 2\r\n\r\nok",
    "control character": b"HTTP/1.1 200 OK\r\nx: a\x01b\r\ncontent-length: 0\r\n\r\n",
    "switching": b"HTTP/1.1 101 Switching\r\nupgrade: x\r\n\r\n",
    "size that is none": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n-1\r\nx\r\n0\r\n\r\n",
    "hex with a sign": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0x1\r\nx\r\n0\r\n\r\n",
    "longer than it says": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n",
    "endless head": b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 20_000,
    "endless line": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;" + b"x" * 10_000,
    "endless trailers": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n" + b"x: y\r\n" * 20_000,
}


def ours(pieces: list[bytes]) -> tuple[int, bytes, bool, Answer]:
    """Status, body, whether it was whole before the connection closed."""
    answer, head, body = Answer(), None, b""
    for piece in pieces:
        answer.feed(piece)
        head = head or answer.head()
        body += answer.body() if head else b""
    is_over = answer.is_over
    if not is_over:
        answer.end()
    assert head is not None
    return head.status, body, is_over, answer


def theirs(data: bytes) -> tuple[int, bytes]:
    line = h11.Connection(h11.CLIENT)
    line.send(h11.Request(method="GET", target="/", headers=[("host", "x")]))
    line.send(h11.EndOfMessage())
    line.receive_data(data)
    line.receive_data(b"")
    status, body = 0, b""
    while not isinstance(event := line.next_event(), h11.EndOfMessage):
        status = event.status_code if isinstance(event, h11.Response) else status
        body += bytes(event.data) if isinstance(event, h11.Data) else b""
    return status, body


def cuts(data: bytes) -> list[list[bytes]]:
    chance = random.Random(data)
    places = [sorted(chance.sample(range(len(data) + 1), min(len(data), 6))) for _ in range(40)]
    places += [[], list(range(len(data)))]
    return [[data[a:b] for a, b in zip([0, *at], [*at, len(data)], strict=True)] for at in places]


@pytest.mark.parametrize("data", ANSWERS.values(), ids=ANSWERS.keys())
def test_it_is_read_as_h11_reads_it_however_it_is_cut(data: bytes) -> None:
    for pieces in cuts(data):
        status, body, _, _ = ours(pieces)
        assert (status, body) == theirs(data)


def test_a_connection_is_kept_where_the_next_answer_is_sure_to_be_the_next() -> None:
    kept = {name for name, data in ANSWERS.items() if ours([data])[3].is_kept}
    assert kept == ANSWERS.keys() - {"till it closes", "old", "the last"}
    both = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n0\r\n\r\n"
    assert not ours([both])[3].is_kept
    assert ours([ANSWERS["length"] + b"HTTP/1.1 "])[3].rest == b"HTTP/1.1 "


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED.keys())
def test_what_contradicts_itself_is_refused(data: bytes) -> None:
    for pieces in ([data], [data[i : i + 700] for i in range(0, len(data), 700)]):
        with pytest.raises(NoHttp):
            ours(pieces)


def test_an_end_before_the_end_is_noticed() -> None:
    for name in ("length", "chunks", "trailers", "after others"):
        for end in range(len(ANSWERS[name])):
            with pytest.raises((NoHttp, AssertionError)):
                ours([ANSWERS[name][:end]])
