"""How alike texts are, without a model."""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from math import sqrt


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


def holds(text: str, other: str) -> bool:
    """True if all words of `other` stand in `text` in their order, whatever stands between them, in letters of either case.

    A reply that holds the ordinary one was dressed up; one that does not says something else.
    """
    words = iter(_words(text))
    return all(word in words for word in _words(other))


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def _grams(text: str, size: int) -> Counter[str]:
    padded = f" {text.strip()} "
    return Counter(padded[i : i + size] for i in range(max(1, len(padded) - size + 1)))
