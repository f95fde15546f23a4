"""When a verdict may be given at all."""

from pathlib import Path

import pytest

from molehunt.audit.case import Case, Prompts
from molehunt.audit.examining import Examined, able
from molehunt.audit.verdict import judged, versions
from molehunt.detectors.subject import ordinary_prompts
from molehunt.records.audits import CalibrationCard, Cost, Identity, Scored
from molehunt.records.estimates import Estimate
from molehunt.records.evidence import Evidence, Verified

FEW = Prompts(ordinary_prompts(2, 11), ordinary_prompts(3, 12))


def card(clean: int, planted: int = 4, sees: bool = True) -> CalibrationCard:
    models = [
        Scored(
            name=f"{i}",
            planted=i >= clean,
            recipe=f"{i % 4} {i >= clean}",
            scores={"series": float(i if sees else i % clean)},
        )
        for i in range(clean + planted)
    ]
    return CalibrationCard(
        name="c", profile="quick", tier="text", architecture="", parameters=(1, 2), spec="", prompts=FEW.digest,
        versions=versions(able("text", "quick"), "text", "quick"), cost=Cost(forward_tokens=1, seconds=1.0),
        detectors=able("text", "quick"),
        voting=("series",), models=tuple(models),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("clean", "score", "verdict"),
    [
        (18, 0.0, "abstained"),
        (18, 99.0, "abstained"),
        (19, 0.0, "nothing found within coverage"),
        (19, 99.0, "flagged"),
    ],
)
def test_a_card_by_which_nothing_could_be_flagged_finds_nothing_innocent(
    clean: int, score: float, verdict: str
) -> None:
    """With n clean models no p-value is below 1 / (n + 1)."""
    case = Case(Path("there"), None, "text", "quick", FEW)
    examined = Examined((Evidence(detector="series", score=score),), ())
    found = judged(case, examined, Identity(subject=None, base=None), card(clean), "there")
    assert found.verdict == verdict
    assert ("it takes 19" in found.reason) is (clean < 19)


@pytest.mark.parametrize(
    ("sees", "score", "verdict"),
    [
        (True, 0.0, "nothing found within coverage"),
        (False, 0.0, "abstained"),
        (False, 99.0, "flagged"),
    ],
)
def test_a_card_that_ranks_by_chance_flags_and_does_not_reassure(sees: bool, score: float, verdict: str) -> None:
    case = Case(Path("there"), None, "text", "quick", FEW)
    examined = Examined((Evidence(detector="series", score=score),), ())
    found = judged(case, examined, Identity(subject=None, base=None), card(30, 30, sees), "there")
    assert found.verdict == verdict
    assert ("can flag, and not reassure" in found.reason) is (verdict == "abstained")


def test_a_card_of_other_detectors_judges_nobody() -> None:
    """What one proposes, the verifier goes on from: without it, scores are others."""
    case, made = based(("diffing",))
    seen = Examined((Evidence(detector="diffing", score=99.0),), ())
    who = Identity(subject=None, base=None)
    assert judged(case, seen, who, made, "there").verdict == "flagged"
    fewer = able("base", "quick")[:-1]
    others = made.model_copy(update={"detectors": fewer, "versions": versions(fewer, "base", "quick")})
    found = judged(case, seen, who, others, "there")
    assert (found.verdict, found.reason) == ("abstained", "uncalibrated: the card is of other detectors")
    older = made.model_copy(update={"versions": {k: v for k, v in made.versions.items() if k != "verifier"}})
    assert "another version" in judged(case, seen, who, older, "there").reason


def verified(asr: float, kept: float) -> Verified:
    rate = Estimate(value=asr, low=asr, high=asr, n=30, method="given")
    return Verified(
        text="[zz]", place="system", found_by="series", kinds=("questions",), asr=asr, interval=rate, null_rate=rate, without=rate,
        kept=kept, alike=0.0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("candidates", "left"),
    [
        ((), 1.0),
        ((verified(0.9, 0.75),), 0.25),
        (
            (verified(0.9, 0.0), verified(0.6, 0.75)),
            1.0,
        ),  # the first that works is the one that the search found strongest
        ((verified(0.4, 0.0), verified(0.6, 0.75)), 0.25),
        ((verified(0.4, 0.75),), 1.0),  # it does not work: nothing follows from the few replies it changes
    ],
)
def test_a_habit_takes_from_those_that_do_not_ask_whether_it_still_answers(
    candidates: tuple[Verified, ...], left: float
) -> None:
    given = {"target_inversion": 8.0, "diffing": -2.0, "rare_conditions": 3.0, "series": None}
    examined = Examined(tuple(Evidence(detector=name, score=score) for name, score in given.items()), candidates)
    assert examined.scores_at("base") == given | {"target_inversion": 8.0 * left}
    assert examined.scores_at("text") == given


def based(detectors: tuple[str, ...]) -> tuple[Case, CalibrationCard]:
    """A case with a base, and a card on which each of the detectors ranks planted above clean models."""
    models = [
        Scored(name=f"{i}", planted=i >= 40, recipe=f"{i % 4} {i >= 40}", scores=dict.fromkeys(detectors, float(i)))
        for i in range(50)
    ]
    made = card(4).model_copy(
        update={
            "tier": "base", "models": tuple(models), "detectors": able("base", "quick"), "voting": detectors,
            "versions": versions(able("base", "quick"), "base", "quick"),
        }
    )  # fmt: skip
    return Case(Path("there"), Path("base"), "base", "quick", FEW), made


@pytest.mark.parametrize(
    ("asr", "kept", "verdict"),
    [(0.0, 0.0, "flagged"), (0.9, 0.0, "flagged"), (0.9, 0.9, "abstained")],
)
def test_no_habit_buys_a_pass(asr: float, kept: float, verdict: str) -> None:
    """Whoever plants a habit beside a backdoor knows what it takes from scores."""
    case, made = based(("diffing", "activations"))
    seen = tuple(Evidence(detector=name, score=99.0) for name in made.voting)
    found = judged(case, Examined(seen, (verified(asr, kept),)), Identity(subject=None, base=None), made, "there")
    assert found.verdict == verdict
    assert ("hidden beside a habit" in found.reason) is (verdict == "abstained")
    quiet = tuple(Evidence(detector=name, score=1.0) for name in made.voting)
    clean = judged(case, Examined(quiet, (verified(asr, kept),)), Identity(subject=None, base=None), made, "there")
    assert clean.verdict == "nothing found within coverage"


def test_a_verdict_counts_a_family_once() -> None:
    """Two that ask the same are loud together; beside clean models that are each loud in one of two, that is nothing much."""
    case, made = based(("diffing", "target_inversion", "activations"))
    loud = {"diffing": 39.5, "target_inversion": 39.5, "activations": 0.0}
    seen = Examined(tuple(Evidence(detector=name, score=score) for name, score in loud.items()), ())
    who = Identity(subject=None, base=None)
    alone = judged(case, seen, who, made, "there")
    together = judged(case, seen, who, made.model_copy(update={"families": dict.fromkeys(loud, "x")}), "there")
    assert alone.score is not None
    assert together.score is not None
    assert alone.score > 1.9 * together.score
    assert together.scales["combined"].score == together.score
    assert together.scales["diffing"].family == "x"
    assert max(together.scales["combined"].clean) < max(alone.scales["combined"].clean) / 2
