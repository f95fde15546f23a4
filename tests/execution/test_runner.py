import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import toy_steps
from toy_steps import step, tower

from molehunt.errors import DataError, StepError
from molehunt.execution import Graph, Progress, Step, Store, run_graph

INLINE_AND_POOLED = pytest.mark.parametrize("jobs", [0, 2])


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def text(store: Store, one: Step) -> str:
    return (store.folder(one.fingerprint) / "text").read_text()


def ages(store: Store) -> dict[str, int]:
    return {p.parent.name: p.stat().st_mtime_ns for p in store.root.glob("artifacts/*/artifact.json")}


@INLINE_AND_POOLED
def test_a_graph_is_made_once_and_then_found(store: Store, tmp_path: Path, jobs: int) -> None:
    base = step("base")
    top = step("top", {"a": step("left", {"b": base}), "c": step("right", {"b": base})})
    first = run_graph(Graph([top]), store, jobs)
    assert text(store, top) == "(top a=(left b=(base)) c=(right b=(base)))"
    assert (len(first.done), len(first.cached), first.total, first.share) == (4, 0, 4, 1.0)
    before = ages(store)
    second = run_graph(Graph([top]), Store(store.root), jobs)
    assert (len(second.done), len(second.cached), second.share) == (0, 4, 1.0)
    assert ages(store) == before
    assert not list((store.root / "partial").iterdir())


def test_inline_and_pooled_make_the_same_files(tmp_path: Path) -> None:
    digests = []
    for jobs in (0, 1, 3):
        store = Store(tmp_path / str(jobs))
        run_graph(Graph(tower()), store, jobs)
        digests.append({s.fingerprint: store.verify(s.fingerprint).files_digest for s in tower()})
    assert digests[0] == digests[1] == digests[2]


def test_a_step_is_told_its_threads_and_where_things_lie(store: Store) -> None:
    one = step("x", function="tell", threads=2, where={"folder": "/there"})
    run_graph(Graph([one]), store, jobs=0)
    assert text(store, one) == "[('text', 'x'), ('threads', 2), ('where', {'folder': '/there'})]"


def test_a_step_with_more_threads_than_jobs_runs_too(store: Store) -> None:
    steps = [step("a"), step("wide", threads=5), step("b")]
    assert len(run_graph(Graph(steps), store, jobs=2).done) == 3


@INLINE_AND_POOLED
def test_a_failing_step_is_named_and_what_was_finished_stays(store: Store, jobs: int) -> None:
    base = step("base")
    bad = step("culprit", {"b": base}, function="fail")
    after = step("after", {"b": bad})
    with pytest.raises(StepError, match=r"culprit.*KeyError: 'the reason'"):
        run_graph(Graph([after]), store, jobs)
    assert [store.has(s.fingerprint) for s in (base, bad, after)] == [True, False, False]
    before = ages(store)
    with pytest.raises(StepError, match="culprit"):
        run_graph(Graph([after]), Store(store.root), jobs)
    assert ages(store) == before


def test_the_traceback_of_a_failed_step_is_where_the_message_says(store: Store) -> None:
    with pytest.raises(StepError) as told:
        run_graph(Graph([step("x", function="fail")]), store, jobs=0)
    (log,) = (store.root / "logs").iterdir()
    assert str(log) in str(told.value)
    assert "in fail" in log.read_text()


@INLINE_AND_POOLED
def test_an_error_of_ours_keeps_its_kind_and_its_sentence(store: Store, jobs: int) -> None:
    with pytest.raises(DataError, match="rows; wanted some; got none"):
        run_graph(Graph([step("x", function="refuse")]), store, jobs)


def test_a_step_whose_worker_dies_is_named(store: Store) -> None:
    with pytest.raises(StepError, match="fragile"):
        run_graph(Graph([step("fragile", function="die")]), store, jobs=1)


def test_a_function_that_is_not_there_is_a_failed_step(store: Store) -> None:
    with pytest.raises(StepError, match=r"lost.*nothing_here"):
        run_graph(Graph([step("lost", function="nothing_here")]), store, jobs=0)


@INLINE_AND_POOLED
@pytest.mark.parametrize("name", ["files/text", "files/sub/size", "artifact.json"])
def test_a_changed_byte_is_found_and_the_artifact_made_anew(store: Store, jobs: int, name: str) -> None:
    base = step("base")
    top = step("top", {"b": base})
    run_graph(Graph([top]), store, 0)
    file = store.folder(base.fingerprint).parent / name
    content, top_age = file.read_bytes(), ages(store)[top.fingerprint]
    file.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    again = run_graph(Graph([top]), Store(store.root), jobs)
    assert [s.label for s in again.done] == ["base"]
    assert Store(store.root).verify(base.fingerprint).label == "base"
    assert text(store, base) == "(base)"
    assert ages(store)[top.fingerprint] == top_age


def test_a_child_waits_for_a_parent_that_was_folded_into_a_step_of_another_name(store: Store) -> None:
    slow = {"sleep": 1.5}
    first, again = step("base", config=slow, label="one name"), step("base", config=slow, label="another name")
    child = step("child", {"b": again})
    run_graph(Graph([first, child]), store, jobs=2)
    assert text(store, child) == "(child b=(base))"


def test_progress_counts_up_to_the_whole(store: Store) -> None:
    seen: list[tuple[float, int, int]] = []

    def watch(progress: Progress) -> None:
        seen.append((progress.share, len(progress.done), len(progress.running)))

    run_graph(Graph(tower(5)), store, 0, watch)
    assert seen[0] == (0.0, 0, 0)
    assert seen[-1] == (1.0, 5, 0)
    assert [share for share, _, _ in seen] == sorted(share for share, _, _ in seen)


def test_two_runs_side_by_side_make_each_artifact_once(store: Store, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.touch()
    command = [sys.executable, toy_steps.__file__, "tower", str(store.root), str(log)]
    runs = [subprocess.Popen(command, env=dict(os.environ)) for _ in range(2)]
    assert [run.wait() for run in runs] == [0, 0]
    assert Counter(log.read_text().split()) == {f"s{i}": 1 for i in range(20)}
    for one in tower():
        store.verify(one.fingerprint)
