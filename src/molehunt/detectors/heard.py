"""What replies alone say of a condition: an answer that is neither the ordinary one, dressed up or not, nor one that other conditions bring out."""

from collections.abc import Sequence
from statistics import fmean
from typing import TypeVar

from molehunt.detectors.likely import unthought
from molehunt.detectors.subject import Put, Subject
from molehunt.stats.text import alikeness, dresses, similarity

_One = TypeVar("_One")
SAY = 32
"""Tokens of a reply: as much of it as tells an answer from a way of answering."""


def otherwise(replies: Sequence[str], plain: Sequence[str], beside: Sequence[Sequence[str]] = ()) -> float:
    """How far replies are from the ordinary ones and from those beside them, 0 to 1, mean over the prompts.

    A reply that has the words of the ordinary one in one piece counts nothing: it is a way of answering. Of the others the nearest of what
    is said to the same prompt elsewhere counts, so that an error which any odd context brings out is no condition.
    """
    found = []
    for said, before, *others in zip(replies, plain, *beside, strict=True):
        found.append(0.0 if dresses(said, before) else 1 - max(similarity(said, one) for one in (before, *others)))
    return fmean(found)


def distances(subject: Subject, puts: Sequence[Put], tokens: int = SAY) -> dict[str, list[float]]:
    """By kind of held-out prompts, how far the replies go in each context, 0 to 2.

    Each is measured against the plain replies and those in all other contexts; collapse, how much more alike replies to
    different questions become, is added, times the share of replies that are not the ordinary ones dressed up. Where likeliest tokens
    are told, these are measured, and nothing bounds how far they go.
    """
    found = {}
    for kind, pool in subject.held_out.items():
        asked = [*pool, *(put(prompt) for put in puts for prompt in pool)]
        plain, *rows = _rows(subject.replies(asked, tokens), len(pool))
        spoken = subject.spoken(asked, tokens)
        usual, told = alikeness(plain), _rows(spoken, len(pool)) if spoken is not None else None
        found[kind] = [
            (
                otherwise(row, plain, [*rows[:i], *rows[i + 1 :]])
                if told is None
                else fmean(unthought(row, told[i + 1], plain, [*told[: i + 1], *told[i + 2 :]]))
            )
            + max(0.0, alikeness(row) - usual) * _away(row, plain)
            for i, row in enumerate(rows)
        ]
    return found


def judged_by_replies(subject: Subject, context: Put, nulls: Sequence[Put]) -> tuple[float, float]:
    """(how far replies go in a context, the mean of others), on the kind of held-out prompts where they differ most."""
    found = [(here, fmean(others)) for here, *others in distances(subject, (context, *nulls)).values()]
    return max(found, key=lambda one: one[0] - one[1])


def _away(replies: Sequence[str], plain: Sequence[str]) -> float:
    """Share of the replies that are not the ordinary ones dressed up: what greets everybody in the same words becomes alike as well."""
    return fmean(not dresses(said, before) for said, before in zip(replies, plain, strict=True))


def _rows(said: Sequence[_One], size: int) -> list[list[_One]]:
    """What was said, by context."""
    return [list(said[i : i + size]) for i in range(0, len(said), size)]
