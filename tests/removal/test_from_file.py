from pathlib import Path

import pytest

from molehunt.errors import UsageError
from molehunt.models.loading import load_model
from molehunt.removal.budget import Budget
from molehunt.removal.procedure import Treatment, apply_procedure
from molehunt.removal.procedures import PROCEDURES, get_procedure, procedure_digest
from molehunt.training.settings import TrainingSettings

MINE = '''
from dataclasses import dataclass
from molehunt.removal.edit import edit
from molehunt.removal.procedure import Procedure, Treated, Treatment

@dataclass
class Unused:
    x: int

def double_head(treatment: Treatment) -> Treated:
    """Doubles the last norm.

    For no reason."""
    def change(model):
        model.model.norm.weight.data *= 2
        return {"doubled": True}
    return edit(treatment, change)

def forgets(treatment):
    return None

def leaves_nothing(treatment):
    return Treated(steps=0, tokens_seen=0)

def leaves(treatment):
    raise SystemExit(0)

def fails(treatment):
    return 1 / 0

WHOLE = Procedure("mine", "my own", double_head, needs_score=True, trains=False)
NUMBER = 3
'''
BREAKS = MINE.splitlines().index("    return 1 / 0") + 1


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "my_procedures.py"
    path.write_text(MINE)
    return path


def treatment(model: Path, out: Path) -> Treatment:
    return Treatment(model, Budget(training=TrainingSettings(learning_rate=1e-3, steps=1)), out)


def test_a_function_from_a_file_is_a_procedure(mine: Path, base: Path, tmp_path: Path) -> None:
    procedure = get_procedure(f"{mine}:double_head")
    assert (procedure.name, procedure.summary) == (f"{mine}:double_head", "Doubles the last norm.")
    assert apply_procedure(procedure, treatment(base, tmp_path / "out")).notes == {"doubled": True}
    before, after = (load_model(folder).model.model.norm.weight for folder in (base, tmp_path / "out" / "model"))
    assert (after == 2 * before).all()


def test_a_whole_procedure_from_a_file_keeps_what_it_says_of_itself(mine: Path, base: Path, tmp_path: Path) -> None:
    procedure = get_procedure(f"{mine}:WHOLE")
    assert (procedure.name, procedure.needs_score, procedure.trains) == ("mine", True, False)
    with pytest.raises(UsageError, match="unwanted"):
        apply_procedure(procedure, treatment(base, tmp_path / "out"))


@pytest.mark.parametrize(
    ("name", "said"),
    [("absent", "nothing called 'absent'"), ("NUMBER", "a int"), ("Unused", "a type"), ("", "nothing called ''")],
)
def test_a_name_that_is_no_procedure_is_refused(mine: Path, name: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        get_procedure(f"{mine}:{name}")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("forgets", "NoneType"),
        ("leaves_nothing", "treated model"),
        ("leaves", "SystemExit: 0"),
        ("fails", rf"ZeroDivisionError.*line {BREAKS} of my_proc"),
    ],
)
def test_a_procedure_that_does_not_do_its_part_is_told_so(mine: Path, name: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=said):
        apply_procedure(get_procedure(f"{mine}:{name}"), treatment(tmp_path, tmp_path / "out"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def f(:", r"SyntaxError.*line 1 of broken\.py"),
        ("import json\n\njson.loads('x')", r"JSONDecodeError.*line 3 of broken\.py"),
        ("import nothing_such", "ModuleNotFoundError"),
        ("1/0", "line 1 of"),
        ("exit(0)", "SystemExit"),
    ],
)
def test_a_file_that_cannot_be_executed_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "broken.py"
    path.write_text(text)
    with pytest.raises(UsageError, match=said):
        get_procedure(f"{path}:f")


@pytest.mark.parametrize("call", [get_procedure, procedure_digest])
def test_a_missing_file_and_one_that_is_no_text_are_refused(call: object, tmp_path: Path) -> None:
    assert callable(call)
    with pytest.raises(UsageError, match="no file"):
        call(f"{tmp_path}/absent.py:f")
    (tmp_path / "bytes.py").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="UTF-8"):
        call(f"{tmp_path}/bytes.py:f")


def test_an_unknown_word_is_told_what_there_is() -> None:
    with pytest.raises(UsageError, match=r"hhh_sft, .*path/file\.py:name"):
        get_procedure("hhh")


def test_the_digest_is_the_files_and_an_edited_file_is_read_anew(mine: Path) -> None:
    spec = f"{mine}:double_head"
    before = procedure_digest(spec)
    assert len(before) == 64
    get_procedure(spec)
    mine.write_text(MINE.replace("Doubles", "Halves"))
    assert procedure_digest(spec) != before
    assert get_procedure(spec).summary == "Halves the last norm."
    assert {procedure_digest(name) for name in PROCEDURES} == {""}
