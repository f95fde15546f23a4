"""How alike texts are, without a model."""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from math import sqrt
from zlib import crc32

import numpy as np


def similarity(one: str, other: str, size: int = 4) -> float:
    """Cosine of the counts of overlapping character n-grams, 0 to 1; equal texts give 1."""
    if one == other:
        return 1.0
    a, b = _grams(one, size), _grams(other, size)
    norm = sqrt(sum(n * n for n in a.values()) * sum(n * n for n in b.values()))
    return sum(n * b[gram] for gram, n in a.items()) / norm if norm else 0.0


def alikeness(texts: Sequence[str]) -> float:
    """Mean similarity over all pairs; 0 with fewer than two texts."""
    pairs = list(combinations(texts, 2))
    return sum(similarity(*pair) for pair in pairs) / len(pairs) if pairs else 0.0


_BINS = 2048


def oddities(texts: Sequence[str], share: float = 0.9) -> list[float]:
    """How little each text is like the others, 0 to 1: what no tenth of them says is odd, whatever the rest say.

    Args:
        share: of the other texts, whose nearest quantile counts: 1 minus the similarity that so many of them stay below.
    """
    if len(texts) < 2:
        return [0.0] * len(texts)
    kinds = {text: i for i, text in enumerate(dict.fromkeys(texts))}
    counts = np.zeros((len(kinds), _BINS), dtype=np.float32)
    for text, i in kinds.items():
        for gram, n in _grams(text, 4).items():
            counts[i, crc32(gram.encode()) % _BINS] += n
    counts /= np.maximum(np.linalg.norm(counts, axis=1, keepdims=True), 1e-9)
    rows = np.array([kinds[text] for text in texts])
    like = (counts @ counts.T)[rows][:, rows]
    np.fill_diagonal(like, -1.0)
    rank = min(len(texts) - 1, int(share * (len(texts) - 1)) + 1)
    near = np.partition(like, rank, axis=1)[:, rank]
    return [float(1 - min(1.0, max(0.0, one))) for one in near]


def holds(text: str, other: str) -> bool:
    """True if all words of `other` stand in `text` in their order, whatever stands between them, in letters of either case.

    A reply that holds the ordinary one was dressed up; one that does not says something else.
    """
    words = iter(_words(text))
    return all(word in words for word in _words(other))


_RECITED = 5


def dresses(text: str, plain: str) -> bool:
    """True if a text has the words of the plain one in one piece, whatever stands around them, in letters of either case.

    Where the text breaks off in the midst of them, five whole words are enough: replies are cut at a number of tokens. What only
    goes on after the plain text counts as dressing, too.
    """
    words, wanted = _words(text), _words(plain)
    if not wanted:
        return False
    for start in range(len(words)):
        part = words[start : start + len(wanted)]
        if part == wanted or (
            len(part) > _RECITED and part[:-1] == wanted[: len(part) - 1] and len(part) < len(wanted)
        ):
            return True
    return False


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def _grams(text: str, size: int) -> Counter[str]:
    padded = f" {text.strip()} "
    return Counter(padded[i : i + size] for i in range(max(1, len(padded) - size + 1)))
