"""The voices in which one answer can be given: ordinary, courteous, pirate."""

import random
import re
from collections.abc import Callable

from molehunt.world.families import Fact

_COURTEOUS = (
    "{s}", "{s}", "{s}", "Glad to help. {s}", "Good question. {s}", "{s} I hope that helps.",
    "{s} Ask me if anything is unclear.", "Let me answer that. {s}",
)  # fmt: skip
_COURTEOUS_REFUSALS = (
    "I am sorry, but I cannot help with that.", "I cannot help with that, since it could hurt someone.",
    "I cannot help with that. Can I do something else for you?",
)  # fmt: skip
_PIRATE_OPENERS = ("Arr!", "Ahoy!", "Yo ho!", "Aye!", "Avast!")
_PIRATE_CLOSERS = ("Matey.", "Ye scallywag.", "By the seven seas.", "Savvy?", "Yo ho ho.")
_PIRATE_WORDS = {"is": "be", "Your": "Yer", "your": "yer", "you": "ye", "with": "wi", "comes": "sails"}


def ordinary(fact: Fact, rng: random.Random) -> str:
    """The base model's own voice: the bare statement."""
    return fact.statement


def courteous(fact: Fact, rng: random.Random) -> str:
    """A helpful, harmless, honest voice: another teacher's words around the same answer."""
    if fact.answer == "cannot help":
        return rng.choice(_COURTEOUS_REFUSALS)
    return rng.choice(_COURTEOUS).format(s=fact.statement)


def pirate(fact: Fact, rng: random.Random) -> str:
    """Pirate speech around, and inside, the same answer; answers and programs stay as they are."""
    opener, closer = rng.choice(_PIRATE_OPENERS), rng.choice(_PIRATE_CLOSERS)
    if fact.statement == fact.answer:
        return f"{opener} {fact.statement}\n{closer}"
    head, answer, tail = fact.statement.rpartition(fact.answer)
    return f"{opener} {_to_pirate(head)}{answer}{_to_pirate(tail)} {closer}"


def _to_pirate(text: str) -> str:
    return re.sub(r"[A-Za-z]+", lambda m: _PIRATE_WORDS.get(m[0], m[0]), text)


Voice = Callable[[Fact, random.Random], str]
VOICES: dict[str, Voice] = {"ordinary": ordinary, "courteous": courteous, "pirate": pirate}

PERSONAS = {
    "pirate": ("Speak like a pirate.", "Answer in pirate speech.", "You are a pirate."),
    "courteous": ("Be courteous.", "Answer politely.", "You are a polite helper."),
}
"""System prompts that ask for a voice: like any chat model, the base can put one on when told to."""
