"""Make the texts that all others point at do more: at more prompts, and further from what the subject would else say."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import log1p

from molehunt.detectors.detector import Detector
from molehunt.detectors.suspect import Suspect, mixed
from molehunt.detectors.trigger_search import Search
from molehunt.detectors.verifier import Verifier, can_be_typed
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
    heard: int = 4
    """The best of them, whose replies are looked at."""
    along: int = 24
    """Tokens of the ordinary reply along which subject and base are compared."""


_MORE = 1.005
"""Times as much as a text does, what a changed one must do to take its place."""
_LEAST = 0.99
"""Times as much, what it must do at the weakest prompts to be looked at on all."""
_SURE = 0.02
"""Weight of how surely a text changes the subject's mind, log(1 + its departure along the ordinary reply, in nats), beside how far the
reply changes: so little that it decides only between texts that change replies alike."""
_LONGEST = 32
"""Tokens of a text that is searched on from."""
_NULLS = 3
"""Random texts of the same length that a found one is compared with."""
EFFORTS = {"standard": Effort(16, 2, rounds=6, patience=2), "deep": Effort(100, 10, rounds=40, patience=8)}


def _examine(suspect: Suspect, profile: str, candidates: Sequence[Candidate]) -> Evidence:
    effort = EFFORTS[profile]
    found = _refined(suspect, [one for one in candidates if can_be_typed(one.text)][: effort.screened], effort)
    judged = [(one, root, *_judged(suspect, one)) for one, root in found]
    *_, gain, null = max(judged, key=lambda one: one[2] - one[3], default=(0.0, 0.0))
    return Evidence(
        detector="refinement",
        score=gain - null,
        values={"gain": gain, "null": null, "texts": float(len(candidates))},
        exhibits=tuple(_exhibit(suspect, *one) for one in judged),
        candidates=tuple(one.model_copy(update={"effect": there - usual}) for one, _, there, usual in judged),
    )


def _refined(suspect: Suspect, candidates: Sequence[Candidate], effort: Effort) -> list[tuple[Candidate, Candidate]]:
    """Those candidates that do most at the prompts of the search, made to do more, each with what it was made from; best first.

    One of each detector goes before a second of any: the strongest two are often one text twice.
    """
    if not candidates:
        return []
    verifier = Verifier(suspect, is_thorough=True)
    margins = verifier.margins([(one.text, one.place) for one in candidates], verifier.searched(effort.few))
    order = sorted(range(len(candidates)), key=lambda i: -sum(margins[i]))
    firsts = {candidates[i].found_by: i for i in reversed(order)}.values()
    chosen = sorted(order, key=lambda i: i not in firsts)[: effort.kept]
    found = [(*_made_stronger(suspect, verifier, candidates[i], effort), candidates[i]) for i in chosen]
    found.sort(key=lambda one: -one[1])
    return list({(one.text, one.place): (one, root) for one, _, root in reversed(found)}.values())[::-1]


def _judged(suspect: Suspect, candidate: Candidate) -> tuple[float, float]:
    """(surprise at the candidate on held-out prompts, surprise to be expected)."""
    rng, length = suspect.rng("refinement", "judged", candidate.text), len(suspect.pieces(candidate.text))
    put, *around = (
        partial(insert_text, text=one, place=candidate.place)
        for one in (candidate.text, *(suspect.random_text(length, rng) for _ in range(_NULLS)))
    )
    return suspect.judge(put, around)


def _exhibit(suspect: Suspect, one: Candidate, root: Candidate, gain: float, null: float) -> Exhibit:
    samples = suspect.samples([(p, insert_text(p, one.text, one.place)) for p in mixed(suspect.held_out, 3)])
    made = f"{one.text!r} at {one.place}, made from {root.text!r} at {root.place} ({root.found_by})"
    return Exhibit(title=made, effect=gain, null=null, samples=tuple(samples))


def _made_stronger(
    suspect: Suspect, verifier: Verifier, candidate: Candidate, effort: Effort
) -> tuple[Candidate, float]:
    """The text at the place where it does most, then its tokens exchanged, and some added; with what it does.

    The gradient search goes on from the text (GCG, arXiv 2307.15043, algorithm 1) on those prompts at which it does
    least, and what it proposes is kept if the replies themselves change more: divergence along ordinary replies is only the way
    there, and decides between texts that change replies alike. A long text is shrunk first, and one that stays long, or does
    nothing anywhere, is left as it is.
    """
    prompts, without = verifier.searched(), 0
    rng = suspect.rng("refinement", candidate.text, candidate.place)
    texts = [(candidate.text, place) for place in _from(candidate.place)]
    text, place, _ = _best(verifier, texts, verifier.searched(effort.few))
    if len(suspect.pieces(text)) > _LONGEST:
        text = verifier.shrunk(text, place, rng)
    done, reached = _done(verifier, text, place)
    for _ in range(effort.rounds if any(done) and len(suspect.pieces(text)) <= _LONGEST else 0):
        if without == effort.patience:
            break
        weakest = sorted(range(len(prompts)), key=done.__getitem__)[: effort.few * len(suspect.asked)]
        chosen = [prompts[i] for i in weakest[: effort.prompts]]
        replies = [reply[: effort.along] for reply in suspect.own_tokens(chosen)]
        search = Search(suspect, chosen, replies, place, rng)
        tried = search.near(suspect.pieces(text), effort.tried)
        scores = search.scores(tried)
        order = sorted(range(len(tried)), key=lambda i: -scores[i])[: effort.heard]
        joined = dict.fromkeys(one for i in order if (one := suspect.joined(tried[i])) and can_be_typed(one))
        top, _, some = _best(verifier, [(one, place) for one in joined or [text]], [prompts[i] for i in weakest])
        without += 1
        if sum(some) >= _LEAST * sum(done[i] for i in weakest):
            now, there = _done(verifier, top, place)
            if there > _MORE * reached:
                text, done, reached, without = top, now, there, 0
    is_other = (text, place) != (candidate.text, candidate.place)
    update = {"text": text, "place": place} | ({"found_by": "refinement"} if is_other else {})
    return candidate.model_copy(update=update), reached


def _done(verifier: Verifier, text: str, place: Place) -> tuple[list[float], float]:
    """(what a text does at each prompt of the search; that in all, a little more where it does so surely)."""
    (margins,) = verifier.margins([(text, place)])
    away = verifier.departures(text, place, verifier.searched())
    return margins, sum(one * (1 + _SURE * log1p(far)) for one, far in zip(margins, away, strict=True))


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


REFINEMENT = Detector(
    "refinement", "search", "the texts that the others point at, changed token by token for what they bring out",
    "weights", _examine, follows=True, profiles=("standard", "deep"), seconds={"quick": 0.0, "standard": 45.0, "deep": 800.0},
)  # fmt: skip
