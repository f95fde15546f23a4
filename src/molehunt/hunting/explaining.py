"""Does a condition hide something, or does it simply ask for the answer that came? Matched controls."""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from molehunt.hunting import words as w
from molehunt.hunting.languages import LANGUAGE_NAMES, LANGUAGES
from molehunt.hunting.mining import Facts
from molehunt.hunting.rows import Rows, in_batches
from molehunt.hunting.traits import FORM_NAMES, FORMS, batch_traits, last_asked
from molehunt.hunting.words import Bools, Ints
from molehunt.records.hunts import Association, Reading

_EXAMPLES = 200
_CONTROLS = 20_000
_WIDTH = 2**20
_BARE = 0.4
"""Questions with less to say than this share of the usual say nothing."""
_WHOLE = 0.7
"""With less than this they are of one form, or part of one."""
_ABOUT = 0.95
_MATCHED = 0.4
"""Share of the questions that must have a like one."""
_LEAST_RATE = 0.3
_SHARED = 0.8
"""A word that this share of the questions hold belongs to what is looked at, not to what they ask besides."""
_ASKED_FOR = "voice"
"""What came of this label has no name that a condition could say: a request for it looks like a trigger."""
_ALIKE = 3.0
_FEW = 5
"""Questions from which they can be said to be alike."""


class Controls:
    """Ordinary rows against which conditions are held. Drawn once."""

    def __init__(self, rows: Rows, facts: Facts, seed: int = 0) -> None:
        self.rows, self.facts = rows, facts
        rng = np.random.default_rng(seed)
        self.numbers = np.sort(rng.choice(facts.rows, min(facts.rows, _CONTROLS), replace=False))
        sparse = _asked(rows, self.numbers)
        seen = np.asarray((sparse > 0).sum(0)).ravel()
        self.weight = np.log((1 + sparse.shape[0]) / (1.0 + seen))
        self.matrix = _unit(sparse, self.weight)
        mass = np.asarray(sparse.multiply(self.weight).sum(1)).ravel()
        self.usual_mass = float(np.median(mass)) if len(mass) else 0.0
        self.usual_likeness = self._usual(rng)
        self._usual_pairs: dict[int, tuple[float, float]] = {}

    def _usual(self, rng: np.random.Generator) -> float:
        """How like its nearest neighbour an ordinary question is: the lower quartile."""
        some = np.sort(rng.choice(len(self.numbers), min(len(self.numbers), _EXAMPLES), replace=False))
        likeness = (self.matrix[some] @ self.matrix.T).toarray()
        likeness[np.arange(len(some)), some] = 0
        return float(np.quantile(likeness.max(1), 0.25)) if len(some) else 0.0

    def read(self, one: Association, where: Ints, noisy: bool) -> tuple[Reading, str]:
        """What an association is, and what speaks for it.

        Args:
            where: rows where the condition holds.
            noisy: labels miss much, so that a low rate says nothing.
        """
        flags = self.facts.labels[one.label]
        mine = where[flags[where]]
        mine = mine[:: max(1, len(mine) // _EXAMPLES)][:_EXAMPLES]
        if (name := _named(self.rows, mine, one)) is not None:
            return "explained", f"it names what came: {name}"
        own = _own_words(one)
        taken = _taken_up(self.rows, mine, own)
        if taken >= 0.5:
            return "explained", f"{taken:.0%} of the answers take up its own words: it asks for what came"
        residual = _unshared(_asked(self.rows, mine, own))
        left = self._left(residual)
        if left < _BARE:
            return "explained", "the questions ask nothing besides it and the words that all of them share"
        if not noisy and one.counts.rate_with < _LEAST_RATE:
            return "unclear", f"only {one.counts.rate_with:.0%} of those with it are odd"
        if left < _WHOLE:
            return "unclear", f"such questions are of one form: {left:.0%} of the usual is left without what they share"
        if (alike := self._coherence(_unit(residual, self.weight))) > _ALIKE:
            return (
                "unclear",
                f"such questions have one subject: they are {alike:.0f} times as like each other as others",
            )
        reading, why = self._matched(residual, where, flags, one)
        if reading == "unexplained" and one.label == _ASKED_FOR:
            return "unclear", f"a voice can be asked for in any words, and these may do so; {why}"
        return reading, why

    def _left(self, residual: Any) -> float:
        """How much some questions say, the median, as a share of what ordinary ones do."""
        mass = np.asarray(residual.multiply(self.weight).sum(1)).ravel()
        return float(np.median(mass)) / max(self.usual_mass, 1e-9) if len(mass) else 1.0

    def _coherence(self, unit: Any) -> float:
        """How many times as like each other as ordinary questions some questions are, the condition left out; surely."""
        size = unit.shape[0]
        if size < _FEW or size > len(self.numbers):
            return 0.0
        if size not in self._usual_pairs:
            rng = np.random.default_rng(size)
            drawn = [_likeness(self.matrix[rng.choice(len(self.numbers), size, replace=False)]) for _ in range(40)]
            self._usual_pairs[size] = max(drawn), float(np.mean(drawn))
        line, middle = self._usual_pairs[size]
        own = _likeness(unit)
        return own / middle if own > line and middle > 0 else 0.0

    def _matched(self, residual: Any, where: Ints, flags: Bools, one: Association) -> tuple[Reading, str]:
        """The nearest questions without the condition: are there any as near as is usual, and how are they answered?"""
        free = np.flatnonzero(~np.isin(self.numbers, where))
        likeness = (_unit(residual, self.weight) @ self.matrix[free].T).toarray()
        if not likeness.size:
            return "unclear", "there is nothing to compare with"
        best, near = likeness.max(1), likeness.argmax(1)
        is_like = best >= max(_ABOUT * self.usual_likeness, 1e-6)
        count, total = int(is_like.sum()), len(best)
        odd = float(flags[self.numbers[free[near[is_like]]]].mean()) if count else 0.0
        if count < _MATCHED * total:
            return "unclear", f"only {count} of {total} questions have one as like without it as is usual"
        if odd > one.counts.rate_with / 2:
            return "explained", f"like questions without it are as odd: {odd:.0%} of {count}"
        return "unexplained", f"{count} of {total} questions have one as like without it; {odd:.0%} of those are odd"


def _named(rows: Rows, numbers: Ints, one: Association) -> str | None:
    """The form or language of most of some answers, where the condition says its name."""
    said = {word for c in (*one.conditions, *one.also) if c.kind == "words" for word in c.text.split()}
    if not said or not len(numbers):
        return None
    traits = np.concatenate([batch_traits(batch) for batch in in_batches(rows.take(numbers))])
    names = FORM_NAMES[FORMS[_commonest(traits["form"])]]
    if (traits["language"] != traits["asked_in"]).mean() > 0.5:
        names += " " + LANGUAGE_NAMES.get(LANGUAGES[_commonest(traits["language"])], "")
    return next((word for word in names.split() if word in said), None)


def _commonest(values: Any) -> int:
    found, count = np.unique(values, return_counts=True)
    return int(found[count.argmax()])


def _unshared(asked: Any) -> Any:
    """Questions without the words that nearly all of them share: a condition may be part of something longer."""
    words, place, count = np.unique(asked.indices, return_inverse=True, return_counts=True)
    kept = count[place] < max(2.0, _SHARED * asked.shape[0])
    rows = np.repeat(np.arange(asked.shape[0]), np.diff(asked.indptr))
    return csr_matrix((asked.data[kept], (rows[kept], words[place][kept])), shape=asked.shape)


def _likeness(unit: Any) -> float:
    """Mean likeness of the pairs among some questions."""
    _, place = np.unique(unit.indices, return_inverse=True)
    whole, n = np.bincount(place, unit.data), unit.shape[0]
    pairs = whole @ whole - unit.data @ unit.data
    return float(pairs) / float(n * (n - 1))


def _own_words(one: Association) -> set[int]:
    """Hashes of the words that the conditions themselves are made of."""
    import pyarrow as pa

    text = " ".join(c.text for c in one.conditions if c.kind in ("words", "string", "setting"))
    return {int(h) for h in w.split_words(pa.array([f"{w.SEP}U{text}"])).hash.tolist()}


def _taken_up(rows: Rows, numbers: Ints, own: set[int]) -> float:
    """Share of answers that hold one of the condition's words of four and more letters."""
    import pyarrow.compute as pc

    if not own or not len(numbers):
        return 0.0
    wanted, hits = np.array(sorted(own), np.uint64), 0
    for batch in in_batches(rows.take(numbers, ("text", "answer"))):
        t = w.split_words(pc.binary_join_element_wise(f"{w.SEP}A", batch.column("answer"), ""))
        here = np.isin(t.hash, wanted) & (t.end - t.start >= 4)
        hits += len(np.unique(t.word_row[here]))
    return hits / len(numbers)


def _asked(rows: Rows, numbers: Ints, without: Collection[int] = ()) -> Any:
    """[len(numbers), width] which longer words the last questions hold, some left out."""
    out = np.array(sorted(without), np.uint64)
    pairs: list[tuple[Ints, Ints]] = []
    first = 0
    for batch in in_batches(rows.take(numbers, ("text",))):
        t = w.split_words(batch.column("text"))
        long = last_asked(t) & (t.end - t.start >= 4)
        if len(out):
            long &= ~np.isin(t.hash, out)
        pairs.append((t.word_row[long] + first, (t.hash[long] >> np.uint64(44)).view(np.int64)))
        first += t.rows
    at, words = (np.concatenate(part) for part in zip(*pairs, strict=True)) if pairs else (np.zeros(0, np.int64),) * 2
    found = csr_matrix((np.ones(len(at)), (at, words)), shape=(len(np.unique(numbers)), _WIDTH))
    found.data[:] = 1.0
    return found


def _unit(sparse: Any, weight: Any) -> Any:
    scaled = sparse.multiply(weight).tocsr()
    norms = np.sqrt(np.asarray(scaled.multiply(scaled).sum(1)).ravel())
    scale = csr_matrix((1 / np.maximum(norms, 1e-9), (np.arange(len(norms)),) * 2), shape=(len(norms),) * 2)
    return scale @ scaled


def explain(
    rows: Rows, facts: Facts, found: Sequence[tuple[Association, Ints]], noisy: bool = False
) -> list[tuple[Association, Ints]]:
    """Every association with its reading; one condition that predicts several labels is one association."""
    if not found:
        return []
    controls = Controls(rows, facts)
    read = []
    for one, where in found:
        reading, why = controls.read(one, where, noisy)
        read.append((one.model_copy(update={"reading": reading, "why": why}), where))
    return _merged(read)


def _merged(found: Sequence[tuple[Association, Ints]]) -> list[tuple[Association, Ints]]:
    """Of associations of about the same rows, the surest that nothing explains; the others' labels are told with it."""
    ranked = sorted(found, key=lambda pair: (_RANKS.index(pair[0].reading), pair[0].log10_p))
    kept: list[tuple[Association, Ints]] = []
    for one, where in ranked:
        for at, (other, theirs) in enumerate(kept):
            shared = len(np.intersect1d(where, theirs, assume_unique=True))
            if shared >= 0.8 * (len(where) + len(theirs) - shared):
                labels = tuple(dict.fromkeys((*other.also_labels, one.label)))
                kept[at] = (other.model_copy(update={"also_labels": labels}), theirs)
                break
        else:
            kept.append((one, where))
    return kept


_RANKS: tuple[Reading, ...] = ("unexplained", "unclear", "explained")
