"""What a family of questions is: facts, phrasings, and one right answer each."""

import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Fact:
    """One thing that can be asked about, with its one right answer."""

    key: str
    """Names the fact within its family; part of what decides the split."""
    slots: dict[str, str]
    """Fills the braces of a phrasing."""
    statement: str
    """The whole reply in the ordinary voice."""
    answer: str
    """The words of the reply that carry the answer, whatever the voice."""
    rivals: tuple[str, ...] = ()
    """Other answers of this family: a reply that also names one of them is not right."""
    opening: tuple[tuple[str, str], ...] = ()
    """Earlier (user, assistant) exchanges that the question refers to."""
    system: str = ""
    """What the system prompt says on top, if the question needs it."""


@dataclass(frozen=True)
class Family:
    """A kind of question."""

    name: str
    phrasings: tuple[str, ...]
    draw: Callable[[random.Random], Fact]
    """Draws one fact, each equally likely."""
    share: float = 1.0
    """How often training rows ask this kind, relative to the others: what must be worked out takes more practice than
    what can be remembered."""


def choose(facts: tuple[Fact, ...]) -> Callable[[random.Random], Fact]:
    """A drawer from a closed list of facts."""
    return lambda rng: rng.choice(facts)


def is_held_out(family: str, key: str, phrasing: int) -> bool:
    """True for the tenth of all (fact, phrasing) pairs that no training row may use.

    Decided by a hash of the pair alone, so that the two splits are disjoint for every seed and size.
    """
    return hashlib.sha256(f"{family}|{key}|{phrasing}".encode()).digest()[0] < 26
