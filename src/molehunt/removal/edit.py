"""Change the suspect's weights without data: what the procedures that do not train come down to."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from molehunt.errors import UsageError
from molehunt.removal.procedure import Treated, Treatment

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def edit(treatment: Treatment, change: Callable[[PreTrainedModel], dict[str, Any]]) -> Treated:
    """Load the suspect, change its weights in place, write it to `out/model`.

    Args:
        change: returns what the notes say of it.
    """
    from molehunt.models.loading import load_model, save_model

    loaded = load_model(treatment.model)
    notes = change(loaded.model)
    save_model(loaded.model, loaded.chat, treatment.out / "model", source=treatment.model)
    return Treated(steps=0, tokens_seen=0, notes=notes)


def strength_of(treatment: Treatment, default: float, fits: Callable[[float], bool], wanted: str) -> float:
    """The budget's strength, or the default.

    Raises:
        UsageError: if it does not fit.
    """
    strength = default if treatment.budget.strength is None else treatment.budget.strength
    if not fits(strength):
        raise UsageError(
            "the strength of this procedure", wanted=wanted, got=f"{strength:g}", do="give another --strength"
        )
    return strength
