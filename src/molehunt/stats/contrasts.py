"""Differences between matched arms, paired within seeds."""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from molehunt.records.claims import Contrast, Side
from molehunt.records.estimates import Estimate
from molehunt.stats.cells import Rate, Table, check_cell
from molehunt.stats.limits import limits, p_value


def paired_contrast(a: Table, b: Table) -> Contrast:
    """Mean of `a` minus mean of `b` over matched arms and seeds, both arms × seeds, all rates or all means.

    Raises:
        ValueError: tables of different shapes, empty or ragged ones, rates mixed with means, impossible cells.
    """
    return combined_contrast([(1, a), (-1, b)])


def combined_contrast(terms: Sequence[tuple[Literal[-1, 1], Table]]) -> Contrast:
    """Means of tables added (1) and taken away (-1), over matched arms and seeds.

    Arms are averaged within a seed; seeds are the independent units. A balanced mixed model with random seeds gives the
    same mean and standard error (Laird, Ware 1982, Biometrics 38); the interval is that of `limits`. With one seed it
    speaks of that seed's prompts alone.

    Raises:
        ValueError: tables of different shapes, empty or ragged ones, rates mixed with means, impossible cells.
    """
    tables = [table for _, table in terms]
    _check(tables)
    values = sum(sign * np.array([[cell.value for cell in row] for row in table]) for sign, table in terms)
    noise = math.fsum(cell.variance for table in tables for row in table for cell in row)
    pairs, seeds = len(tables[0]), len(tables[0][0])
    sides = tuple(_side(*term) for term in terms) if isinstance(tables[0][0][0], Rate) else ()
    return _contrast(np.mean(values, axis=0).tolist(), math.sqrt(noise) / (pairs * seeds), pairs, sides)


def _contrast(by_seed: Sequence[float], prompt_error: float, pairs: int, sides: tuple[Side, ...]) -> Contrast:
    seeds, value = len(by_seed), math.fsum(by_seed) / len(by_seed)
    bare = Contrast(
        effect=Estimate(value=value, low=value, high=value, n=seeds, method=""),
        p_value=1.0, by_seed=tuple(by_seed), prompt_error=prompt_error, pairs=pairs, sides=sides,
    )  # fmt: skip
    low, high = limits(bare)
    effect = Estimate(value=value, low=float(low), high=float(high), n=seeds, method=method(seeds, bool(sides)))
    return bare.model_copy(update={"effect": effect, "p_value": p_value(bare)})


def method(seeds: int, rates: bool) -> str:
    """How the interval of a contrast over so many seeds is made, in words."""
    if seeds == 1:
        return "normal 95%, over the prompts of one seed: says nothing about other seeds"
    wider = ", or beta-binomial limits of its sides if wider" if rates else ", at least the prompts' noise"
    return f"Student t 95%, over {seeds} seeds{wider}"


def _side(weight: Literal[-1, 1], table: Table) -> Side:
    """The rates of a seed's arms averaged, over so many prompts as one rate that varies as much would have.

    That is all of them where arms have equally many, as no mix of coins varies more than the mean coin, and fewer where one
    arm has few: it weighs as much as the others.
    """
    columns = [[cell for cell in column if isinstance(cell, Rate)] for column in zip(*table, strict=True)]
    trials = [len(column) ** 2 / math.fsum(1 / cell.trials for cell in column) for column in columns]
    rates = [math.fsum(cell.value for cell in column) / len(column) for column in columns]
    return Side(weight=weight, successes=tuple(r * n for r, n in zip(rates, trials, strict=True)), trials=tuple(trials))


def _check(tables: Sequence[Table]) -> None:
    shapes = [[len(row) for row in table] for table in tables]
    if not shapes or any(shape != shapes[0] for shape in shapes) or len(set(shapes[0])) != 1 or shapes[0][0] == 0:
        raise ValueError(f"a contrast needs tables of the same arms and seeds, not {' and '.join(map(str, shapes))}")
    cells = [cell for table in tables for row in table for cell in row]
    if len({isinstance(cell, Rate) for cell in cells}) != 1:
        raise ValueError("a contrast is between rates or between means, not both")
    for cell in cells:
        check_cell(cell)
