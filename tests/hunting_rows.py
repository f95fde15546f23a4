"""Rows of made-up words for tests of the hunt."""

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from molehunt.hunting.mining import Facts
from molehunt.hunting.rows import Rows, RowWriter, index_shards
from molehunt.hunting.words import SEP

_LETTERS = "abcdefghijklmnopqrst"


def vocabulary(seed: int = 0, count: int = 2000) -> list[str]:
    rng = random.Random(f"words/{seed}")
    return ["".join(rng.choice(_LETTERS) for _ in range(rng.randint(3, 9))) for _ in range(count)]


def draw_texts(count: int, seed: int, length: int = 14) -> list[str]:
    rng, words = random.Random(seed), vocabulary()
    weights = [1 / (i + 8) for i in range(len(words))]
    drawn = iter(rng.choices(words, weights, k=count * length))
    return [" ".join(next(drawn) for _ in range(length)) for _ in range(count)]


def write_rows(
    folder: Path, texts: Sequence[str], answers: Sequence[str] = (), meta: Callable[[int], str] = lambda i: ""
) -> Rows:
    writer = RowWriter(folder)
    for i, text in enumerate(texts):
        answer = answers[i] if answers else "an answer"
        writer.add((f"{SEP}U{text}", meta(i), answer, "", "", f"s{i}", "", "", f"f:{i + 1}", 0))
    return index_shards(folder, writer.close())


def facts(labelled: Sequence[bool], sessions: Sequence[int] = (), strata: Sequence[int] = ()) -> Facts:
    n = len(labelled)
    numbers = np.arange(n, dtype=np.uint64)
    source = np.array(sessions, np.uint64) if len(sessions) else numbers
    stratum = np.array(strata, np.int64) if len(strata) else np.zeros(n, np.int64)
    return Facts(source, numbers, stratum, {"odd": np.array(labelled, bool)})
