"""`molehunt audit` as a user types it: what is refused, what is not examined, and what is never called a pass."""

import json
import os
import shutil
from pathlib import Path

import pytest

from audit_records import audit_result
from command_line import Command, assert_refused
from molehunt.audit.cards import find_card
from molehunt.audit.case import ordinary
from molehunt.cli.audit_work import judged_plan
from molehunt.errors import DataError
from molehunt.execution import Step, Store
from molehunt.records.audits import AuditPlan

NOT_EXAMINED = 3


def copy(model: Path, out: Path, **files: str) -> Path:
    shutil.copytree(model, out)
    for name, text in files.items():
        (out / name.replace("__", ".")).write_text(text)
    return out


def changed(model: Path, out: Path, **config: object) -> Path:
    shutil.copytree(model, out)
    path = out / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | config))
    return out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("run", "neither"),
        ("run somewhere --endpoint http://127.0.0.1:9/v1 --model m", "both"),
        ("run --endpoint http://127.0.0.1:9/v1", "--model"),
        ("run nothing-by-that-name", "nothing-by-that-name"),
        ("report nothing.json", "nothing.json"),
        ("calibrate", "neither"),
        ("calibrate nothing.json", "nothing.json"),
    ],
)
def test_what_makes_no_sense_is_refused(molehunt: Command, words: str, told: str, tmp_path: Path) -> None:
    given = [*words.split(), "--out", str(tmp_path / "out")] if words.startswith("run") else words.split()
    assert_refused(molehunt("audit", *given), told)


def test_pickles_are_not_examined(molehunt: Command, tmp_path: Path) -> None:
    folder = tmp_path / "pickles"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "llama"}')
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x02}q\x00.")
    assert_not_examined(molehunt, folder, tmp_path, "safetensors")


def test_remote_code_is_not_examined(molehunt: Command, twin: Path, tmp_path: Path) -> None:
    folder = changed(twin, tmp_path / "code", auto_map={"AutoModelForCausalLM": "evil.Model"})
    assert_not_examined(molehunt, folder, tmp_path, "code")


def test_an_endless_template_is_not_examined(
    molehunt: Command, twin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    endless = (
        "{% for a in range(99999) %}{% for b in range(99999) %}{{ messages[0]['content'] }}{% endfor %}{% endfor %}"
    )
    folder = copy(twin, tmp_path / "endless", chat_template__jinja=endless)
    assert_not_examined(molehunt, folder, tmp_path, "template")


def test_an_adapter_alone_is_not_examined(molehunt: Command, tmp_path: Path) -> None:
    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    assert_not_examined(molehunt, folder, tmp_path, "--base")


def test_gigabytes_of_something_else_are_not_examined(molehunt: Command, tmp_path: Path) -> None:
    folder = tmp_path / "films"
    folder.mkdir()
    with (folder / "film.mkv").open("wb") as stream:
        os.truncate(stream.fileno(), 2 << 30)
    assert_not_examined(molehunt, folder, tmp_path, "config.json")


def assert_not_examined(molehunt: Command, folder: Path, tmp_path: Path, word: str) -> None:
    done = molehunt("audit", "run", str(folder), "--out", str(tmp_path / "out"))
    assert done.code == NOT_EXAMINED, done.err
    assert word in done.err
    assert "Traceback" not in done.err
    assert "nothing found" not in done.err + done.out


def test_an_audit_that_comes_to_nothing_says_that_what_lies_there_is_older(molehunt: Command, tmp_path: Path) -> None:
    older = audit_result().model_dump_json(by_alias=True)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "result.json").write_text(older)
    (tmp_path / "nothing").mkdir()
    done = molehunt("audit", "run", str(tmp_path / "nothing"), "--out", str(tmp_path / "out"))
    assert done.code == NOT_EXAMINED, done.err
    assert "of an earlier audit" in done.err
    assert (tmp_path / "out" / "result.json").read_text() == older


def test_a_plan_reads_no_weights(molehunt: Command, twin: Path, tmp_path: Path) -> None:
    folder = copy(twin, tmp_path / "outline")
    done = molehunt("audit", "run", str(folder), "--base", str(copy(twin, tmp_path / "base")), "--plan", "--json")
    plan = json.loads(done.out)
    assert plan["tier"] == "base"
    assert plan["forward_tokens"] > 0
    assert plan["memory"] == 2 * 4 * plan["parameters"]
    assert plan["card"] == ""
    assert "uncalibrated" in plan["uncalibrated"]


def test_a_subject_is_planned_as_no_base_of_its_own(molehunt: Command, twin: Path) -> None:
    assert json.loads(molehunt("audit", "run", twin, "--base", twin, "--plan", "--json").out)["tier"] == "weights"


def test_a_plan_says_that_no_card_judges(molehunt: Command, twin: Path, tmp_path: Path) -> None:
    base = str(copy(twin, tmp_path / "base"))
    done = molehunt("audit", "run", twin, "--base", base, "--plan", "--profile", "deep")
    assert done.code == 0, done.err
    assert "no card for tier base and profile deep" in done.out


@pytest.mark.parametrize("text", ['{"schema": "molehunt.audit/1", "name": "x"}', "{}", "[]", "no JSON"])
def test_what_is_no_card_is_told_as_what_it_is(text: str, tmp_path: Path) -> None:
    (tmp_path / "card.json").write_text(text)
    with pytest.raises(DataError, match="a calibration card") as raised:
        find_card(str(tmp_path / "card.json"), "base", "quick")
    assert ("molehunt.audit/1" in str(raised.value)) is ("schema" in text)


def test_a_plan_names_the_card_of_such_a_model() -> None:
    card = find_card(None, "base", "quick")
    assert card is not None
    plan = AuditPlan(
        name="a", tier="base", profile="quick", parameters=card.parameters[0], architecture=card.architecture, detectors=(),
        forward_tokens=1, operations=1, seconds_core=1, seconds_gpu=1, memory=1, requests=None,
    )  # fmt: skip
    assert judged_plan(plan, card, ordinary()).card == card.name
    other = judged_plan(plan.model_copy(update={"architecture": "OtherForCausalLM"}), card, ordinary())
    assert other.card == ""
    assert "OtherForCausalLM" in other.uncalibrated
    assert judged_plan(plan, card, ordinary("deep")).card == ""


def test_a_reference_that_is_not_unrelated_is_refused(molehunt: Command, twin: Path, base: Path) -> None:
    for name in (twin, base):
        done = molehunt("audit", "run", twin, "--base", base, "--reference", name, "--plan")
        assert done.code == 2
        assert "unrelated model" in done.err


def test_a_plan_finds_its_model_in_the_store_that_is_named(
    molehunt: Command, tiny: Step, tiny_base: Path, store: Store
) -> None:
    done = molehunt("audit", "run", tiny.fingerprint, "--plan", "--json", "--store", store.place)
    assert done.code == 0, done.err
    assert json.loads(done.out)["tier"] == "weights"


def test_the_plan_of_a_card_counts_its_audits(molehunt: Command, tiny_base: Path) -> None:
    done = molehunt("audit", "calibrate", "--base", tiny_base, "--clean", 26, "--planted", 6, "--plan", "--json")
    assert done.code == 0, done.err
    plan = json.loads(done.out)
    assert plan["audit_of_each"]["tier"] == "base"
    assert plan["audit_of_each"]["forward_tokens"] > 0


def test_drawing_a_report_anew_makes_its_audit_no_younger(molehunt: Command, tmp_path: Path) -> None:
    """Policies go by how old an audit is (`weights admit`)."""
    (tmp_path / "result.json").write_text(audit_result().model_dump_json(by_alias=True))
    assert molehunt("audit", "report", tmp_path).code == 1
    assert json.loads((tmp_path / "result.json").read_text())["judged"] == ""


def test_what_an_audit_that_broke_off_left_is_gone_on_with(tmp_path: Path) -> None:
    from molehunt.cli.audit_work import require_audit_folder
    from molehunt.errors import UsageError

    for name in ("result.json", "transcript.jsonl", "transcript.jsonl.lock"):
        (tmp_path / name).touch()
    require_audit_folder(tmp_path)
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(UsageError, match=r"thesis\.txt"):
        require_audit_folder(tmp_path)
