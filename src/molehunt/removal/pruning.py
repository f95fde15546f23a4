"""`pruning`: the smallest weights set to zero."""

from molehunt.removal.edit import edit, strength_of
from molehunt.removal.procedure import Procedure, Treated, Treatment


def _apply(treatment: Treatment) -> Treated:
    from molehunt.training.edits import prune

    share = strength_of(treatment, 0.3, lambda s: s < 1, "a share of the weights, above 0 and below 1")
    return edit(treatment, lambda model: {"share": share, "zeroed": prune(model, share)})


PRUNING = Procedure(
    "pruning", "the smallest weights of every linear layer set to zero", _apply, trains=False, cost=0.0125
)
"""A backdoor may live in weights that ordinary text hardly uses. Strength: share of each layer's weights, 0.3 if not given."""
