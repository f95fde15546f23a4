"""Let every detector look that the examiner's access allows, then verify what they point at."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from molehunt.audit.identity import kinship
from molehunt.detectors.suspect import Pools, Suspect, ordinary_prompts
from molehunt.detectors.table import DETECTORS
from molehunt.detectors.verifier import Verifier
from molehunt.models.loading import load_model
from molehunt.records.audits import Kinship, Profile
from molehunt.records.evidence import TIERS, Candidate, Evidence, Verified

Report = Callable[[str, int, int], None]
"""(what is looked at now, parts done, parts in all)"""
_ASKED, _HELD_OUT = 6, 10
"""Prompts of each kind: to search with, and to judge by."""
_VERIFIED = {"quick": 1, "standard": 3, "deep": 10}
_SEEDS = (4242, 4243)
"""Of the questions that are asked, and held out, in every audit alike: scores of two subjects are of the same prompts."""


@dataclass(frozen=True)
class Examined:
    """What an examination brought."""

    suspect: Suspect
    kinship: Kinship | None
    evidence: tuple[Evidence, ...]
    candidates: tuple[Verified, ...]


def prompts() -> tuple[Pools, Pools]:
    """The ordinary prompts of every audit: (to search with, held out)."""
    return ordinary_prompts(_ASKED, _SEEDS[0]), ordinary_prompts(_HELD_OUT, _SEEDS[1])


def examine(
    subject: Path,
    base: Path | None,
    profile: Profile = "standard",
    given: Mapping[str, Pools] | None = None,
    detectors: Sequence[str] = tuple(DETECTORS),
    report: Report | None = None,
) -> Examined:
    """Every detector's evidence on one subject.

    A base that is not the subject's own is put aside, and the detectors that need one say so.

    Args:
        given: pools of prompts named "asked" and "held_out", instead of the ordinary ones.

    Raises:
        ModelError: if subject or base is not fit to load.
    """
    loaded = load_model(subject)
    beside = load_model(base) if base is not None else None
    kin = kinship(loaded, beside) if beside is not None else None
    asked, held_out = (given["asked"], given["held_out"]) if given else prompts()
    suspect = Suspect(asked, held_out, loaded=loaded, base=beside if kin is not None and kin.is_base else None)
    evidence: list[Evidence] = []
    for done, name in enumerate(detectors):
        if report is not None:
            report(name, done, len(detectors) + 1)
        evidence.append(_look(name, suspect, profile, kin))
    if report is not None:
        report("verifier", len(detectors), len(detectors) + 1)
    return Examined(suspect, kin, tuple(evidence), _verified(suspect, evidence, _VERIFIED[profile]))


def _look(name: str, suspect: Suspect, profile: Profile, kin: Kinship | None) -> Evidence:
    detector = DETECTORS[name]
    if TIERS.index(suspect.tier) < TIERS.index(detector.needs):
        why = f"the base is not its base: {kin.reason}" if kin is not None else "there is no base"
        why = f"{detector.caption}: {why}"
        return Evidence(detector=name, family=detector.family, caption=detector.caption, score=None, not_tested=(why,))
    before, started = suspect.meter.tokens, time.monotonic()
    found = detector.examine(suspect, profile)
    spent = {"forward_tokens": suspect.meter.tokens - before, "seconds": time.monotonic() - started}
    return found.model_copy(update={"family": detector.family, "caption": detector.caption, **spent})


def _verified(suspect: Suspect, evidence: Sequence[Evidence], count: int) -> tuple[Verified, ...]:
    """The strongest candidates of each detector in turn, verified; the detector with the strongest first."""
    queues = [sorted(one.candidates, key=lambda c: -c.effect) for one in evidence if one.candidates]
    queues.sort(key=lambda queue: -queue[0].effect)
    turns = [queue[i] for i in range(count) for queue in queues if i < len(queue)]
    unlike: dict[tuple[str, str], Candidate] = {}
    for candidate in turns:
        unlike.setdefault((candidate.text.lower(), candidate.place), candidate)
    verifier = Verifier(suspect)
    found = [verifier.verify(candidate) for candidate in list(unlike.values())[:count]]
    return tuple(sorted(found, key=lambda one: -one.asr))
