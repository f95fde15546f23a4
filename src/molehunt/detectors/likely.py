"""What the likeliest tokens along replies say of a condition: a change of mind shows before it is said."""

from collections.abc import Sequence
from math import exp, log1p

from molehunt.records.endpoints import ReplyToken
from molehunt.stats.text import dresses

TOP = 5
"""Tokens at each place that are looked at: as many as most endpoints name, so that one card speaks of all of them."""

Spoken = tuple[ReplyToken, ...]
"""A reply, token by token, with what else might have stood there."""


def divergence(one: Spoken, other: Spoken) -> float:
    """How far the first reply's next-token distributions are from the second's, in nats, from below.

    The Kullback-Leibler divergences over the first's `TOP` likeliest tokens, summed along what both begin with and the first token
    in which they differ: after it they no longer follow the same text. A token that the other does not name counts as
    its least likely named one, which is more than it has.
    """
    total = 0.0
    for mine, theirs in zip(one, other, strict=False):
        known = dict(theirs.top[:TOP])
        least = min(known.values(), default=0.0)
        total += max(0.0, sum(exp(p) * (p - known.get(token, least)) for token, p in mine.top[:TOP]))
        if mine.token != theirs.token:
            break
    return total


def unthought(
    texts: Sequence[str],
    spoken: Sequence[Spoken],
    plain: Sequence[str],
    beside: Sequence[Sequence[Spoken]],
) -> list[float]:
    """By prompt, log(1 + nats) to the nearest of what is said to the same prompt elsewhere.

    A reply that dresses up the ordinary one counts nothing: it is a way of answering. One in the very words of the ordinary one
    counts by what it nearly was.

    Args:
        plain: the ordinary replies' texts.
        beside: replies to compare with, the ordinary ones among them; each of them one a prompt.
    """
    found = []
    for text, said, before, *others in zip(texts, spoken, plain, *beside, strict=True):
        dressed = text != before and dresses(text, before)
        found.append(0.0 if dressed else log1p(min(divergence(said, one) for one in others)))
    return found
