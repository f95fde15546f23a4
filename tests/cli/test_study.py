"""`molehunt study` as a user types it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from command_line import Command, assert_refused
from molehunt.execution import Store
from molehunt.records.studies import StudyPlan, StudyResult

FILE = """
from molehunt.records.claims import Claim
from molehunt.records.studies import Factor, Level, Study

def study(base, seeds=2, moves=("removal.training.learning_rate",), steps=30):
    rate = Factor(name="rate", moves=tuple(moves), levels=(
        Level(name="low", sets={"removal.training.learning_rate": 1e-4}),
        Level(name="high", sets={"removal.training.learning_rate": 2e-2}),
    ))
    claim = Claim(id="higher removes", says="a higher rate removes more", source="a test", factor="rate", level="high",
                  against="low", direction="less", smallest=0.1, outcome="asr")
    return Study(
        name="typed", question="?", prediction="!", factors=(rate,), seeds=tuple(range(seeds)), outcomes=("asr", "log_odds"),
        setup={"base.model": base, "organism.rows": 100, "organism.training.steps": steps, "organism.poison.copies": [1, 2],
               "removal.rows": 50, "removal.training.steps": 2, "measure.prompts": 4, "measure.max_new_tokens": 8},
        claims=(claim,),
    )
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "study.py"
    path.write_text(FILE)
    return path


def test_plan_run_report_and_claims(molehunt: Command, file: Path, base: Path, tmp_path: Path) -> None:
    words = (file, "--with", f"base={base}")
    planned = molehunt("study", "plan", *words, "--json")
    assert planned.code == 0
    plan = StudyPlan.model_validate_json(planned.out)
    assert (len(plan.arms), plan.stored) == (2, 0)
    assert molehunt("study", "run", *words, "--jobs", "0").code == 0
    assert "all" not in molehunt("study", "run", *words, "--jobs", "0", "--json").err
    again = json.loads(molehunt("study", "run", *words, "--jobs", "0", "--resume", "--json").out)
    assert (again["done"], again["failed"], again["cached"]) == (0, 0, again["total"])
    reported = molehunt("study", "report", *words, "--out", tmp_path / "out")
    assert reported.code == 0
    assert "higher removes" in reported.out
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"report.html", "result.json", "results.parquet"}
    assert molehunt("study", "report", *words, "--out", tmp_path / "out").code == 0, "an earlier report of ours"
    (tmp_path / "out" / "notes.txt").write_text("mine")
    assert_refused(molehunt("study", "report", *words, "--out", tmp_path / "out"), "notes.txt")
    assert_refused(molehunt("study", "report", *words, "--out", base), "choose another --out")
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / "report.html").write_text("of somebody else")
    assert_refused(molehunt("study", "report", *words, "--out", tmp_path / "page"), "no result.json of molehunt.study")
    result = StudyResult.model_validate_json((tmp_path / "out" / "result.json").read_text())
    (claim,) = json.loads(molehunt("study", "claims", *words, "--json").out)
    assert claim["verdict"] == result.claims[0].verdict
    assert molehunt("study", "plan", *words).code == 0


def test_a_confounded_study_is_shown_and_strictly_refused(molehunt: Command, file: Path, base: Path) -> None:
    words = (file, "--with", f"base={base}", "--with", "moves=[]")
    shown = molehunt("study", "plan", *words, "--strict")
    assert shown.code == 3
    assert "removal.training.learning_rate" in shown.out
    assert_refused(molehunt("study", "run", *words, "--strict"), "confounded")


def test_an_unfinished_study_is_reported_as_such(molehunt: Command, file: Path, base: Path) -> None:
    assert molehunt("study", "run", file, "--with", f"base={base}", "--with", "seeds=1", "--jobs", "0").code == 0
    claims = molehunt("study", "claims", file, "--with", f"base={base}")
    assert claims.code == 3
    assert "missing: 2 of 4 cells" in claims.out
    assert "not tested" in claims.out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("study", "plan", "no-such.py"), "no such file"),
        (("study", "plan", "{file}"), "TypeError"),
        (("study", "plan", "{file}", "--with", "base"), "NAME=VALUE"),
        (("study", "plan", "{file}", "--with", "bse=tiny"), "perhaps base"),
        (("study", "plan", "{file}", "--with", "base=no-such-model"), "nothing by that name"),
        (("study", "run", "{file}", "--with", "base=tiny", "--with", "seeds=0"), "at least one seed"),
        (("study", "claims", "{file}", "--with", "base={base}"), "at least one finished cell"),
    ],
)
def test_mistakes_end_as_one_sentence(
    molehunt: Command, file: Path, base: Path, words: tuple[str, ...], sentence: str
) -> None:
    assert_refused(molehunt(*(word.format(file=file, base=base) for word in words)), sentence)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("import json\n\n\ndef study():\n    return json.loads('x')\n", 5),
        ("from molehunt.records.studies import Study\ndef study():\n    return Study(name='x')\n", 3),
        ("def study():\n    return 1\n\ndef (:\n", 4),
    ],
)
def test_a_mistake_in_the_file_is_told_by_the_files_own_line(
    molehunt: Command, tmp_path: Path, text: str, line: int
) -> None:
    (tmp_path / "mine.py").write_text(text)
    assert_refused(molehunt("study", "plan", tmp_path / "mine.py"), f"(line {line} of mine.py)")


@pytest.mark.long
def test_a_killed_driver_loses_nothing_that_was_finished(file: Path, base: Path, tmp_path: Path) -> None:
    """kill -9 of the driver at growing moments; every finished step stays, and the end is that of a quiet run."""
    store = tmp_path / "store"
    words = [
        sys.executable,
        "-m",
        "molehunt",
        "study",
        "run",
        str(file),
        "--with",
        f"base={base}",
        "--store",
        str(store),
        "--json",
    ]
    finished: set[str] = set()
    for number in range(50):
        driver = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        time.sleep(1.5 + 0.35 * number % 9)
        os.kill(driver.pid, signal.SIGKILL)
        driver.wait()
        now = {path.parent.name for path in store.glob("artifacts/*/artifact.json")}
        assert finished <= now
        for fingerprint in now:
            Store(store).verify(fingerprint)
        finished = now
    ended = subprocess.run(words, check=True, capture_output=True, text=True)
    found = json.loads(ended.stdout)
    assert found["failed"] == 0
    assert found["done"] + found["cached"] == found["total"]
