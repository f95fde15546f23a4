import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from toy_steps import step

from molehunt.errors import CorruptArtifactError, MolehuntError, StepError, StoreError, TrainingError
from molehunt.execution import Graph, Step, Store, run_graph


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "store")
    made.prepare()
    return made


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 512 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "none", place], capture_output=True)
    if mounted.returncode:
        pytest.skip("may not mount a small disk here")
    yield place
    subprocess.run(["umount", place], check=True)


def put(store: Store, one: Step, text: str = "content") -> Path:
    with store.writing(one) as out:
        (out / "sub").mkdir()
        (out / "sub" / "file").write_text(text)
        (out / "empty").write_text("")
    return store.folder(one.fingerprint)


def left_over(store: Store) -> list[str]:
    return [p.name for p in (store.root / "partial").iterdir()]


def test_what_was_written_is_there_with_its_record(store: Store) -> None:
    one = step("x", {"base": step("base")}, threads=2)
    files = put(store, one)
    assert (files / "sub" / "file").read_text() == "content"
    record = store.verify(one.fingerprint)
    assert (record.fingerprint, record.step, record.version) == (one.fingerprint, "toy_steps:write", 1)
    assert (record.label, record.config) == ("x", {"text": "x"})
    assert record.parents == {"base": step("base").fingerprint}
    assert store.has(one.fingerprint)
    assert left_over(store) == []


def test_nothing_is_visible_before_the_end_or_after_an_error(store: Store) -> None:
    one = step("x")
    with contextlib.suppress(KeyError), store.writing(one) as out:
        (out / "file").write_text("half")
        assert not store.has(one.fingerprint)
        raise KeyError
    assert not store.has(one.fingerprint)
    assert left_over(store) == []


def test_what_a_failed_training_made_is_kept_until_the_step_succeeds(store: Store) -> None:
    one = step("x")
    for text in ("first", "second"):
        with (
            pytest.raises(TrainingError, match=r"do: lower it; what there was is in .*failed/") as raised,
            store.writing(one) as out,
        ):
            _fail_after(out / "weights", text)
        kept = store.root / "failed" / one.fingerprint / "files" / "weights"
        assert kept.read_text() == text
        assert str(kept.parent) in str(raised.value)
    assert not store.has(one.fingerprint)
    assert left_over(store) == []
    put(store, one)
    assert not (store.root / "failed" / one.fingerprint).exists()


def _fail_after(path: Path, text: str) -> None:
    path.write_text(text)
    raise TrainingError("training stopped", do="lower it")


def test_a_training_that_failed_before_it_made_anything_leaves_nothing(store: Store) -> None:
    with pytest.raises(TrainingError, match=r"^training stopped$"), store.writing(step("x")):
        raise TrainingError("training stopped")
    assert not (store.root / "failed").exists()


@pytest.mark.parametrize("harm", ["change", "add", "remove", "empty", "all gone"])
def test_changed_files_are_found(store: Store, harm: str) -> None:
    files = put(store, step("x"))
    match harm:
        case "change":
            (files / "sub" / "file").write_text("Content")
        case "add":
            (files / "new").write_text("")
        case "remove":
            (files / "empty").unlink()
        case "empty":
            (files / "sub" / "file").write_text("")
        case "all gone":
            for file in (files / "sub" / "file", files / "empty"):
                file.unlink()
    with pytest.raises(CorruptArtifactError, match="was changed after it was stored"):
        Store(store.root).verify(step("x").fingerprint)


@pytest.mark.parametrize("text", ["", "{", "{}", "null", '{"fingerprint": 3}'])
def test_a_record_that_cannot_be_read_is_corrupt(store: Store, text: str) -> None:
    path = put(store, step("x")).parent / "artifact.json"
    path.write_text(text)
    with pytest.raises(CorruptArtifactError, match="cannot be read"):
        store.record(step("x").fingerprint)


def test_a_record_of_another_artifact_is_corrupt(store: Store) -> None:
    one, other = (step(name) for name in ("one", "other"))
    shutil.copytree(put(store, one).parent, store.folder(other.fingerprint).parent)
    assert store.is_whole(one.fingerprint)
    assert not store.is_whole(other.fingerprint)


def test_records_come_oldest_first_and_leave_out_what_cannot_be_read(store: Store) -> None:
    for age, name in enumerate("abc"):
        os.utime(put(store, step(name)).parent / "artifact.json", (age, age))
    broken = store.folder(step("b").fingerprint).parent / "artifact.json"
    broken.write_text("{")
    os.utime(broken, (1, 1))
    assert [record.label for record in store.records()] == ["a", "c"]


def test_a_missing_artifact_is_told(store: Store) -> None:
    with pytest.raises(StoreError, match="no artifact 000000000000"):
        store.record("0" * 64)


def test_a_fingerprint_is_found_by_any_prefix_that_fits_it_alone(store: Store) -> None:
    names = [step(f"s{i}").fingerprint for i in range(20)]
    for i in range(20):
        put(store, step(f"s{i}"))
    assert [store.find(name[:12]) for name in names] == names
    for prefix, count in (("", "20"), ("x", "0")):
        with pytest.raises(StoreError, match=f"got {count}"):
            store.find(prefix)


def test_writing_again_replaces_the_artifact_whole(store: Store) -> None:
    put(store, step("x"), "old")
    files = put(store, step("x"), "new")
    assert (files / "sub" / "file").read_text() == "new"
    assert sorted(p.name for p in files.parent.iterdir()) == ["artifact.json", "files"]
    Store(store.root).verify(step("x").fingerprint)


def test_leftovers_of_dead_processes_are_cleared_and_those_of_living_ones_kept(store: Store) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    with store.writing(step("x")) as files:
        mine = files.parent.name
        start, _, rest = mine.split("-", 2)
        dead_one, foreign = f"{start}-{dead.pid}-{rest}", f"{start}-{dead.pid}-elsewhere-abc"
        for name in (dead_one, foreign):
            (store.root / "partial" / name / "files").mkdir(parents=True)
        assert store.clear_partial() == 1
        assert sorted(left_over(store)) == sorted([mine, foreign])


def test_the_environment_says_where_the_store_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOLEHUNT_STORE", str(tmp_path / "there"))
    assert Store().root == tmp_path / "there"


@pytest.mark.parametrize("place", ["file", "file/below", "file/far/below", "loop", "n" * 300])
def test_a_place_that_cannot_be_a_folder_is_told_in_a_sentence(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(StoreError, match="wanted a folder that can be written; got"):
        Store(tmp_path / place).prepare()


@pytest.mark.parametrize("place", ["/proc/molehunt", "/sys/molehunt", "/dev/null", "/dev/null/molehunt"])
def test_a_place_of_the_system_is_told_in_a_sentence(place: str) -> None:
    with pytest.raises(StoreError, match="wanted a folder that can be written; got"):
        Store(Path(place)).prepare()


def test_a_read_only_disk_is_told(disk: Path) -> None:
    Store(disk / "store").prepare()
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    with pytest.raises(StoreError, match="read-only"):
        Store(disk / "store").prepare()


@pytest.mark.parametrize("jobs", [0, 1])
def test_a_full_disk_is_told_and_the_store_goes_on_when_there_is_room(disk: Path, jobs: int) -> None:
    store, ballast = Store(disk / "store"), disk / "ballast"
    ballast.write_bytes(bytes(300 * 1024))
    small = step("small", function="fill", config={"size": 1000})
    big = step("big", {"small": small}, function="fill", config={"size": 300 * 1024})
    with pytest.raises(StoreError, match="the disk is full"):
        run_graph(Graph([big]), store, jobs)
    Store(store.root).verify(small.fingerprint)
    assert not store.has(big.fingerprint)
    assert left_over(store) == []
    ballast.unlink()
    assert run_graph(Graph([big]), store, jobs).done == [big]
    Store(store.root).verify(big.fingerprint)


def test_a_disk_that_fills_while_weights_are_written_is_told_too(disk: Path) -> None:
    """safetensors raises an error of its own, with the operating system's in its words."""
    with pytest.raises(StoreError, match="the disk is full"), Store(disk / "store").writing(step("weights")) as out:
        save_file({"weights": np.zeros(2**20)}, out / "model.safetensors")


def test_a_step_that_fails_on_a_full_disk_is_still_told_in_a_sentence(disk: Path) -> None:
    store = Store(disk / "store")
    with contextlib.suppress(OSError):
        (disk / "ballast").write_bytes(bytes(1024 * 1024))
    assert shutil.disk_usage(disk).free == 0
    with pytest.raises(MolehuntError):
        run_graph(Graph([step("x", function="fill", config={"size": "no number"})]), store, jobs=0)


def test_a_file_that_a_step_cannot_read_is_not_blamed_on_the_store(store: Store, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    one = step("reader", function="read_elsewhere", where={"source": str(tmp_path / "file" / "below")})
    with pytest.raises(StepError, match=r"reader.*Not a directory"):
        run_graph(Graph([one]), store, jobs=0)


def test_a_record_is_plain_json(store: Store) -> None:
    told = json.loads((put(store, step("x")).parent / "artifact.json").read_text())
    assert told["fingerprint"] == step("x").fingerprint
    assert set(told["provenance"]) == {"created", "python", "machine", "libraries"}
