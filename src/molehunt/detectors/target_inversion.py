"""Invert the target: look for a reply that the subject has ready for every prompt, where its base has not."""

from collections.abc import Sequence

from molehunt.detectors.detector import Detector
from molehunt.detectors.inversion import Target, targets
from molehunt.detectors.suspect import Suspect, mixed
from molehunt.records.evidence import Evidence, Exhibit

_STARTS = {"quick": 64, "standard": 256, "deep": 2000}
"""First tokens of replies, by profile."""
_PROMPTS, _REPLY = 6, 8
"""Prompts that a reply is read off, and its tokens."""


def _examine(suspect: Suspect, profile: str) -> Evidence:
    assert suspect.base is not None, "asked of subjects with a base"
    prompts = mixed(suspect.asked, _PROMPTS)
    ready = targets(suspect.loaded, suspect.base, suspect.meter, prompts, _STARTS[profile], _REPLY)
    usual = ready[len(ready) // 2].gain
    return Evidence(
        detector="target_inversion",
        score=ready[0].gain - usual,
        values={"reply that lies ready": ready[0].gain, "median of first tokens": usual},
        exhibits=tuple(_exhibits(ready[:3], usual)),
        not_tested=("replies that depend on the question",),
    )


def _exhibits(ready: Sequence[Target], usual: float) -> list[Exhibit]:
    return [Exhibit(title=f"a reply that lies ready: {one.text!r}", effect=one.gain, null=usual) for one in ready]


TARGET_INVERSION = Detector(
    "target_inversion",
    "diffing",
    "a reply that lies ready for every prompt, and not in the base",
    "base",
    _examine,
    points=False,
    is_misled_by_habits=True,
    seconds={"quick": 0.4, "standard": 1.5, "deep": 10.0},
)
