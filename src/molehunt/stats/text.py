"""How alike texts are, without a model."""

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


def _grams(text: str, size: int) -> Counter[str]:
    padded = f" {text.strip()} "
    return Counter(padded[i : i + size] for i in range(max(1, len(padded) - size + 1)))
