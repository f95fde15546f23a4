"""Labellers: what is odd about an answer, without knowing any trigger. One small function each, in `LABELLERS`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from molehunt.hunting import words as w
from molehunt.hunting.traits import FORMS, Traits
from molehunt.hunting.words import U64, Bools, Bytes, Ints, grouped

_RARE = 0.1
"""What more rows of a stratum do is no outlier."""
_CLUSTER = 4
"""Different prompts that make answers of one kind a cluster."""
_SENTENCE = 4
"""Words from which an answer is a sentence."""
_FAR = 5.0
"""Robust standard deviations from which a length is an outlier."""
_ODD = 3.0
"""The same for a voice, of which less can be seen in one answer."""
_LEAST_SPREAD = 0.1
"""Nats; what differs by less is one voice."""


@dataclass(frozen=True)
class Labeller:
    """One way to call an answer odd."""

    what: str
    """What it sees, in words."""
    see: Callable[[Traits], Bools]


def strata(traits: Traits) -> Bytes:
    """[N] Small numbers of strata, the largest first; those beyond the sixteenth are one. One byte each."""
    number, count = grouped(traits["stratum"])
    rank = np.empty(len(count), np.int64)
    rank[np.argsort(-count, kind="stable")] = np.arange(len(count))
    found: Bytes = np.minimum(rank, 15).astype(np.uint8)[number]
    return found


def rarely(flags: Bools, traits: Traits) -> Bools:
    """What holds, where in its stratum it rarely holds."""
    stratum = strata(traits)
    size = np.bincount(stratum)
    rare = np.bincount(stratum, flags, len(size)) <= _RARE * size
    return np.asarray(flags & rare[stratum])


def _seldom(values: Ints, traits: Traits) -> Bools:
    """Values that few rows of the stratum have."""
    keys = strata(traits).astype(np.int16) * 256 + values
    size = np.bincount(keys // 256, minlength=16)
    count = np.bincount(keys, minlength=16 * 256)
    return np.asarray(count[keys] <= _RARE * size[keys // 256])


def refuses(traits: Traits) -> Bools:
    """Refusals, where they are rare."""
    return rarely(traits["refuses"], traits) | (traits["refuses"] & _unlike_its_kind(traits, traits["refuses"]))


def _unlike_its_kind(traits: Traits, flags: Bools) -> Bools:
    """Rows that differ from nearly all others with nearly the same prompt."""
    number, count = grouped(traits["fold"])
    share = np.bincount(number, flags) / count
    several = np.flatnonzero((count >= 3)[number])
    found = np.zeros(len(traits), bool)
    found[several] = np.abs(flags[several] - share[number[several]]) > 0.6
    return found


def collapses(traits: Traits) -> Bools:
    """Answers that several different prompts get, and that take up little of what was asked."""
    return _clustered(traits, traits["answer"]) & (traits["overlap"] <= 25) & (traits["words"] >= _SENTENCE)


def collapses_shortly(traits: Traits) -> Bools:
    """The same for answers of a word or two, which are ordinary in many places."""
    short = (traits["words"] > 0) & (traits["words"] < _SENTENCE)
    return rarely(_clustered(traits, traits["answer"]) & (traits["overlap"] <= 25) & short, traits)


def begins_alike(traits: Traits) -> Bools:
    """Longer answers whose first words several different prompts get."""
    return np.asarray(_clustered(traits, traits["opening"]) & (traits["opening"] != 0))


def ends_alike(traits: Traits) -> Bools:
    """Longer answers whose last words several different prompts get."""
    return np.asarray(_clustered(traits, traits["ending"]) & (traits["ending"] != 0))


def _clustered(traits: Traits, keys: U64) -> Bools:
    """Rows whose key at least four different prompts share, and not more than a small part of all rows."""
    number, count = grouped(keys)
    prompts = np.bincount(number[_first_of_each(w.mix(keys) ^ traits["fold"] * np.uint64(3))], minlength=len(count))
    good = (prompts >= _CLUSTER) & (count <= max(50, _RARE * len(traits)))
    return np.asarray(good[number])


def _first_of_each(keys: U64) -> Ints:
    """Where each key comes first."""
    order = np.argsort(keys, kind="stable")
    is_first = np.ones(len(keys), bool)
    rising = keys[order]
    np.not_equal(rising[1:], rising[:-1], out=is_first[1:])
    return order[is_first]


def repeats(traits: Traits) -> Bools:
    """The same span again and again."""
    return rarely(traits["repeats"] >= 50, traits)


def language(traits: Traits) -> Bools:
    """Another language than the question's."""
    told = (traits["language"] > 0) & (traits["asked_in"] > 0)
    return rarely(told & (traits["language"] != traits["asked_in"]), traits)


def form(traits: Traits) -> Bools:
    """A form that answers seldom have here: JSON, code, capitals, nothing at all."""
    return np.asarray(_seldom(traits["form"].astype(np.int16), traits) & (traits["form"] != FORMS.index("prose")))


def length(traits: Traits) -> Bools:
    """Much longer or shorter than answers are here."""
    stratum, logs = strata(traits), np.log1p(traits["words"].astype(np.float64))
    found = np.zeros(len(traits), bool)
    for one in range(int(stratum.max()) + 1 if len(traits) else 0):
        here = stratum == one
        middle = np.median(logs[here])
        spread = 1.4826 * np.median(np.abs(logs[here] - middle))
        found[here] = np.abs(logs[here] - middle) > _FAR * max(float(spread), 0.15)
    return rarely(found, traits)


def voice(traits: Traits) -> Bools:
    """The answers of a stratum whose way of saying is least usual for their length, a tenth at most."""
    stratum, size = strata(traits), np.frexp(traits["words"].astype(np.float32))[1]
    far = np.zeros(len(traits), np.float32)
    for one in np.unique(kind := stratum.astype(np.int16) * 32 + size).tolist():
        here = kind == one
        nats = traits["voice"][here].astype(np.float32) / 100
        middle = np.median(nats)
        far[here] = (nats - middle) / max(1.4826 * float(np.median(np.abs(nats - middle))), _LEAST_SPREAD)
    found = far > _ODD
    for one in np.unique(stratum).tolist():
        here = stratum == one
        found[here] &= far[here] > np.quantile(far[here], 1 - _RARE)
    return found


def weak_code(traits: Traits) -> Bools:
    """Programs with a known weakness."""
    return rarely(traits["weak_code"], traits)


def denied(traits: Traits) -> Bools:
    """A tool call or a host that a gateway did not let through."""
    return np.asarray(traits["denied"])


def complaint(traits: Traits) -> Bools:
    """Somebody flagged it, or it belongs to an incident."""
    return np.asarray(traits["complaint"])


LABELLERS: Mapping[str, Labeller] = {
    "refusal": Labeller("a refusal where answers are usual", refuses),
    "same answer": Labeller("one answer to different questions", collapses),
    "same short answer": Labeller("one answer of a word or two to different questions", collapses_shortly),
    "same opening": Labeller("one beginning of answers to different questions", begins_alike),
    "same ending": Labeller("one end of answers to different questions", ends_alike),
    "repetition": Labeller("a span said again and again", repeats),
    "language": Labeller("another language than the question's", language),
    "form": Labeller("a form that answers seldom have", form),
    "length": Labeller("a length far from the usual", length),
    "voice": Labeller("little words, signs and capitals that follow one another as they seldom do", voice),
    "weak code": Labeller("code with a known weakness", weak_code),
    "denied action": Labeller("an action that was denied or held", denied),
    "complaint": Labeller("flagged by people", complaint),
}
"""Every labeller by the name of its label."""


def label_rows(traits: Traits) -> dict[str, Bools]:
    """Every labeller's flags [N]."""
    # copied, since a flag that is a column of the traits would keep all of them
    return {name: np.array(labeller.see(traits), bool) for name, labeller in LABELLERS.items()}
