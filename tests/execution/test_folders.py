import os
from pathlib import Path

import pytest

from molehunt.errors import UsageError
from molehunt.execution.folders import report_folder

KIND = "molehunt.toy"


def write(folder: Path, text: str = "new") -> None:
    (folder / "result.json").write_text(f'{{"schema": "{KIND}/1", "text": "{text}"}}')
    (folder / "report.html").write_text(text)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def fail_while_writing(folder: Path) -> None:
    with report_folder(folder, KIND) as aside:
        write(aside, "two")
        raise RuntimeError


def test_a_report_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    for text in ("one", "two"):
        with report_folder(tmp_path / "out", KIND) as aside:
            write(aside, text)
        assert (tmp_path / "out" / "report.html").read_text() == text
        assert names(tmp_path / "out") == {"result.json", "report.html"}


def test_an_earlier_table_lies_in_it_and_stays_unless_replaced(tmp_path: Path) -> None:
    for _ in range(2):
        with report_folder(tmp_path, KIND) as aside:
            write(aside)
            if not (aside / "results.parquet").exists():
                (aside / "results.parquet").write_text("table")
    assert (tmp_path / "results.parquet").read_text() == "table"


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    with report_folder(tmp_path / "out", KIND) as aside:
        write(aside, "one")
    for place in ("out", "new"):
        with pytest.raises(RuntimeError):
            fail_while_writing(tmp_path / place)
    assert (tmp_path / "out" / "report.html").read_text() == "one"
    assert not (tmp_path / "new").exists()


def test_what_a_kill_left_is_cleared_and_what_another_process_writes_is_not(tmp_path: Path) -> None:
    left = tmp_path / ".molehunt-report-4194304999-x"
    theirs = tmp_path / f".molehunt-report-{os.getppid()}-y"
    left.mkdir()
    theirs.mkdir()
    with report_folder(tmp_path, KIND) as aside:
        write(aside)
        assert not left.exists()
        assert theirs.exists()


def test_a_folder_with_something_else_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"notes\.txt"), report_folder(tmp_path, KIND):
        pass
    assert names(tmp_path) == {"notes.txt"}
