"""Runs that go on after a step fails."""

from pathlib import Path

import pytest
from toy_steps import step

from molehunt.errors import DataError, StepError
from molehunt.execution import Graph, Store, run_graph

INLINE_AND_POOLED = pytest.mark.parametrize("jobs", [0, 2])


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@INLINE_AND_POOLED
def test_the_rest_is_made_and_what_needs_the_failed_step_is_left_out(store: Store, jobs: int) -> None:
    bad, good = step("bad", function="refuse"), step("good")
    after = step("after", {"of": bad, "and": good})
    last = step("last", {"of": after})
    progress = run_graph(Graph([last, good]), store, jobs, go_on=True)
    assert [s.label for s in progress.done] == ["good"]
    assert list(progress.failed) == [bad.fingerprint]
    assert isinstance(progress.failed[bad.fingerprint], DataError)
    assert {s.label for s in progress.skipped} == {"after", "last"}
    assert not progress.running
    assert progress.share == 1.0
    assert "DataError" in (store.root / "logs" / f"{bad.fingerprint}.txt").read_text()


@INLINE_AND_POOLED
def test_a_step_that_fails_once_is_tried_again(store: Store, tmp_path: Path, jobs: int) -> None:
    marks = {"marks": str(tmp_path / "marks")}
    once = step("once", function="flaky", config={"times": 1}, where=marks)
    top = step("top", {"of": once})
    progress = run_graph(Graph([top]), store, jobs, go_on=True, retries=1)
    assert len(progress.done) == 2
    assert not progress.failed


@INLINE_AND_POOLED
def test_without_enough_retries_it_is_noted_with_its_reason(store: Store, tmp_path: Path, jobs: int) -> None:
    twice = step("twice", function="flaky", config={"times": 2}, where={"marks": str(tmp_path / "marks")})
    progress = run_graph(Graph([twice]), store, jobs, go_on=True, retries=1)
    assert "KeyError" in str(progress.failed[twice.fingerprint])


def test_a_step_that_kills_its_worker_takes_no_other_down(store: Store, tmp_path: Path) -> None:
    killer = step("killer", function="die")
    others = [step(f"o{i}", config={"sleep": 0.3}) for i in range(6)]
    progress = run_graph(Graph([others[0], killer, *others[1:]]), store, 2, go_on=True, retries=1)
    assert list(progress.failed) == [killer.fingerprint]
    assert isinstance(progress.failed[killer.fingerprint], StepError)
    assert len(progress.done) == len(others)


def test_a_worker_that_died_once_is_replaced(store: Store, tmp_path: Path) -> None:
    marks = {"marks": str(tmp_path / "marks")}
    once = step("once", function="flaky", config={"times": 1, "dies": True}, where=marks)
    progress = run_graph(Graph([once, step("other")]), store, 2, go_on=True, retries=1)
    assert len(progress.done) == 2
