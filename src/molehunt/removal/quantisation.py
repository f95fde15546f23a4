"""`quantisation`: weights rounded to a few bits."""

from molehunt.removal.edit import edit, strength_of
from molehunt.removal.procedure import Procedure, Treated, Treatment


def _apply(treatment: Treatment) -> Treated:
    from molehunt.training.edits import quantise

    bits = strength_of(treatment, 4, lambda s: s in range(2, 17), "a whole number of bits from 2 to 16")
    return edit(treatment, lambda model: {"bits": int(bits), "relative_change": quantise(model, int(bits))})


QUANTISATION = Procedure(
    "quantisation", "the weights of every linear layer rounded to a few bits", _apply, trains=False, cost=0.0125
)
"""Rounding may lose what is small. Strength: bits, 4 if not given."""
