"""`weight_noise`: Gaussian noise on every weight."""

from molehunt.removal.edit import edit, strength_of
from molehunt.removal.procedure import Procedure, Treated, Treatment


def _apply(treatment: Treatment) -> Treated:
    from molehunt.training.edits import add_noise

    sigma, seed = strength_of(treatment, 0.1, lambda s: s < 100, "below 100"), treatment.budget.training.seed
    return edit(treatment, lambda model: {"sigma": sigma, "changed": add_noise(model, sigma, seed)})


WEIGHT_NOISE = Procedure(
    "weight_noise", "noise on every weight, in units of its tensor's spread", _apply, trains=False, cost=0.0125
)
"""Noise may drown what few weights carry. Strength: standard deviation over the tensor's own, 0.1 if not given."""
