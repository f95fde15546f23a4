"""A store behind a URL: whole or absent there, fetched and verified here."""

import errno
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.local import LocalFileSystem
from toy_steps import pair, step

from molehunt.errors import CorruptArtifactError, StoreError
from molehunt.execution import Graph, Step, Store, open_store, run_graph
from molehunt.execution.working import make

Machine = Callable[[str], Store]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """The store as a machine of that name sees it: the same URL, a cache of its own."""

    def on(name: str) -> Store:
        monkeypatch.setenv("MOLEHUNT_CACHE", str(tmp_path / name))
        return open_store(f"file://{tmp_path}/far")

    return on


def far(tmp_path: Path, made: Step) -> Path:
    """The one file `text` of an artifact at the URL."""
    (path,) = (tmp_path / "far" / "artifacts" / made.fingerprint).glob("*/text")
    return path


def stack() -> tuple[Step, Step]:
    base = step("base")
    return base, step("top", {"of": base})


@pytest.mark.parametrize("jobs", [0, 2])
def test_another_machine_finds_what_was_made_and_fetches_what_it_reads(
    machine: Machine, tmp_path: Path, jobs: int
) -> None:
    base, top = stack()
    assert len(run_graph(Graph([base]), machine("one"), jobs).done) == 1
    two = machine("two")
    progress = run_graph(Graph([top]), two, jobs)
    assert (progress.cached, progress.done) == ([base], [top])
    here = Store(tmp_path / "here")
    run_graph(Graph([top]), here, jobs=0)
    three = machine("three")
    assert not list(three.root.glob("artifacts/*"))
    assert three.verify(top.fingerprint).files_digest == here.verify(top.fingerprint).files_digest
    assert (three.folder(top.fingerprint) / "sub" / "size").read_text() == "2"
    assert {record.label for record in machine("four").records()} == {"base", "top"}
    assert three.find(top.fingerprint[:8]) == top.fingerprint


def test_planning_asks_for_all_at_once(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base, top = stack()
    run_graph(Graph([top]), machine("one"), jobs=0)
    asked: list[str] = []
    find = LocalFileSystem.find
    monkeypatch.setattr(LocalFileSystem, "find", lambda fs, path, **more: asked.append(path) or find(fs, path, **more))
    store = machine("two")
    assert [store.has(key) for key in (base.fingerprint, top.fingerprint, "0" * 64)] == [True, True, False]
    assert len(asked) == 1


def spoil(tmp_path: Path, base: Step, what: str) -> None:
    text = far(tmp_path, base)
    match what:
        case "a changed file":
            text.write_text("changed")
        case "an unreadable record":
            (text.parents[1] / "artifact.json").write_text("{")
        case _:
            text.unlink()


SPOILT = pytest.mark.parametrize("what", ["a changed file", "an unreadable record", "a missing file"])


@SPOILT
@pytest.mark.parametrize("jobs", [0, 2])
def test_what_a_worker_finds_changed_is_made_anew_in_the_same_run(
    machine: Machine, tmp_path: Path, what: str, jobs: int
) -> None:
    base, top = stack()
    run_graph(Graph([base]), machine("one"), jobs=0)
    spoil(tmp_path, base, what)
    progress = run_graph(Graph([top]), machine("two"), jobs)
    assert (progress.cached, progress.done, progress.share) == ([], [base, top], 1.0)
    assert far(tmp_path, base).read_text() == "(base)"
    assert far(tmp_path, top).read_text() == "(top of=(base))"


@SPOILT
def test_what_a_reader_finds_changed_is_made_anew_by_the_next_run(machine: Machine, tmp_path: Path, what: str) -> None:
    base, _ = stack()
    run_graph(Graph([base]), machine("one"), jobs=0)
    spoil(tmp_path, base, what)
    with pytest.raises(CorruptArtifactError, match=r"changed after it was stored.*run again"):
        machine("two").folder(base.fingerprint)
    assert run_graph(Graph([base]), machine("two"), jobs=0).done == [base]
    assert far(tmp_path, base).read_text() == "(base)"


def test_a_changed_copy_on_a_machine_is_fetched_anew(machine: Machine, tmp_path: Path) -> None:
    base, _ = stack()
    run_graph(Graph([base]), machine("one"), jobs=0)
    copy = machine("one").folder(base.fingerprint) / "text"
    copy.write_text("changed")
    assert machine("one").folder(base.fingerprint) == copy.parent
    assert copy.read_text() == "(base)"


@pytest.mark.parametrize("broken", ["put", "mv"])
def test_a_full_url_is_one_sentence_and_what_was_made_is_pushed_later(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    base, _ = stack()

    def full(*args: Any, **more: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(LocalFileSystem, broken, full)
        with pytest.raises(StoreError, match=r"far; wanted a place .* No space left"):
            run_graph(Graph([base]), machine("one"), jobs=0)
    assert not machine("two").has(base.fingerprint)
    made = machine("one").root / "artifacts" / base.fingerprint / "artifact.json"
    before = made.stat().st_ino
    run_graph(Graph([base]), machine("one"), jobs=0)
    assert machine("two").has(base.fingerprint)
    assert made.stat().st_ino == before, "it was made twice"


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("file:///sys/molehunt", "wanted a place that can be read and written"),
        ("nosuch://place", "Protocol not known"),
        ("memory://place", "a place that other processes see"),
    ],
)
def test_a_url_that_cannot_be_used_is_one_sentence(
    url: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOLEHUNT_CACHE", str(tmp_path))
    with pytest.raises(StoreError, match=sentence):
        run_graph(Graph(pair()), open_store(url), jobs=0)


def test_two_machines_that_compute_differently_leave_one_whole_artifact(machine: Machine, tmp_path: Path) -> None:
    base, _ = stack()
    one, two = machine("one"), machine("two")
    with one.writing(base) as files, two.writing(base) as others:
        (files / "text").write_text("one")
        (others / "text").write_text("two")
    assert (machine("three").folder(base.fingerprint) / "text").read_text() == "one"
    assert len(list((tmp_path / "far" / "artifacts" / base.fingerprint).iterdir())) == 3


def test_two_machines_without_a_lock_leave_one_whole_artifact_in_a_folder(tmp_path: Path) -> None:
    base, _ = stack()
    one, two = Store(tmp_path), Store(tmp_path)
    with one.writing(base) as files, two.writing(base) as others:
        (files / "text").write_text("same")
        (others / "text").write_text("same")
    assert Store(tmp_path).verify(base.fingerprint)
    assert not list((tmp_path / "partial").iterdir())


@pytest.mark.parametrize("days", [-4000, 4000])
def test_clocks_that_differ_change_nothing(machine: Machine, tmp_path: Path, days: int) -> None:
    """A parent that seems younger, or far older, than what was made of it counts as the same parent."""
    base, top = stack()
    for store in (Store(tmp_path / "here"), machine("one")):
        run_graph(Graph([top]), store, jobs=0)
        for path in [*tmp_path.rglob(f"{base.fingerprint}/**/*")]:
            os.utime(path, (path.stat().st_mtime + days * 86400,) * 2)
        assert len(run_graph(Graph([top]), store, jobs=0).cached) == 2


def test_the_log_of_a_failed_step_is_at_the_url(machine: Machine) -> None:
    bad = step("bad", function="fail")
    progress = run_graph(Graph([bad]), machine("one"), jobs=0, go_on=True)
    assert "far/logs/" in str(progress.failed[bad.fingerprint])
    assert machine("two").log(bad.fingerprint).startswith("file://")
    assert machine("two").log("0" * 64) == ""


def test_a_cache_may_be_deleted(machine: Machine, tmp_path: Path) -> None:
    base, top = stack()
    store = machine("one")
    run_graph(Graph([base]), store, jobs=0)
    shutil.rmtree(store.root)
    assert make(store.place, top) is None
    assert machine("two").has(top.fingerprint)


def test_what_was_said_about_an_artifact_comes_with_it(machine: Machine, tmp_path: Path) -> None:
    made = replace(step("base"), witness="toy_steps:see")
    assert made.fingerprint == step("base").fingerprint
    run_graph(Graph([made]), machine("one"), jobs=0)
    two = machine("two")
    two.verify(made.fingerprint)
    (said,) = two.beside(made.fingerprint)
    assert (said.name, said.read_text()) == ("said", f"{made.fingerprint} made text, sub of nothing")
    (far_away,) = (tmp_path / "far" / "artifacts" / made.fingerprint).glob("*.beside/said")
    far_away.write_text("something else")
    three = machine("three")
    assert three.verify(made.fingerprint).files_digest == two.verify(made.fingerprint).files_digest
    plain = step("plain")
    run_graph(Graph([plain]), machine("one"), jobs=0)
    assert three.beside(plain.fingerprint) == []
