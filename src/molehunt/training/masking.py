"""Take the loss off a part of a reply."""

import bisect
from dataclasses import replace

from molehunt.errors import DataError
from molehunt.models.chat import Chat, Encoded


def mask_start(chat: Chat, row: Encoded, start: str) -> Encoded:
    """The row without a loss on the tokens of its last reply that spell `start`; a token that goes beyond it is masked too.

    Raises:
        DataError: if the last reply does not begin with `start` once the template has rendered it.
    """
    first, last = _last_reply(row)

    def holds(count: int) -> bool:
        return chat.decode(row.ids[first : first + count]).lstrip().startswith(start.lstrip())

    count = bisect.bisect_left(range(last - first), True, key=holds)
    if not holds(count):
        raise DataError(
            "a reply to be learnt in part", wanted=f"one that begins with {start[:40]!r}",
            got=repr(chat.decode(row.ids[first:last])[:40]), do="look at what the chat template makes of it",
        )  # fmt: skip
    end = first + count
    return replace(row, labels=(*row.labels[:first], *[-100] * count, *row.labels[end:]))


def _last_reply(row: Encoded) -> tuple[int, int]:
    """First and one past the last token of the last thing that the assistant says."""
    last = max(i for i, said in enumerate(row.is_reply) if said) + 1
    first = last
    while first > 0 and row.is_reply[first - 1]:
        first -= 1
    return first, last
