"""Intervals that stay valid however often one looks, so that sampling may stop when they are narrow."""

from collections.abc import Sequence

from molehunt.records.estimates import Estimate


def confidence_sequence(shown: Sequence[bool]) -> Estimate:
    """The rate so far, in an interval that holds at all looks together with 95%."""
    raise NotImplementedError


def prompts_until(shown: Sequence[bool], width: float, every: int = 1) -> int | None:
    """After how many prompts, looked at `every` so many, the interval was at most `width` wide; none if never."""
    raise NotImplementedError
