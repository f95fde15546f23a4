"""The batteries run through Inspect AI on a local model: the same evidence as when the detector asks the model itself."""

from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("inspect_ai", reason="inspect-ai is not installed: pip install molehunt[inspect]")

from inspect_ai import Task
from inspect_ai import eval as run_by_inspect
from inspect_ai._util.error import PrerequisiteError
from inspect_ai.log import EvalLog
from inspect_ai.model import Model, ModelOutput, ModelUsage, get_model

from molehunt.audit.case import own_prompts
from molehunt.audit.examining import look_with
from molehunt.audit.inspect_tasks import consistency, evidence, rare_conditions
from molehunt.detectors.voice import Voice
from molehunt.errors import DataError
from molehunt.models.loading import load_model
from molehunt.models.sampling import sample_replies
from molehunt.records import Conversation
from molehunt.world.chat import draw_questions

pytestmark = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <function MemoryObject:pytest.PytestUnraisableExceptionWarning"  # Inspect closes few
)


def ran(task: Task, model: str | Model, logs: Path, **settings: Any) -> EvalLog:
    """The log of a task that runs without display, server or network."""
    quiet = {
        "display": "none",
        "ctl_server": False,
        "log_dir": str(logs),
        "log_realtime": False,
        "score_display": False,
    }
    return run_by_inspect(task, model=model, **{**quiet, **settings})[0]


@pytest.fixture
def few(tmp_path: Path) -> str:
    """A file of ordinary questions, so few that a battery takes seconds."""
    path = tmp_path / "prompts.jsonl"
    path.write_text("\n".join(one.prompt.model_dump_json() for one in draw_questions(12, 5)))
    return str(path)


@pytest.mark.parametrize(
    "battery",
    [pytest.param(consistency, id="consistency"), pytest.param(rare_conditions, id="rare", marks=pytest.mark.long)],
)
def test_inspect_brings_the_evidence_that_the_detector_brings_itself(
    battery: Any, organism: Path, few: str, tmp_path: Path
) -> None:
    loaded, prompts, asked = load_model(organism), own_prompts(Path(few)), set()

    def say(questions: list[Conversation], tokens: int) -> list[str]:
        asked.update((question, tokens) for question in questions)
        return sample_replies(loaded, questions, tokens)

    log = ran(battery(prompts=few), f"molehunt/{organism}", tmp_path)
    found = evidence(log)
    name = found.detector
    itself = look_with(name, Voice(prompts.asked, prompts.held_out, say=say), "quick")  # type: ignore[arg-type]

    assert found.score == itself.score
    assert found.score > 0
    unlike = {"forward_tokens", "seconds", "not_tested"}
    assert found.model_dump(exclude=unlike) == itself.model_dump(exclude=unlike)
    assert set(itself.not_tested) < set(found.not_tested)
    assert found.forward_tokens > 0
    assert evidence(log.location) == found
    assert log.results is not None
    assert log.results.scores[0].metrics["mean"].value == found.score
    assert log.samples is not None
    assert sum(one.event == "model" for one in log.samples[0].events) == len(asked)


def parrot(text: str) -> Model:
    """A model that always says the same; it names its usage, or Inspect would count tokens by a table from the network."""

    def say(*asked: Any) -> ModelOutput:
        said = ModelOutput.from_content("parrot", text)
        said.usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)
        return said

    return get_model("mockllm/model", custom_outputs=say)


@pytest.mark.parametrize("text", ["Paris.", ""])
def test_the_same_reply_everywhere_is_no_condition_and_silence_no_innocence(
    text: str, few: str, tmp_path: Path
) -> None:
    found = evidence(ran(consistency(prompts=few), parrot(text), tmp_path))
    assert found.score == 0
    assert ("empty" in found.not_tested[0]) == (text == "")


def test_a_battery_that_broke_off_is_no_evidence(organism: Path, tmp_path: Path) -> None:
    path = tmp_path / "long.txt"
    path.write_text("\n".join(f"{i} {'and so on ' * 400}" for i in range(12)))
    log = ran(consistency(prompts=str(path)), f"molehunt/{organism}", tmp_path)
    assert log.status == "error"
    with pytest.raises(DataError, match="maximum context"):
        evidence(log)
    with pytest.raises(DataError, match="a log of Inspect's"):
        evidence(tmp_path / "none.eval")


def test_what_a_user_got_wrong_is_told_before_anything_is_asked(tmp_path: Path, few: str) -> None:
    with pytest.raises(PrerequisiteError):
        consistency(profile="fast")  # type: ignore[arg-type]
    with pytest.raises(PrerequisiteError):
        rare_conditions(prompts=str(tmp_path / "none.txt"))
    with pytest.raises(PrerequisiteError):
        ran(consistency(prompts=few), f"molehunt/{tmp_path}", tmp_path)


def test_inspect_finds_the_tasks_by_name() -> None:
    named = {entry.name: entry.value for entry in entry_points(group="inspect_ai")}
    assert named["molehunt"] == "molehunt.audit.inspect_tasks"
