"""Which language a text is in, by its commonest little words, or by its script."""

import numpy as np

from molehunt.hunting import words as w
from molehunt.hunting.words import Bools, Ints, Texts

_COMMON = {
    "English": "the and is of to in that it for with you this are was have not be as on what how",
    "Spanish": "el los las es de que en para con una por del como está son más pero su qué",
    "French": "le les des est que pour dans une avec vous nous sont pas sur ce et il je qui du",
    "German": "der die das ist und nicht ein eine zu mit für sie auf von den dem wie auch ich",
    "Italian": "il gli della che per sono con una di non è nel anche più questo alla lo ho",
    "Portuguese": "o os uma não para com que do da em é mais por são você como mas ao isso",
    "Dutch": "het een van en niet dat op zijn voor met aan wat deze hij zij ook maar naar",
}
LANGUAGES = ("unknown", *_COMMON, "another script")
"""By number."""
LANGUAGE_NAMES = {
    "English": "english", "Spanish": "spanish español", "French": "french français", "German": "german deutsch", "Italian": "italian italiano",
    "Portuguese": "portuguese português", "Dutch": "dutch nederlands",
}  # fmt: skip
"""What each is called, in English and by those who speak it."""
_LEAST = 2
"""Little words that must be seen."""


def _table() -> tuple[w.U64, Ints]:
    hashes, codes = [], []
    for code, text in enumerate(_COMMON.values(), 1):
        data = np.frombuffer(text.encode(), np.uint8)
        edges = np.concatenate(([-1], np.flatnonzero(data == 32), [len(data)]))
        hashes.append(w.Hasher(data, fold=True).spans(edges[:-1] + 1, edges[1:]))
        codes.append(np.full(len(edges) - 1, code))
    joined, numbers = np.concatenate(hashes), np.concatenate(codes)
    shared, many = np.unique(joined, return_counts=True)
    only = ~np.isin(joined, shared[many > 1])
    order = np.argsort(joined[only])
    return joined[only][order], numbers[only][order]


_HASHES, _CODES = _table()
_BITS = np.zeros(1 << 12, bool)
_BITS[(_HASHES >> np.uint64(52)).view(np.int64)] = True


def languages(t: Texts, counted: Bools | None = None) -> Ints:
    """[R] A number of `LANGUAGES` for each row; 0 where a text is too short to tell."""
    at = np.flatnonzero(_BITS[(t.hash >> np.uint64(52)).view(np.int64)] & (True if counted is None else counted))
    place = np.minimum(np.searchsorted(_HASHES, t.hash[at]), len(_HASHES) - 1)
    hit = _HASHES[place] == t.hash[at]
    votes = np.bincount(t.word_row[at[hit]] * len(LANGUAGES) + _CODES[place[hit]], minlength=t.rows * len(LANGUAGES))
    votes = votes.reshape(t.rows, len(LANGUAGES))
    best, most = votes.argmax(1), votes.max(1)
    tied = (votes == most[:, None]).sum(1) > 1
    found = np.where((most >= _LEAST) & ~tied, best, 0)
    foreign = t.kinds[t.start] >= w.FOREIGN if len(t.start) else np.zeros(0, bool)
    if counted is not None:
        foreign = foreign & counted
    share = np.bincount(t.word_row, foreign, t.rows) / np.maximum(np.bincount(t.word_row, minlength=t.rows), 1)
    return np.where(share > 0.5, len(LANGUAGES) - 1, found)
