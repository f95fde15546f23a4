"""What an audit plans by memory."""

import pytest

from molehunt.audit.planning import jobs_that_fit

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
