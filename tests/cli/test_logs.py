"""`molehunt logs` as a user types it."""

import json
from pathlib import Path

from command_line import Command, assert_refused
from log_bodies import answer, request
from molehunt.logs.writing import LogWriter
from molehunt.provenance.keys import new_private_key


def written(folder: Path) -> Path:
    key = new_private_key()
    (folder / "key.pem").write_bytes(key.pem())
    (folder / "pub.pem").write_bytes(key.public.pem)
    with LogWriter(
        folder / "log", "w0", key=key, segment_records=8, apart=False, anchors=[folder / "anchors"]
    ) as writer:
        for number in range(6):
            writer.append("request", request(f"c{number}"))
            writer.append("answer", answer(f"c{number}"))
    return folder / "log"


def test_verify_ends_with_what_it_found(molehunt: Command, tmp_path: Path) -> None:
    log = written(tmp_path)
    named = ("--key", tmp_path / "pub.pem", "--anchor", tmp_path / "anchors")
    good = molehunt("logs", "verify", log, *named)
    assert (good.code, good.err) == (0, "")
    assert "verified: 15 records in 2 segments" in good.out
    unanchored = molehunt("logs", "verify", log)
    assert unanchored.code == 3
    assert "the last 15 records are not anchored" in unanchored.out
    path = log / "w0/00000002.jsonl"
    path.write_text(path.read_text().replace('"yes"', '"no"', 1))
    broken = molehunt("logs", "verify", log, *named)
    assert broken.code == 1
    assert "broken: w0/00000002, record" in broken.out
    told = molehunt("logs", "verify", log, *named, "--json")
    assert (told.code, json.loads(told.out)["problems"][0]["segment"]) == (1, 2)


def test_what_cannot_be_verified_at_all_is_refused(molehunt: Command, tmp_path: Path) -> None:
    assert_refused(molehunt("logs", "verify", tmp_path / "none"), "no such folder")
    assert_refused(molehunt("logs", "verify", tmp_path), "no segments")
    log = written(tmp_path)
    assert_refused(molehunt("logs", "verify", log, "--key", tmp_path / "none.pem"), "none.pem")
    (tmp_path / "anchors").write_text("nonsense\n")
    assert_refused(molehunt("logs", "verify", log, "--anchor", tmp_path / "anchors"), "line 1")


def test_a_log_is_exported_imported_flagged_and_pruned(molehunt: Command, tmp_path: Path) -> None:
    log = written(tmp_path)
    spans = tmp_path / "spans.jsonl"
    assert "6 spans" in molehunt("logs", "export", log, "--to", "otlp", "--out", spans).out
    assert_refused(molehunt("logs", "export", log, "--out", spans), "a new file")
    assert molehunt("logs", "export", log).out.count("\n") == 15
    done = molehunt("logs", "import", spans, "--from", "otel", "--out", tmp_path / "other")
    assert (done.code, done.out.split(":")[0]) == (0, "6 calls")
    assert_refused(molehunt("logs", "import", spans, "--from", "syslog", "--out", tmp_path / "other"), "syslog")
    assert "flagged c3 as INC-7" in molehunt("logs", "flag", "c3", "--log", log, "--as", "INC-7").out
    assert_refused(molehunt("logs", "flag", "c99", "--log", log, "--as", "INC-7"), "c99")
    assert "0 segments" in molehunt("logs", "prune", log, "--older-than", "1d").out
    assert (
        "1 segments pruned: w0/00000001"
        in molehunt("logs", "prune", log, "--older-than", "0s", "--key", tmp_path / "key.pem").out
    )
    assert_refused(molehunt("logs", "prune", log, "--older-than", "soon"), "soon")
    again = molehunt("logs", "import", spans, "--from", "otel", "--out", tmp_path / "other")
    assert (again.code, again.out.split(":")[0]) == (0, "0 calls, 6 left out, whose ids it has already")
    (log / "HOLD").touch()
    assert_refused(molehunt("logs", "prune", log, "--older-than", "0s"), "legal hold")


def test_an_export_that_breaks_off_leaves_nothing_in_the_way_of_the_next(molehunt: Command, tmp_path: Path) -> None:
    log, out = written(tmp_path), tmp_path / "out/records.jsonl"
    path = log / "w0/00000002.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[:-80] + b"\n")
    assert_refused(molehunt("logs", "export", log, "--out", out), "00000002")
    assert list(out.parent.iterdir()) == []
    path.write_bytes(whole)
    assert "15 records" in molehunt("logs", "export", log, "--out", out).out
    assert list(out.parent.iterdir()) == [out]


def test_a_file_without_calls_is_refused(molehunt: Command, tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").touch()
    done = molehunt("logs", "import", tmp_path / "empty.jsonl", "--from", "jsonl", "--out", tmp_path / "log")
    assert_refused(done, "at least one call")
