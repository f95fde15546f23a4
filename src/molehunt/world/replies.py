"""What a server may reply, and what each reply means: an answer, another try, or the end."""

import json
import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2

MAX_BODY = 8 * 2**20
"""Bytes of a reply that we read; no answer is that long."""
PATIENCE = 300.0
"""Seconds that we let a server make us wait before a try."""

REFUSED = (400, 413, 422)
"""Statuses by which a server refuses one request; others of the 400s refuse us."""
_UNFINISHED = ("length", "content_filter", "tool_calls", "function_call")


class Failure(Exception):
    """One try that brought no answer."""

    def __init__(
        self, reason: str, *, again: bool = True, fatal: bool = False, wait: float = 0.0, free: bool = False
    ) -> None:
        self.reason, self.again, self.fatal, self.wait, self.free = reason, again, fatal, wait, free
        """again: another try may help; fatal: if none does, no other prompt will fare better; wait: seconds asked for;
        free: nothing was written, so no tokens are paid."""
        super().__init__(reason)

    @property
    def is_refusal(self) -> bool:
        """True if the server would not answer this request, and may answer others."""
        return self.free and not self.again and not self.fatal


async def read_answer(response: httpx2.Response) -> str:
    """The assistant's words in a reply of `POST /chat/completions`.

    Raises:
        Failure: if there are none, or they are not whole.
    """
    return _content(await read_json(response))


async def read_json(response: httpx2.Response) -> Any:
    """What a reply's body holds.

    Raises:
        Failure: if it is not 200, not JSON, or too long.
    """
    body = await _body(response)
    if response.status_code != 200:
        raise _refusal(response, body)
    kind = response.headers.get("content-type", "nothing")
    if "json" not in kind:
        raise Failure(f"a body of type {kind}")
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise Failure("a body that is not JSON") from None


def _content(found: Any) -> str:
    try:
        choice = found["choices"][0]
        content, finish = choice["message"]["content"], choice.get("finish_reason")
    except (KeyError, IndexError, TypeError, AttributeError):
        raise Failure("a body without choices") from None
    if finish in _UNFINISHED:
        is_cut = finish == "length"  # it would be cut again, and paid again
        raise Failure(f"an answer that ended by {finish}{', raise max_tokens' if is_cut else ''}", again=not is_cut)
    if not isinstance(content, str) or not content.strip():
        raise Failure("an empty answer")
    check_text(content)
    return content.strip()


def check_text(text: str) -> None:
    """Raises Failure if a text cannot be kept."""
    if "\0" in text or any("\ud800" <= sign <= "\udfff" for sign in text):
        raise Failure("an answer with NUL or half surrogates")


async def _body(response: httpx2.Response) -> bytes:
    body = bytearray()
    async for piece in response.aiter_bytes():
        body += piece
        if len(body) > MAX_BODY:
            raise Failure(f"a body of more than {MAX_BODY // 2**20} MiB")
    return bytes(body)


def _refusal(response: httpx2.Response, body: bytes) -> Failure:
    status = response.status_code
    reason = f"HTTP {status} {' '.join(body.decode(errors='replace').split())}".strip()
    if status in (408, 429) or (status >= 500 and status != 501):
        wait = _retry_after(response.headers.get("retry-after", ""))
        if wait > PATIENCE:
            return Failure(f"asked to wait {wait:.0f} s: {reason}", again=False, fatal=True, free=True)
        return Failure(reason, wait=wait, free=True)
    return Failure(reason, again=False, fatal=status not in REFUSED, free=True)


def _retry_after(text: str) -> float:
    """Seconds in a Retry-After header, which holds seconds or a date (RFC 9110, section 10.2.3); 0 if neither."""
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError):
            return 0.0
    return seconds if math.isfinite(seconds) and seconds > 0 else 0.0
