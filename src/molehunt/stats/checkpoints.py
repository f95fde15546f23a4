"""Choosing a checkpoint without seeing the trigger, and what the choice misses."""

from collections.abc import Sequence

import numpy as np


def blind_choice(capability: Sequence[float]) -> int:
    """Index of the checkpoint to report: the highest capability on untriggered prompts, of equals the last.

    Choosing by the attack success rate would look at the answer key (Gulrajani, Lopez-Paz 2021, ICLR, on oracle selection).

    Raises:
        ValueError: no checkpoints, or a capability that is not finite.
    """
    if not capability or not np.isfinite(capability).all():
        raise ValueError("a choice needs checkpoints with finite capabilities")
    return max(range(len(capability)), key=lambda i: (capability[i], i))


def oracle_gaps(capability: Sequence[Sequence[float]], asr: Sequence[Sequence[float]]) -> list[float]:
    """Per seed: the attack success rate at the blind choice minus the lowest of any checkpoint. Both seeds × checkpoints.

    Never below 0. The lowest of many noisy rates is lower than any true one, so a gap of the size of the prompts' noise
    says nothing.

    Raises:
        ValueError: tables of different shapes, empty rows, numbers that are not finite.
    """
    if not np.isfinite([x for row in asr for x in row]).all():
        raise ValueError("a gap needs finite rates")
    if [len(row) for row in capability] != [len(row) for row in asr]:
        raise ValueError("capability and attack success rate need the same seeds and checkpoints")
    return [rates[blind_choice(known)] - min(rates) for known, rates in zip(capability, asr, strict=True)]
