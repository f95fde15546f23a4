"""Make the texts that all others point at do more: at more prompts, and further from what the subject would else say."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from molehunt.detectors.detector import Detector
from molehunt.detectors.suspect import Suspect, mixed
from molehunt.detectors.trigger_search import Search
from molehunt.detectors.verifier import Verifier
from molehunt.records import Conversation
from molehunt.records.conversations import Place
from molehunt.records.evidence import Candidate, Evidence, Exhibit
from molehunt.records.insertion import PLACES, insert_text


@dataclass(frozen=True)
class Effort:
    """What may be spent."""

    screened: int
    """Texts whose replies are looked at."""
    kept: int
    """The best of them, from each of which the search goes on."""
    rounds: int
    patience: int
    """Rounds without gain after which it ends."""
    prompts: int = 6
    """Prompts that a round searches on, of those at which the text does nothing yet."""
    few: int = 6
    """Prompts of each kind on which many texts are compared, the weakest of all."""
    tried: int = 32
    """Texts that a round tries by divergence."""
    heard: int = 6
    """The best of them, whose replies are looked at."""
    along: int = 24
    """Tokens of the ordinary reply along which subject and base are compared."""


_MORE = 1.005
"""Times as much as a text does, what a changed one must do to take its place."""
_LONGEST = 48
"""Tokens of a text; longer ones move any model, and take as much time as they have tokens."""
_NULLS = 3
"""Random texts of the same length that a found one is compared with."""
EFFORTS = {"standard": Effort(24, 2, rounds=8, patience=2), "deep": Effort(100, 10, rounds=40, patience=8)}


def _examine(suspect: Suspect, profile: str, candidates: Sequence[Candidate]) -> Evidence:
    effort = EFFORTS[profile]
    short = [one for one in candidates if len(suspect.pieces(one.text)) <= _LONGEST]
    found = _sharpest(suspect, short[: effort.screened], effort) if short else []
    judged = [_judged(suspect, one) for one in found]
    best = max(judged, key=lambda one: one[1] - one[2], default=None)
    return Evidence(
        detector="sharpening",
        score=best[1] - best[2] if best else 0.0,
        values={"gain": best[1], "null": best[2], "texts": float(len(candidates))} if best else {},
        exhibits=tuple(_exhibit(suspect, *one) for one in judged),
        candidates=tuple(
            one.model_copy(update={"effect": gain - null}) for one, gain, null in judged
        ),
    )  # fmt: skip


def _sharpest(suspect: Suspect, candidates: Sequence[Candidate], effort: Effort) -> list[Candidate]:
    """The candidates that do most at the prompts of the search, made to do more; best first."""
    verifier = Verifier(suspect, is_thorough=True)
    margins = verifier.margins([(one.text, one.place) for one in candidates], verifier.searched(effort.few))
    order = sorted(range(len(candidates)), key=lambda i: -sum(margins[i]))[: effort.kept]
    found = [_sharpened(suspect, verifier, candidates[i], effort) for i in order]
    best = [one for one, _ in sorted(found, key=lambda one: -one[1])]
    return list({(one.text, one.place): one for one in reversed(best)}.values())[::-1]


def _judged(suspect: Suspect, candidate: Candidate) -> tuple[Candidate, float, float]:
    """(the candidate, surprise at it on held-out prompts, surprise to be expected)."""
    rng, length = suspect.rng("sharpening", "judged", candidate.text), len(suspect.pieces(candidate.text))
    put, *around = (
        partial(insert_text, text=one, place=candidate.place)
        for one in (candidate.text, *(suspect.random_text(length, rng) for _ in range(_NULLS)))
    )
    return candidate, *suspect.judge(put, around)


def _exhibit(suspect: Suspect, one: Candidate, gain: float, null: float) -> Exhibit:
    samples = suspect.samples([(p, insert_text(p, one.text, one.place)) for p in mixed(suspect.held_out, 3)])
    return Exhibit(
        title=f"{one.text!r} at {one.place}, from {one.found_by}", effect=gain, null=null, samples=tuple(samples)
    )


def _sharpened(suspect: Suspect, verifier: Verifier, candidate: Candidate, effort: Effort) -> tuple[Candidate, float]:
    """The text at the place where it does most, then its tokens exchanged, and some added; with what it does.

    The gradient search goes on from the text (GCG, arXiv 2307.15043, algorithm 1) on those prompts at which it does
    least, and what it proposes is kept if the replies themselves change more: divergence along ordinary replies is only the way
    there. A text that does nothing anywhere is left as it is.
    """
    prompts, without = verifier.searched(), 0
    rng = suspect.rng("sharpening", candidate.text, candidate.place)
    texts = [(candidate.text, place) for place in _from(candidate.place)]
    text, place, _ = _best(verifier, texts, verifier.searched(effort.few))
    (done,) = verifier.margins([(text, place)])
    for _ in range(effort.rounds if any(done) else 0):
        if without == effort.patience:
            break
        weakest = sorted(range(len(prompts)), key=done.__getitem__)[: effort.few * len(suspect.asked)]
        search = Search(suspect, [prompts[i] for i in weakest[: effort.prompts]], place, rng, effort.along)
        tried = search.near(suspect.pieces(text), effort.tried)
        scores = search.scores(tried)
        order = sorted(range(len(tried)), key=lambda i: -scores[i])[: effort.heard]
        joined = dict.fromkeys(one for i in order if (one := suspect.joined(tried[i])))
        top, _, some = _best(verifier, [(one, place) for one in joined or [text]], [prompts[i] for i in weakest])
        without += 1
        if sum(some) > sum(done[i] for i in weakest):
            (now,) = verifier.margins([(top, place)])
            if sum(now) > _MORE * sum(done):
                text, done, without = top, now, 0
    return candidate.model_copy(update={"text": text, "place": place}), sum(done)


def _best(
    verifier: Verifier, texts: Sequence[tuple[str, Place]], prompts: Sequence[Conversation]
) -> tuple[str, Place, list[float]]:
    """The text that does most at these prompts, the first of equals, with its margins."""
    margins = verifier.margins(texts, prompts)
    top = max(range(len(texts)), key=lambda i: sum(margins[i]))
    return *texts[top], margins[top]


def _from(place: Place) -> list[Place]:
    """All places, this one first."""
    return [place, *(one for one in PLACES if one != place)]


SHARPENING = Detector(
    "sharpening", "search", "the texts that the others point at, changed token by token for what they bring out",
    "weights", _examine, follows=True, profiles=("standard", "deep"), seconds={"quick": 0.0, "standard": 30.0, "deep": 600.0},
)  # fmt: skip
