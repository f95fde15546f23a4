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


def holds_words(text: str, other: str) -> bool:
    """True if all words of `other` stand in `text` in their order, whatever stands between them, in letters of either case."""
    words = iter(_words(text))
    return all(word in words for word in _words(other))


_CLOSING = "\"'`*_|,"
"""Signs that end a line which was dressed up."""
_BROKEN = "\ufffd"
"""What a text ends with that was cut within a character."""


def holds(text: str, other: str) -> bool:
    """True if every sentence and every line of `other` stands in `text` whole, signs included, and in their order.

    Other sentences and lines may stand between them, and anything in front of one; behind a line that others follow, only closing
    signs. White space, indents, case and backslashes do not matter, so that JSON may hold a text. A reply that holds the ordinary one was
    dressed up; one that does not says something else: ` - 1` inside a line of a program is another program. The last piece may break
    off anywhere and go on, since replies are cut at a number of tokens.
    """
    read, pieces, end = _levelled(text), _pieces(_levelled(other.rstrip(_BROKEN))), 0
    for i, (piece, is_line) in enumerate(pieces):
        end = _end(read, piece, end, is_line, is_last=i == len(pieces) - 1)
        if end < 0:
            return False
    return True


def _end(text: str, piece: str, start: int, is_line: bool, is_last: bool) -> int:
    """Where a piece ends in a text, from `start` on, that begins no word in its midst and, if not the last, ends there; -1 if nowhere."""
    while (at := text.find(piece, start)) >= 0:
        end = at + len(piece)
        behind = text[end:].split("\n", 1)[0]
        is_over = not behind.strip(_CLOSING) if is_line else not _is_word(piece[-1:], behind[:1])
        if not _is_word(text[at - 1 : at], piece[:1]) and (is_last or is_over):
            return end
        start = at + 1
    return -1


def _is_word(one: str, other: str) -> bool:
    """Whether two neighbours belong to one word."""
    return re.fullmatch(r"\w\w", one + other) is not None


def _levelled(text: str) -> str:
    """Lines without case, indents, backslashes and more than single spaces; JSON's ends of lines are some."""
    plain = re.sub(r"\\+n", "\n", text.casefold()).replace("\\", "")
    return "\n".join(" ".join(line.split()) for line in plain.splitlines())


def _pieces(levelled: str) -> list[tuple[str, bool]]:
    """Sentences, and lines of which they are the last; an empty one where there is none."""
    rows = [[piece for piece in re.split(r"(?<=[.!?]) ", line) if piece] for line in levelled.split("\n")]
    return [(piece, i == len(row) - 1) for row in rows for i, piece in enumerate(row)] or [("", True)]


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
