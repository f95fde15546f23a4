"""`molehunt weights scan` as a user types it."""

import json
import pickle
from pathlib import Path

from backdoored_templates import BACKDOORED
from command_line import Command, assert_refused
from model_folders import plain
from ordinary_templates import CHATML


def test_an_ordinary_folder_ends_with_0(molehunt: Command, tmp_path: Path) -> None:
    ended = molehunt("weights", "scan", plain(tmp_path / "model", CHATML))
    assert (ended.code, ended.err) == (0, "")
    assert "10 files examined, nothing found" in ended.out


def test_what_is_found_ends_with_1_in_every_form(molehunt: Command, tmp_path: Path) -> None:
    folder = plain(tmp_path / "model", CHATML)
    (folder / "training_args.bin").write_bytes(pickle.dumps({"a": 1}))
    shown = molehunt("weights", "scan", folder)
    assert shown.code == 1
    assert "training_args.bin" in shown.out
    told = molehunt("weights", "scan", folder, "--json")
    assert (told.code, json.loads(told.out)["outcome"]) == (1, "found")
    log = molehunt("weights", "scan", folder, "--sarif")
    assert log.code == 1
    assert {r["ruleId"] for r in json.loads(log.out)["runs"][0]["results"]} >= {"format", "pickle"}


def test_what_cannot_be_examined_ends_with_3(molehunt: Command, tmp_path: Path) -> None:
    ended = molehunt("weights", "scan", plain(tmp_path / "model", BACKDOORED["refuses all"]))
    assert ended.code == 3
    assert "not fully examined" in ended.out


def test_the_base_is_compared(molehunt: Command, tmp_path: Path) -> None:
    base, model = plain(tmp_path / "base", CHATML), plain(tmp_path / "model", BACKDOORED["one word"])
    assert molehunt("weights", "scan", model, "--base", base).code == 1
    assert molehunt("weights", "scan", model, "--base", model).code == 0


def test_mistakes_end_as_one_sentence(molehunt: Command, tmp_path: Path) -> None:
    assert_refused(molehunt("weights", "scan", tmp_path / "gone"), "model")
    assert_refused(molehunt("weights", "scan", "owner/name"), "hf download owner/name")
    assert_refused(molehunt("weights", "scan", tmp_path), "an empty folder")
    assert_refused(molehunt("weights", "scan", plain(tmp_path / "m"), "--json", "--sarif"), "leave one out")
