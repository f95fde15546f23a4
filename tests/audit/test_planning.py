"""What an audit plans by memory."""

import pytest

from molehunt.audit.cards import find_card
from molehunt.audit.examining import able
from molehunt.audit.planning import TOKENS_A_SECOND, jobs_that_fit
from molehunt.detectors.table import DETECTORS
from molehunt.records.audits import Profile

GIB = 2**30


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
def test_what_is_planned_is_what_the_shipped_cards_audits_took(profile: Profile) -> None:
    card = find_card(None, "base", profile)
    assert card is not None
    planned = sum(DETECTORS[name].seconds[profile] for name in able("base", profile)) * TOKENS_A_SECOND
    assert planned == pytest.approx(card.cost.forward_tokens, rel=0.25)
