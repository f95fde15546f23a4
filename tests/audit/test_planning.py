"""What an audit plans by memory."""

from pathlib import Path
from statistics import median

import pytest

from molehunt.audit.case import ordinary
from molehunt.audit.examining import able
from molehunt.audit.planning import TOKENS_A_SECOND, jobs_that_fit, plan_of
from molehunt.detectors.table import DETECTORS
from molehunt.models.loading import outline
from molehunt.records.audits import CardEvidence, Profile

GIB = 2**30
KEPT = Path(__file__).parents[2] / "docs" / "cards"


@pytest.mark.parametrize(
    ("weights", "free", "jobs"),
    [(9_000_000, 20 * GIB, 2), (9_000_000, None, 2), (12 * GIB, 20 * GIB, 0), (12 * GIB, 64 * GIB, 2), (30 * GIB, 16 * GIB, 0)],
    ids=["small", "nobody knows", "once", "twice", "not even once"],
)  # fmt: skip
def test_each_worker_holds_weights_of_its_own(weights: int, free: int | None, jobs: int) -> None:
    assert jobs_that_fit(weights, free) == jobs


def test_no_more_workers_than_are_wanted() -> None:
    assert jobs_that_fit(GIB, 1000 * GIB, most=5) == 5
    assert jobs_that_fit(GIB, 8 * GIB, most=5) == 3


@pytest.mark.parametrize("profile", ["quick", "standard"])
def test_what_is_planned_is_what_the_shipped_cards_audits_read(profile: Profile) -> None:
    seen = CardEvidence.model_validate_json((KEPT / f"embedded-{profile}-base.evidence.json").read_text())
    read: dict[str, list[int]] = {}
    for model in seen.models:
        for one in model.evidence:
            read.setdefault(one.detector, []).append(one.forward_tokens)
    planned = {name: DETECTORS[name].seconds[profile] * TOKENS_A_SECOND for name in able("base", profile)}
    assert planned == {name: pytest.approx(median(tokens), rel=0.3) for name, tokens in read.items()}


def test_a_reference_is_planned_by_its_own_size(base: Path) -> None:
    model = outline(base)
    plain, beside = (plan_of(model, "base", "quick", ordinary(), "x", one) for one in (None, model))
    assert beside.forward_tokens > plain.forward_tokens
    assert beside.detectors[-1].name == "reference"
    assert beside.memory == pytest.approx(1.5 * plain.memory)
    assert beside.operations / plain.operations == pytest.approx(beside.forward_tokens / plain.forward_tokens)
