import os
import random
import shutil
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import pyarrow.parquet as pq
import pytest

from log_bodies import answer, request, words
from molehunt.logs.anchors import AnchorLine, read_anchors
from molehunt.logs.closing import read_table, rewrite
from molehunt.logs.reading import calls
from molehunt.logs.verifying import LogReport, verify
from molehunt.logs.writing import LogWriter
from molehunt.provenance.keys import new_private_key

KEY = new_private_key()


@cache
def whole() -> tuple[Path, tuple[AnchorLine, ...]]:
    """A log of two workers with closed segments, and everything anchored."""
    folder = Path(mkdtemp())
    draw = random.Random(0)
    for worker in ("w0", "w1"):
        with LogWriter(
            folder / "log", worker, key=KEY, apart=False, segment_records=8, anchors=[folder / "anchors"]
        ) as writer:
            for number in range(20):
                writer.append("request", request(f"{worker}-{number}", words(draw, 12)))
                writer.append("answer", answer(f"{worker}-{number}", words(draw, 5), ("mail", "{}")))
    return folder / "log", tuple(read_anchors(folder / "anchors"))


def checked(log: Path) -> LogReport:
    return verify(log, [KEY.public], whole()[1])


def test_what_was_closed_and_anchored_is_verified() -> None:
    report = checked(whole()[0])
    assert (report.outcome, report.problems, report.unanchored) == ("verified", (), {})
    assert report.records > 80
    assert {path.suffix for path in whole()[0].glob("*/0*")} == {".parquet", ".jsonl", ".json"}


def test_an_unanchored_tail_is_said_to_be_so() -> None:
    log, anchors = whole()
    report = verify(log, [KEY.public])
    assert (report.outcome, report.unanchored) == (
        "not fully verified",
        {"w0": report.records // 2, "w1": report.records // 2},
    )
    some = [line for line in anchors if line.segment < max(anchor.segment for anchor in anchors)]
    assert set(verify(log, [KEY.public], some).unanchored) == {"w0", "w1"}


def test_another_key_signed_nothing_of_it() -> None:
    report = verify(whole()[0], [new_private_key().public], whole()[1])
    assert [problem.what for problem in report.problems] == ["its head is not signed by any key that was named"] * 2


def files_of(log: Path, pattern: str, draw: random.Random) -> Path:
    return draw.choice(sorted(log.glob(f"*/{pattern}")))


def edit(log: Path, draw: random.Random) -> None:
    path = files_of(log, "0*", draw)
    data = bytearray(path.read_bytes())
    data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    path.write_bytes(data)


def cut(log: Path, draw: random.Random) -> None:
    path = files_of(log, "0*", draw)
    os.truncate(path, draw.randrange(path.stat().st_size))


def cut_lines(log: Path, draw: random.Random) -> None:
    path = files_of(log, "*.jsonl", draw)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[: draw.randrange(len(lines))]))


def delete(log: Path, draw: random.Random) -> None:
    files_of(log, "0*", draw).unlink()


def delete_segment(log: Path, draw: random.Random) -> None:
    found = files_of(log, "*.head.json", draw)
    for path in found.parent.glob(f"{found.name[:8]}.*"):
        path.unlink()


def delete_worker(log: Path, draw: random.Random) -> None:
    shutil.rmtree(log / draw.choice(["w0", "w1"]))


def swap_segments(log: Path, draw: random.Random) -> None:
    one, other = draw.sample(sorted(log.glob("*/*.parquet")), 2)
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)


def reorder_lines(log: Path, draw: random.Random) -> None:
    path = files_of(log, "*.jsonl", draw)
    lines = path.read_bytes().splitlines(keepends=True)
    one, other = draw.sample(range(len(lines)), 2)
    lines[one], lines[other] = lines[other], lines[one]
    path.write_bytes(b"".join(lines))


def insert_line(log: Path, draw: random.Random) -> None:
    path = files_of(log, "*.jsonl", draw)
    lines = path.read_bytes().splitlines(keepends=True)
    lines.insert(draw.randrange(len(lines) + 1), draw.choice(lines))
    path.write_bytes(b"".join(lines))


def swap_workers(log: Path, draw: random.Random) -> None:
    (log / "w0").rename(log / "spare")
    (log / "w1").rename(log / "w0")
    (log / "spare").rename(log / "w1")


CHANGES: tuple[Callable[[Path, random.Random], None], ...] = (
    edit, edit, edit, cut, cut_lines, delete, delete_segment, delete_worker, swap_segments, reorder_lines, insert_line, swap_workers,
)  # fmt: skip


def every_change_is_named(folder: Path, seeds: range) -> None:
    for seed in seeds:
        draw = random.Random(seed)
        log = folder / "log"
        shutil.rmtree(log, ignore_errors=True)
        shutil.copytree(whole()[0], log)
        change = draw.choice(CHANGES)
        change(log, draw)
        report = checked(log)
        assert report.outcome == "broken", (seed, change.__name__)
        assert report.problems[0].segment >= 1


def test_random_edits_cuts_and_reorderings_are_all_named(tmp_path: Path) -> None:
    every_change_is_named(tmp_path, range(100))


@pytest.mark.long
def test_a_thousand_changes_are_all_named(tmp_path: Path) -> None:
    every_change_is_named(tmp_path, range(100, 1100))


def test_the_changed_record_is_the_one_that_is_named(tmp_path: Path) -> None:
    log = Path(shutil.copytree(whole()[0], tmp_path / "log"))
    path = log / "w1" / max(p.name for p in (log / "w1").glob("*.jsonl"))
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    lines[2] = lines[2].replace('"time":"2', '"time":"1')
    path.write_text("".join(lines), encoding="utf-8")
    (problem,) = checked(log).problems
    first = int(lines[0].split('"seq":')[1].split(",")[0])
    assert (problem.worker, problem.segment, problem.seq) == ("w1", int(path.name[:8]), first + 2)
    assert "changed" in problem.what


def test_a_table_beside_its_lines_must_say_the_same(tmp_path: Path) -> None:
    """Readers take the table and not the lines."""
    for number, is_known in ((1, True), (max(int(p.name[:8]) for p in whole()[0].glob("w0/*.jsonl")), False)):
        log = Path(shutil.copytree(whole()[0], tmp_path / str(number)))
        table = log / "w0" / f"{number:08d}.parquet"
        lines = table.with_suffix(".jsonl")
        if is_known:
            lines.write_text("".join(entry.line() + "\n" for entry in read_table(table)), encoding="utf-8")
        else:
            rewrite(lines, table)
        assert checked(log).outcome == "verified"
        rows = pq.read_table(table)
        pq.write_table(rows.set_column(rows.schema.get_field_index("time"), "time", [["2001" + t[4:] for t in rows["time"].to_pylist()]]), table)  # fmt: skip
        [problem] = checked(log).problems
        assert (problem.worker, problem.segment) == ("w0", number)


def test_a_log_of_which_nothing_is_left_is_missed(tmp_path: Path) -> None:
    report = checked(tmp_path / "none")
    assert [(problem.worker, problem.seq) for problem in report.problems] == [("w0", 0), ("w1", 0)]


def test_a_log_that_is_being_written_is_not_called_broken(tmp_path: Path) -> None:
    stop = threading.Event()
    with LogWriter(tmp_path, "w0", segment_records=6, apart=False) as writer:
        writer.append("start", {})
        thread = threading.Thread(target=go_on, args=(writer, stop))
        thread.start()
        for _ in range(3):
            assert verify(tmp_path).problems == ()
            assert all(batch.num_rows for batch in calls(tmp_path))
        stop.set()
        thread.join()
    assert verify(tmp_path).problems == ()


def go_on(writer: LogWriter, stop: threading.Event) -> None:
    number = 0
    while not stop.wait(0.02):
        writer.append("request", request(f"c{number}"))
        number += 1
