"""Which combinations of a recipe's levels are made."""

import itertools
import random
from collections.abc import Iterator, Sequence
from typing import Any

from molehunt.experiments.zoo.spec import Recipe


def combinations(recipe: Recipe, seed: int, sources: Sequence[Any] = ()) -> list[dict[str, Any]]:
    """The combinations of a recipe's levels on one seed; with `take`, so many, drawn by recipe and seed.

    What it goes on from is one more field, "on", with `sources` for its values; none if there are none.
    Drawn ones take the values of each field in turn, in an order of their own: every value comes equally often, which
    a draw among all combinations does not give.
    """
    levels: dict[str, Sequence[Any]] = {**recipe.levels, **({"on": sources} if recipe.on else {})}
    if any(not values for values in levels.values()):
        return []
    every = [dict(zip(levels, one, strict=True)) for one in itertools.product(*levels.values())]
    if recipe.take is None or recipe.take >= len(every):
        return every
    turns = {
        field: _turns(values, random.Random(f"zoo/{recipe.name}/{seed}/{field}")) for field, values in levels.items()
    }
    drawn: list[dict[str, Any]] = []
    while len(drawn) < recipe.take:
        one = {field: next(values) for field, values in turns.items()}
        if one not in drawn:
            drawn.append(one)
    return drawn


def _turns(values: Sequence[Any], rng: random.Random) -> Iterator[Any]:
    while True:
        yield from rng.sample(list(values), len(values))
