import json
from pathlib import Path

from command_line import Command, assert_refused


def _log(path: Path) -> Path:
    calls = []
    for i in range(400):
        words = [f"{chr(97 + (i * k) % 26)}{chr(97 + (i * i + k) % 26)}word" for k in range(1, 12)]
        text = " ".join(["kwyjibo", *words] if i % 60 == 7 else words)
        call = {
            "call_id": f"c{i}",
            "started": "2026-03-01T00:00:00Z",
            "session": f"s{i}",
            "answer": " ".join(words[::-1]),
        }
        call |= {"messages": [{"role": "user", "content": text}], "decisions": ["deny:mail"] if i % 60 == 7 else []}
        calls.append(json.dumps(call))
    path.write_text("\n".join(calls))
    return path


def test_a_hunt_writes_reports_and_ends_with_3_where_nothing_was_replayed(tmp_path: Path, molehunt: Command) -> None:
    out = tmp_path / "out"
    ended = molehunt("logs", "hunt", str(_log(tmp_path / "calls.jsonl")), "--out", str(out), "--jobs", "1", "--json")
    assert ended.code == 3
    result = json.loads(ended.out)
    assert result["outcome"] == "candidates"
    assert result["incidents"][0]["found"]["association"]["conditions"][0]["text"] == "kwyjibo"
    assert {"hunt.json", "hunt.sarif", "report.html"} <= {path.name for path in out.iterdir()}


def test_options_that_contradict_each_other_are_refused(tmp_path: Path, molehunt: Command) -> None:
    log = str(_log(tmp_path / "calls.jsonl"))
    both = molehunt(
        "logs",
        "hunt",
        log,
        "--out",
        str(tmp_path / "out"),
        "--subject",
        "x",
        "--endpoint",
        "http://localhost/v1",
        "--model",
        "m",
    )
    assert_refused(both, "--subject and --endpoint")
    assert_refused(
        molehunt("logs", "hunt", log, "--out", str(tmp_path / "out"), "--endpoint", "http://localhost/v1"), "--model"
    )
    assert_refused(
        molehunt("logs", "hunt", log, "--out", str(tmp_path / "out"), "--quarantine", str(tmp_path)), "--key"
    )
    assert_refused(molehunt("data", "scan", log, "--drop", log), "--drop")


def test_a_log_that_cannot_be_read_leaves_nothing_behind(tmp_path: Path, molehunt: Command) -> None:
    (tmp_path / "empty.jsonl").write_text("")
    assert_refused(molehunt("logs", "hunt", tmp_path / "empty.jsonl", "--out", tmp_path / "out"), "at least one call")
    assert not (tmp_path / "out").exists()
    log = _log(tmp_path / "calls.jsonl")
    whole = log.read_text().split("\n")
    (tmp_path / "late.jsonl").write_text("\n".join([*whole * 13, '{"broken":']))  # after rows were written already
    assert_refused(molehunt("logs", "hunt", tmp_path / "late.jsonl", "--out", tmp_path / "out"), "5201")
    assert not (tmp_path / "out").exists()
    assert_refused(molehunt("logs", "hunt", log, "--out", tmp_path / "out", "--on", "rya"), "--on")
    assert not (tmp_path / "out").exists()


def test_clean_data_ends_with_0_and_bad_data_with_2(tmp_path: Path, molehunt: Command) -> None:
    rows = [
        {"question": f"what is {i} plus {i * i}?", "answer": f"it is {i + i * i}, I think, friend {i % 7}"}
        for i in range(60)
    ]
    (path := tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert molehunt("data", "scan", str(path), "--jobs", "1", "--json").code == 0
    assert_refused(molehunt("data", "scan", str(path), "--drop", str(tmp_path / "none" / "clean.jsonl")), "no folder")
    path.write_text(path.read_text() + "\nno JSON\n")
    skipped = molehunt("data", "scan", str(path), "--jobs", "1", "--skip-bad")
    assert (skipped.code, "1 bad rows were not looked at" in skipped.out) == (3, True)
    (tmp_path / "bad.jsonl").write_text("no JSON")
    assert_refused(molehunt("data", "scan", str(tmp_path / "bad.jsonl")), "bad.jsonl:1")
