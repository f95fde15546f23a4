import json
import random
import resource
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import FrameType
from typing import Any

import duckdb
import pytest

from log_bodies import answer, request
from molehunt.errors import DataError, LogError, UsageError
from molehunt.logs import events
from molehunt.logs.anchors import AnchorLine, WebhookAnchor, read_anchors
from molehunt.logs.exporting import entries
from molehunt.logs.reading import calls, to_calls
from molehunt.logs.redaction import Encryption, Redaction
from molehunt.logs.verifying import verify
from molehunt.logs.writing import LogWriter
from molehunt.records.signing import hmac_header


def records(log: Path) -> list[tuple[str, dict[str, object]]]:
    return [(entry.event, entry.attributes()) for _, entry in entries(log)]


def bodies(log: Path, event: str) -> list[dict[str, object]]:
    return [body for name, body in records(log) if name == event]


def killed_once(folder: Path, draw: random.Random) -> dict[int, str]:
    """What a writer said it had written before it was killed."""
    command = [
        sys.executable,
        str(Path(__file__).with_name("kill_writer.py")),
        str(folder / "log"),
        str(folder / "anchors"),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        lines = [process.stdout.readline()]
        time.sleep(draw.random() * 0.3)
        process.send_signal(signal.SIGKILL)
        lines += process.stdout.read().splitlines(keepends=True)
    whole = [line.split() for line in lines if line.endswith("\n")]
    return {int(seq): own for seq, own in whole}


def killed_often(folder: Path, times: int) -> None:
    draw = random.Random(times)
    said: dict[int, str] = {}
    for _ in range(times):
        said |= killed_once(folder, draw)
    report = verify(folder / "log", anchors=read_anchors(folder / "anchors") if (folder / "anchors").exists() else None)
    assert report.problems == ()
    there = {entry.seq: entry.hash for _, entry in entries(folder / "log")}
    assert said.items() <= there.items()
    assert len(said) > times


def test_killing_a_writer_loses_nothing_that_it_had_appended(tmp_path: Path) -> None:
    killed_often(tmp_path, 4)


@pytest.mark.long
def test_killing_a_writer_a_hundred_times_loses_nothing(tmp_path: Path) -> None:
    killed_often(tmp_path, 100)


def test_a_torn_line_is_kept_aside_and_the_chain_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with LogWriter(log, "w0", apart=False) as writer:
        for number in range(3):
            writer.append("request", {"number": number})
    path = log / "w0" / "00000001.jsonl"
    path.with_name("00000001.head.json").unlink()
    path.write_bytes(path.read_bytes()[:-40])
    with LogWriter(log, "w0", apart=False) as writer:
        writer.append("request", {"number": 3})
    assert [body["number"] for body in bodies(log, "request")] == [0, 1, 3]
    (mended,) = bodies(log, "mended")
    kept = log / "w0" / str(mended["file"])
    assert kept.stat().st_size == mended["size"]
    report = verify(log)
    assert report.problems == ()
    assert any("tore off" in note for note in report.notes)
    kept.write_bytes(b"other")
    assert "tore off" in verify(log).problems[0].what


def test_a_full_disk_is_an_error_and_leaves_no_torn_line(tmp_path: Path) -> None:
    with LogWriter(tmp_path / "log", "w0", apart=False) as writer:
        writer.append("request", {"number": 0})
        size = (tmp_path / "log/w0/00000001.jsonl").stat().st_size
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, before[1]))
        try:
            with pytest.raises(LogError, match="cannot be written"):
                writer.append("request", {"text": "x" * 1000})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        writer.append("request", {"number": 1})
    assert [body.get("number") for body in bodies(tmp_path / "log", "request")] == [0, 1]
    assert verify(tmp_path / "log").problems == ()


class Broken(BaseException):
    """As Ctrl-C is."""


def broken_off(log: LogWriter, step: int) -> bool:
    """Append a record and be broken off before this step of writing it; False if it has fewer."""
    left = step

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal left
        if frame.f_code.co_name not in ("_write", "append", "_cut_torn"):
            return None
        left -= event == "line"
        if left < 0:
            raise Broken
        return trace

    old = sys.gettrace()
    sys.settrace(trace)
    try:
        log.append("request", request(step))
    except Broken:
        return True
    finally:
        sys.settrace(old)
    return False


def test_broken_off_at_any_step_of_an_append_the_chain_is_whole(tmp_path: Path) -> None:
    for goes_on in (False, True):
        for step in range(100):
            place = tmp_path / f"{goes_on}-{step}"
            log = LogWriter(place, "w0", apart=False)
            log.append("request", request(1000))
            was_broken_off = broken_off(log, step)
            if goes_on:
                log.append("answer", answer(1000))
            log.close()
            assert verify(place).problems == (), step
            if not was_broken_off:
                break
        assert step > 15


def test_a_chain_has_one_writer(tmp_path: Path) -> None:
    with LogWriter(tmp_path, "w0"), pytest.raises(LogError, match="another that is writing"):
        LogWriter(tmp_path, "w0")
    with LogWriter(tmp_path, "w0") as writer:
        pass
    with pytest.raises(LogError, match="closed"):
        writer.append("start", {})
    with pytest.raises(UsageError, match="worker"):
        LogWriter(tmp_path, "../w0")


def test_threads_append_whole_records_and_share_flushes(tmp_path: Path) -> None:
    with LogWriter(tmp_path, "w0", durability="disk", segment_records=30, apart=False) as writer:
        threads = [
            threading.Thread(target=lambda: [writer.append("request", request("c")) for _ in range(15)])
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(bodies(tmp_path, "request")) == 60
    assert verify(tmp_path).problems == ()


def test_closed_segments_are_read_with_duckdb_alone(tmp_path: Path) -> None:
    with LogWriter(tmp_path, "w0", segment_records=4) as writer:
        for number in range(4):
            writer.append("request", request(f"c{number}", events_text := "é \U0001f600"))
    found = duckdb.sql(
        f"""SELECT "gen_ai.request.model", "gen_ai.input.messages"->>'$[1].parts[0].content' FROM '{tmp_path}/*/*.parquet'
        WHERE event = 'request'"""
    ).fetchall()
    assert found == [("tiny", events_text)] * 3
    wrong = duckdb.sql(
        f"""SELECT count(*) FROM '{tmp_path}/*/*.parquet' WHERE hash <> sha256(prev || chr(10) || '{{"body":'
        || replace(body, '"gen_ai.input.messages":"@"', '"gen_ai.input.messages":' || coalesce("gen_ai.input.messages", ''))
        || ',"event":"' || event || '","seq":' || seq || ',"time":"' || time || '"}}')"""
    ).fetchall()
    assert wrong == [(0,)]


def test_what_json_has_no_word_for_is_logged_all_the_same(tmp_path: Path) -> None:
    odd = {"half": "\ud800", "nan": float("nan"), "big": 10**400, "nested": {"inf": [float("inf")]}}
    with LogWriter(tmp_path, "w0", apart=False, segment_records=3) as writer:
        writer.append("request", request("c0", "\ud800 \x7f \u2028") | odd)
        with pytest.raises(DataError, match="wanted JSON"):
            writer.append("request", {"what": object()})
        with pytest.raises(DataError, match="event"):
            writer.append('x","y', {})
        deep: list[object] = []
        for _ in range(100_000):
            deep = [deep]
        with pytest.raises(DataError):
            writer.append("request", {"deep": deep})
        writer.append("answer", answer("c0"))
        writer.append("request", request("c1"))
    assert verify(tmp_path).problems == ()
    (body, _) = bodies(tmp_path, "request")
    assert (body["half"], body["nan"], body["big"]) == ("\ud800", "nan", 10**400)
    found = {call.call_id: call for call in to_calls(calls(tmp_path))}
    assert found["c0"].messages[1].content == "\ufffd \x7f \u2028"


def test_what_rules_name_is_blotted_out_before_it_is_hashed(tmp_path: Path) -> None:
    rules = Redaction.of({"card": r"\b\d{4} \d{4} \d{4} \d{4}\b"})
    with LogWriter(tmp_path, "w0", redaction=rules) as writer:
        writer.append("request", request("c0", "my card: 1234 5678 1234 5678"))
    assert b"1234" not in (tmp_path / "w0/00000001.jsonl").read_bytes()
    assert next(to_calls(calls(tmp_path))).messages[1].content == "my card: [redacted:card]"
    with pytest.raises(UsageError, match="redaction rule bad"):
        Redaction.of({"bad": "("})


def test_encrypted_fields_need_their_key_and_nothing_else_does(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_bytes(bytes(range(32)))
    sealing = Encryption.read(key, [events.INPUT])
    with LogWriter(tmp_path / "log", "w0", encryption=sealing) as writer:
        writer.append("request", request("c0", "secret words"))
    assert b"secret" not in (tmp_path / "log/w0/00000001.jsonl").read_bytes()
    assert verify(tmp_path / "log").problems == ()
    (body,) = bodies(tmp_path / "log", "request")
    assert sealing.open(body)[events.INPUT] == request("c0", "secret words")[events.INPUT]
    with pytest.raises(LogError, match="key"):
        Encryption(bytes(32), ()).open(body)


def test_a_webhook_is_told_and_knows_who_tells(tmp_path: Path) -> None:
    got: list[tuple[bytes, str]] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.append((body, self.headers["X-Molehunt-Signature"]))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    hook = WebhookAnchor(f"http://127.0.0.1:{server.server_port}/", b"secret")
    with LogWriter(tmp_path, "w0", anchors=[hook]) as writer:
        writer.append("start", {})
    server.shutdown()
    server.server_close()
    ((body, signature),) = got
    assert hmac_header(body, b"secret")["X-Molehunt-Signature"] == signature
    assert verify(tmp_path, anchors=[AnchorLine.model_validate(json.loads(body))]).outcome == "verified"


def test_an_anchor_that_fails_is_written_down(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path / "log", "w0", anchors=[tmp_path / "no" / "folder"], segment_records=3, apart=False)
    for _ in range(4):
        writer.append("request", {})
    with pytest.raises(LogError, match="anchor"):
        writer.close()
    assert "folder" in str(bodies(tmp_path / "log", "anchor-failed")[0]["error"])


def test_closed_segments_are_copied_and_verify_from_there(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/copy"
    for _ in range(2):
        with LogWriter(tmp_path / "log", "w0", copies=url, segment_records=4, apart=False) as writer:
            for number in range(9):
                writer.append("request", request(f"c{number}"))
    report = verify(tmp_path / "copy")
    assert (report.problems, report.records) == ((), verify(tmp_path / "log").records)
    assert len(list(to_calls(calls(url)))) == 18
