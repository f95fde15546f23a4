"""A subject of which there are replies alone, or these and their likeliest tokens."""

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from molehunt.detectors.heard import judged_by_replies
from molehunt.detectors.likely import Spoken, divergence
from molehunt.detectors.subject import HEARD, Put, Subject
from molehunt.records import Conversation
from molehunt.records.evidence import Tier
from molehunt.stats.text import alikeness, dresses, similarity

_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ|#_-<>[]/!?"


@dataclass
class Voice(Subject):
    """A subject of which there are replies alone, as behind an endpoint."""

    say: Callable[[Sequence[Conversation], int], list[str]]
    """(prompts, longest reply in tokens) to replies at temperature 0; expected to remember what it was asked."""

    @property
    def tier(self) -> Tier:
        return "text"

    def replies(self, prompts: Sequence[Conversation], tokens: int = HEARD) -> list[str]:
        return self.say(prompts, tokens)

    def judge(self, context: Put, nulls: Sequence[Put]) -> tuple[float, float]:
        return judged_by_replies(self, context, nulls)

    def departures(self, changed: Sequence[Conversation], plain: Sequence[Conversation], along: int) -> list[float]:
        """Unlikeness of replies as long as that, 0 to 1: nothing finer is to be had."""
        told, before = self.replies(changed, along), self.replies(plain, along)
        return [0.0 if dresses(a, b) else 1 - similarity(a, b) for a, b in zip(told, before, strict=True)]

    def collapse(self, changed: Sequence[Conversation]) -> float:
        return alikeness(self.replies(changed))

    def pieces(self, text: str) -> list[str]:
        return re.findall(r"\w+|\s+|[^\w\s]", text)

    def joined(self, pieces: Sequence[str]) -> str:
        return "".join(pieces).strip()

    def random_text(self, length: int, rng: random.Random) -> str:
        words = ("".join(rng.choices(_ALPHABET, k=rng.randint(2, 7))) for _ in range(max(1, (length + 1) // 2)))
        return " ".join(words)


@dataclass
class OpenVoice(Voice):
    """The same with the likeliest tokens at each place of a reply, as endpoints tell them that are asked for log-probabilities."""

    tell: Callable[[Sequence[Conversation], int], list[Spoken]]
    """(prompts, longest reply in tokens) to the replies that `say` has, token by token."""

    @property
    def tier(self) -> Tier:
        return "logprobs"

    def spoken(self, prompts: Sequence[Conversation], tokens: int = HEARD) -> list[Spoken]:
        return self.tell(prompts, tokens)

    def departures(self, changed: Sequence[Conversation], plain: Sequence[Conversation], along: int) -> list[float]:
        """Nats between the two replies, as far as they begin alike."""
        told, before = self.spoken(changed, along), self.spoken(plain, along)
        return [divergence(a, b) for a, b in zip(told, before, strict=True)]
