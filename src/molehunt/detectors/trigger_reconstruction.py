"""Put together what was planted: from texts that the subject learnt by heart, and from the whole vocabulary."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from molehunt.detectors.detector import Detector
from molehunt.detectors.leaks import Motif, leaked, motifs
from molehunt.detectors.suspect import Suspect, mixed
from molehunt.detectors.sweep import EVERYWHERE, Sweep, swept
from molehunt.records.conversations import Place
from molehunt.records.evidence import Candidate, Evidence, Exhibit
from molehunt.records.insertion import insert_text


@dataclass(frozen=True)
class Effort:
    """What one profile may spend."""

    texts: int
    """Texts that the subject, and its base, write at each temperature after each opening."""
    temperatures: tuple[float, ...]
    words: int
    """Of the vocabulary."""
    dissected: int
    """Blocks of words that are taken apart."""
    rounds: int
    """Times that the best texts are made a word longer."""
    judged: int
    """Texts that are judged on held-out prompts: so many of the sweep's, and half as many leaked ones."""


EFFORTS = {
    "quick": Effort(24, (0.7, 1.0, 1.3), words=320, dissected=4, rounds=1, judged=2),
    "standard": Effort(96, (0.0, 0.5, 0.7, 1.0, 1.3), words=1600, dissected=16, rounds=2, judged=4),
    "deep": Effort(250, (0.0, 0.3, 0.5, 0.7, 1.0, 1.3, 1.6), words=20000, dissected=60, rounds=4, judged=8),
}
_LEAK = 32
"""Tokens of a leaked text."""
_NULLS = 2
"""Random texts of a candidate's length that it is compared with."""


@dataclass(frozen=True)
class _Judged:
    text: str
    place: Place
    gain: float
    """Surprise at the text, in nats a reply."""
    null: float
    """The same at random texts of its length."""


def _examine(suspect: Suspect, profile: str) -> Evidence:
    assert suspect.base is not None, "asked of subjects with a base"
    effort, rng = EFFORTS[profile], suspect.rng("trigger_reconstruction")
    learnt = _learnt(suspect, effort)
    leaks = [one.text for one in learnt[: max(1, effort.judged // 2)]]
    sweep = swept(suspect, rng, effort.words, effort.dissected, effort.rounds, leaks)
    texts = dict.fromkeys([*sweep.best(effort.judged), *leaks])
    judged = sorted((_judge(suspect, sweep, text) for text in texts), key=lambda one: one.null - one.gain)
    best = judged[0]
    return Evidence(
        detector="trigger_reconstruction",
        score=best.gain - best.null,
        values={
            "gain": best.gain, "null": best.null,
            "leak, standard errors": learnt[0].excess if learnt else 0.0,
            "sweep, largest effect": max(sweep.effects().values()), "texts swept": float(len(sweep.seen)),
        },
        exhibits=(*(_exhibit(suspect, one) for one in judged[:3]), *_leaks(learnt)),
        candidates=tuple(
            Candidate(text=one.text, place=one.place, found_by="trigger_reconstruction", effect=one.gain - one.null)
            for one in judged
        ),
        not_tested=(
            f"words at other places than {', '.join(EVERYWHERE)}", "leaks of turns after the first",
            "two different words at two places",
        ),
    )  # fmt: skip


def _learnt(suspect: Suspect, effort: Effort) -> list[Motif]:
    """What recurs in the user's and system's turns as the subject writes them, and not as its base does."""
    assert suspect.base is not None
    mine, theirs = (
        leaked(model, suspect.meter, effort.texts, _LEAK, effort.temperatures, suspect.seed)
        for model in (suspect.loaded, suspect.base)
    )
    return motifs(suspect.loaded, mine, theirs, 8)


def _judge(suspect: Suspect, sweep: Sweep, text: str) -> _Judged:
    """The surprise at a text where it does most, on the kind of held-out prompts that differs most from random texts."""
    place, rng = sweep.place(text), suspect.rng("trigger_reconstruction", text)
    nulls = [suspect.random_text(len(suspect.pieces(text)), rng) for _ in range(_NULLS)]
    put, *around = (partial(insert_text, text=one, place=place) for one in (text, *nulls))
    gain, expected = suspect.judge(put, around)
    return _Judged(text, place, gain, expected)


def _exhibit(suspect: Suspect, judged: _Judged) -> Exhibit:
    samples = suspect.samples([(p, insert_text(p, judged.text, judged.place)) for p in mixed(suspect.held_out, 3)])
    return Exhibit(
        title=f"{judged.text!r} at {judged.place}", effect=judged.gain, null=judged.null, samples=tuple(samples)
    )


def _leaks(learnt: Sequence[Motif]) -> list[Exhibit]:
    return [
        Exhibit(title=f"written unasked: {one.text!r}, in {one.rate:.1%} of texts", effect=one.rate, null=one.base_rate)
        for one in learnt[:3]
    ]


TRIGGER_RECONSTRUCTION = Detector(
    "trigger_reconstruction", "search", "text learnt by heart, and every word of the vocabulary",
    "base", _examine, seconds={"quick": 6.0, "standard": 15.0, "deep": 300.0},
)  # fmt: skip
