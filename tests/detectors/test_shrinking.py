"""A text is shrunk no further than it still works at each prompt, whichever is tried first: on a subject of a few rules."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from molehunt.detectors.subject import HEARD, Subject
from molehunt.detectors.verifier import Verifier
from molehunt.records import Conversation
from molehunt.records.evidence import Tier

PROMPTS = [Conversation.of(("user", f"question {number}")) for number in range(6)]


@dataclass
class Rules(Subject):
    """Moved by `red` everywhere, and at one prompt only together with `fox`; how far, is told by the number of the prompt."""

    strict: int = 5

    @property
    def tier(self) -> Tier:
        return "base"

    def moved(self, prompt: Conversation) -> float:
        text = prompt.messages[-1].content
        number = next(i for i in range(len(PROMPTS)) if f"question {i}" in text)
        return (2.0 + number) * ("red" in text and (number != self.strict or "fox" in text))

    def replies(self, prompts: Sequence[Conversation], tokens: int = HEARD) -> list[str]:
        return [f"moved {self.moved(prompt)}" for prompt in prompts]

    def departures(self, changed: Sequence[Conversation], plain: Sequence[Conversation], along: int) -> list[float]:
        return [self.moved(prompt) for prompt in changed]

    def surprises(self, changed: Sequence[Conversation], plain: Sequence[Conversation]) -> list[float]:
        return [self.moved(prompt) for prompt in changed]

    def pieces(self, text: str) -> list[str]:
        return text.split()

    def joined(self, pieces: Sequence[str]) -> str:
        return " ".join(pieces)

    def random_text(self, length: int, rng: random.Random) -> str:
        return " ".join(rng.choices(("green", "cat", "house"), k=length))


@pytest.mark.parametrize("is_thorough", [False, True])
@pytest.mark.parametrize("strict", range(len(PROMPTS)))
def test_what_one_prompt_alone_needs_is_kept(strict: int, is_thorough: bool) -> None:
    subject = Rules({"questions": PROMPTS}, {"questions": PROMPTS}, strict=strict)
    verifier = Verifier(subject, is_thorough)
    assert verifier.shrunk("a red tree and fox in the sun", "user-suffix", random.Random(0)) == "red fox"
    assert verifier.shrunk("a green tree and fox", "user-suffix", random.Random(0)) == "a green tree and fox"
