from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from log_bodies import answer, request
from molehunt.logs import events, reading
from molehunt.logs.reading import CALLS, calls, to_calls, write_calls
from molehunt.logs.writing import LogWriter
from molehunt.records.calls import Call, ToolCall, Turn


def written(log: Path) -> None:
    with LogWriter(log, "w0", apart=False, segment_records=6) as writer:
        writer.append("start", {})
        more = {
            events.CONVERSATION: "s1",
            events.CLIENT: "app",
            events.TOOLS: [{"type": "function", "function": {"name": "mail"}}],
        }
        writer.append("request", request("c1", 'hi "@" \ud800 "gen_ai.input.messages":"@"', **more))
        writer.append("decision", {events.CALL_ID: "c1", events.DECISION: "deny:mail"})
        writer.append("request", request("c2"))
        writer.append("answer", answer("c1", "no", ("mail", "{not json")))
        writer.append(
            "request",
            {events.CALL_ID: "c3", events.INPUT: {"odd": [1]}, events.SYSTEM: [{"type": "text", "content": "S"}]},
        )
        writer.append("interrupted", {events.CALL_ID: "c3", events.OUTPUT: "nonsense"})
        writer.append("flag", {events.CALL_ID: "c2", events.FLAG: "INC-1"})


def test_request_and_answer_are_one_call_however_they_lie(tmp_path: Path) -> None:
    written(tmp_path / "log")
    found = {call.call_id: call for call in to_calls(calls(tmp_path / "log"))}
    assert sorted(found) == ["c1", "c2", "c3"]
    one = found["c1"]
    assert one.messages == (
        Turn(role="system", content="Be kind."),
        Turn(role="user", content='hi "@" \ufffd "gen_ai.input.messages":"@"'),
    )
    assert (one.session, one.client, one.model, one.tools) == ("s1", "app", "tiny", ("mail",))
    assert (one.answer, one.tool_calls) == ("no", (ToolCall(name="mail", arguments="{not json"),))
    assert (one.decisions, one.finish, one.status) == (("deny:mail",), "stop", 200)
    assert one.source.startswith("w0/0000000")
    assert (found["c2"].status, found["c2"].answer, found["c2"].flags) == (0, "", ("INC-1",))
    assert (found["c3"].finish, found["c3"].messages) == ("interrupted", (Turn(role="system", content="S"),))


def test_since_leaves_out_what_was_asked_before(tmp_path: Path) -> None:
    written(tmp_path / "log")
    assert not list(calls(tmp_path / "log", datetime.now(UTC) + timedelta(seconds=5)))


def test_calls_go_to_a_table_and_come_back(tmp_path: Path) -> None:
    written(tmp_path / "log")
    assert write_calls(tmp_path / "calls.parquet", calls(tmp_path / "log")) == 3
    again = sorted(to_calls(calls(tmp_path / "calls.parquet")), key=lambda call: call.call_id)
    assert again == sorted(to_calls(calls(tmp_path / "log")), key=lambda call: call.call_id)
    assert set(CALLS.names) == set(Call.model_fields)


def test_a_log_and_a_table_are_read_in_one_order(tmp_path: Path) -> None:
    with LogWriter(tmp_path / "log", "w0", apart=False, segment_records=500) as writer:
        writer.append("start", {})
        for number in range(3000):
            writer.append("request", request(f"c{number}", f"word {number}"))
            writer.append("answer", answer(f"c{number}", "yes"))
    read = [[call.call_id for call in to_calls(calls(tmp_path / "log", rows=100))] for _ in range(3)]
    assert read == [[f"c{number}" for number in range(3000)]] * 3
    write_calls(tmp_path / "calls.parquet", calls(tmp_path / "log"))
    assert [call.call_id for call in to_calls(calls(tmp_path / "calls.parquet", rows=100))] == read[0]


def test_answers_that_come_much_later_find_their_requests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_GROUP", 1)
    with LogWriter(tmp_path, "w0", apart=False, segment_records=5) as writer:
        for number in range(30):
            writer.append("request", request(f"c{number}"))
            if number >= 20:
                writer.append("answer", answer(f"c{number - 20}", f"late {number - 20}"))
        writer.append("answer", {events.OUTPUT: []})
    found = {call.call_id: call for call in to_calls(calls(tmp_path))}
    assert sorted(found) == sorted(f"c{number}" for number in range(30))
    assert [found[f"c{number}"].answer for number in range(10)] == [f"late {number}" for number in range(10)]
    assert {found[f"c{number}"].status for number in range(10, 30)} == {0}
