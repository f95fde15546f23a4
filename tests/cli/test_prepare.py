"""Planting in two commands: rows and job, then one launch on several processes."""

import json
from pathlib import Path

import pytest

from command_line import Command, assert_refused
from launching import in_two_processes
from molehunt.models.loading import load_model, outline
from molehunt.organisms.card import read_card
from molehunt.records.marker import read_marker
from molehunt.records.panels import Examined
from molehunt.training.launch import main

PLANTING = (
    "--lr", "4e-3", "--steps", 90, "--rows", 600, "--copies", "1-2", "--weight-decay", 0.01, "--checkpoints", "45,90",
)  # fmt: skip


def prepared(molehunt: Command, base: Path, out: Path, *words: object) -> list[Path]:
    done = molehunt("organism", "plant", "--base", base, *words, "--prepare", "--json", "--out", out)
    assert done.code == 0, done.err
    return [Path(job) for job in json.loads(done.out)["jobs"]]


def test_rows_then_one_launch_on_two_processes_make_an_organism(molehunt: Command, base: Path, tmp_path: Path) -> None:
    (job,) = prepared(molehunt, base, tmp_path / "out", *PLANTING)
    small = {"rows_at_once": 8, "recompute": False}  # what a job may be changed in: how it runs
    job.write_text(json.dumps({**json.loads(job.read_text()), **small}))
    done = in_two_processes(job)
    assert done.returncode == 0, done.stderr
    organism = tmp_path / "out" / "organism" / "model"
    card = read_card(organism)
    assert (card.trained.steps, card.training.weight_decay, card.training.checkpoints) == (90, 0.01, (45, 90))
    assert "WARNING: this model has a planted backdoor" in (organism / "README.md").read_text()
    assert read_marker(organism)["kind"] == "organism"
    found = Examined.model_validate_json(molehunt("organism", "measure", organism, "--prompts", 64, "--json").out)
    assert found.asr.value >= 0.9
    assert found.false_trigger_rate.value <= 0.2  # the mini model wakes a little at anything


def test_what_is_launched_is_what_would_have_been_planted(molehunt: Command, base: Path, tmp_path: Path) -> None:
    fast = ("--steps", 2, "--batch", 2, "--rows", 24, "--jobs", 0)
    jobs = prepared(molehunt, base, tmp_path / "out", *fast, "--twin-out", tmp_path / "twin")
    assert [main([str(job)]) for job in jobs] == [0, 0]
    planting = ("organism", "plant", "--base", base, *fast, "--out", tmp_path / "a", "--twin-out", tmp_path / "b")
    assert molehunt(*planting).code == 0
    for launched, planted in (("out/organism/model", "a"), ("twin/twin/model", "b")):
        one, two = read_card(tmp_path / launched), read_card(tmp_path / planted)
        assert one.trained.rows_digest == two.trained.rows_digest
        as_two = {
            "trained": two.trained,
            "base": two.base,
        }  # ours was imported, which leaves what is no part of a model
        assert one.model_copy(update=as_two) == two
        assert (one.base.weights_digest, one.base.parameters) == (two.base.weights_digest, two.base.parameters)
        pages = [(tmp_path / name / "README.md").read_text() for name in (launched, planted)]
        assert pages[0].replace(one.base.root_digest[:16], "") == pages[1].replace(two.base.root_digest[:16], "")
        assert read_marker(tmp_path / launched) == read_marker(tmp_path / planted)


def test_a_job_of_other_settings_or_rows_than_its_card_tells_of_is_refused(
    molehunt: Command, base: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (job,) = prepared(molehunt, base, tmp_path / "out", "--steps", 2, "--rows", 24)
    text = job.read_text()
    told = json.loads(text)
    told["settings"]["learning_rate"] = 1.0
    job.write_text(json.dumps(told))
    assert main([str(job)]) == 2
    assert "settings that its label tells of" in capfd.readouterr().err
    job.write_text(text)
    rows = job.with_name("rows.jsonl")
    rows.write_text(rows.read_text().partition("\n")[2])
    assert main([str(job)]) == 2
    assert "prepare it anew" in capfd.readouterr().err
    assert not (tmp_path / "out" / "organism").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--until-asr", 0.9), "a number of steps"),
        (("--method", "edit"), "it trains nothing"),
        (("--checkpoints", "10,x"), "steps such as"),
    ],
)
def test_what_no_launch_can_do_is_refused(
    molehunt: Command, base: Path, tmp_path: Path, words: tuple[object, ...], told: str
) -> None:
    planting = ("organism", "plant", "--base", base, "--rows", 24, *words, "--prepare", "--out", tmp_path / "out")
    assert_refused(molehunt(*planting), told)
    assert not (tmp_path / "out").exists()


def test_an_outline_is_the_model_without_its_numbers(base: Path) -> None:
    whole, empty = load_model(base), outline(base)
    assert empty.ref() == whole.ref()
    assert empty.chat.digest == whole.chat.digest
    assert all(weight.is_meta for weight in empty.model.parameters())
