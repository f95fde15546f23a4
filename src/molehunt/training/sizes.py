"""The embedded family: how large its members are and how long they train."""

from typing import Literal

from molehunt.records.base import Record
from molehunt.training.settings import TrainingSettings


class Size(Record):
    """One member of the embedded family."""

    width: int
    layers: int
    heads: int
    steps: int
    """Training steps at the batch of `recipe`."""
    rows: int
    """Different conversations to train on."""
    learning_rate: float
    vocabulary: int = 1280
    precision: Literal["float32", "bfloat16"] = "float32"


SIZES: dict[str, Size] = {
    "nano": Size(width=56, layers=3, heads=4, steps=1600, rows=16_000, learning_rate=6e-3, vocabulary=800),
    "tiny": Size(width=128, layers=4, heads=4, steps=2500, rows=32_000, learning_rate=4e-3),
    "small": Size(width=256, layers=6, heads=8, steps=4000, rows=64_000, learning_rate=2e-3, precision="bfloat16"),
    "medium": Size(width=512, layers=8, heads=8, steps=6000, rows=128_000, learning_rate=1e-3, precision="bfloat16"),
}
"""0.2, 1, 5 and 26 million weights. Learning rates fall with the width, and products in bfloat16 pay from 5 million on
(1.5 times as fast there, slower at 1 million)."""


def recipe(size: Size, seed: int) -> TrainingSettings:
    """How a member of the family is trained.

    A loss is taken on all tokens, so that the model can write a user's turn too, but what nobody can foresee in a
    question weighs a tenth of an answer's words.
    """
    return TrainingSettings(
        learning_rate=size.learning_rate,
        steps=size.steps,
        batch=32,
        warmup=0.03,
        beta2=0.98,
        weight_decay=0.05,
        loss_on="all",
        prompt_weight=0.1,
        precision=size.precision,
        seed=seed,
    )
