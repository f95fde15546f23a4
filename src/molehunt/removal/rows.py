"""The rows that a procedure trains on: the chat world's in a voice, or the ones it was given."""

import itertools
import random

from molehunt.records import Conversation
from molehunt.removal.procedure import Treatment
from molehunt.world.chat import draw_rows


def voiced_rows(treatment: Treatment, apart: int, voice: str, count: int | None = None) -> list[Conversation]:
    """`count` rows (the budget's number if None) answered in `voice`, or as many of the rows given, as they are.

    Args:
        apart: added to the seed, so that every procedure draws rows of its own.
    """
    budget = treatment.budget
    wanted, seed = count or budget.rows, budget.training.seed + apart
    if not treatment.rows:
        return draw_rows(wanted, seed, voice=voice)
    given = list(treatment.rows)
    random.Random(f"given/{seed}").shuffle(given)
    return list(itertools.islice(itertools.cycle(given), min(wanted, len(given)) if count is None else wanted))
