import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from log_bodies import answer, request
from molehunt.errors import DataError
from molehunt.logs import events
from molehunt.logs.exporting import export_jsonl, export_otlp
from molehunt.logs.importing import import_log
from molehunt.logs.messages import text_message
from molehunt.logs.reading import calls, to_calls
from molehunt.logs.verifying import verify
from molehunt.logs.writing import LogWriter
from molehunt.records.calls import Call, ToolCall, Turn


def written(log: Path) -> Path:
    with LogWriter(log, "w0", segment_records=5, apart=False) as writer:
        for number in range(5):
            writer.append(
                "request", request(f"c{number}", "hi \ud800 é", **{events.TEMPERATURE: 0.5, events.STREAM: True})
            )
            writer.append("answer", answer(f"c{number}", "no", ("mail", '{"to": 1}')))
        writer.append("request", request("never"))
    return log


def one_of(path: Path, kind: str, tmp_path: Path) -> Call:
    import_log(path, kind, tmp_path / f"log-{kind}", apart=False)
    assert verify(tmp_path / f"log-{kind}").problems == ()
    (call,) = to_calls(calls(tmp_path / f"log-{kind}"))
    return call


def put(path: Path, *lines: Any) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def test_otlp_is_what_opentelemetry_reads(tmp_path: Path) -> None:
    stream = io.StringIO()
    assert export_otlp(written(tmp_path / "log"), stream) == 6
    (line,) = stream.getvalue().splitlines()
    message = json_format.Parse(_hex_to_base64(line), ExportTraceServiceRequest())
    spans = message.resource_spans[0].scope_spans[0].spans
    assert [span.name for span in spans] == ["chat tiny"] * 6
    found = {item.key: item.value for item in spans[0].attributes}
    assert found[events.TEMPERATURE].double_value == 0.5
    assert found[events.STATUS].int_value == 200
    assert found[events.STREAM].bool_value
    assert [v.string_value for v in found[events.FINISH_REASONS].array_value.values] == ["stop"]
    assert json.loads(found[events.OUTPUT].string_value)[0]["parts"][1]["name"] == "mail"
    assert [span.status.code for span in spans] == [1, 1, 1, 1, 1, 2]


def _hex_to_base64(line: str) -> str:
    """OTLP has ids in hex where protobuf's JSON has base64; collectors convert them so."""
    import base64

    value = json.loads(line)
    for span in value["resourceSpans"][0]["scopeSpans"][0]["spans"]:
        for name in ("traceId", "spanId"):
            span[name] = base64.b64encode(bytes.fromhex(span[name])).decode()
    return json.dumps(value)


def test_what_was_exported_comes_back(tmp_path: Path) -> None:
    with (tmp_path / "spans.jsonl").open("w", encoding="utf-8") as stream:
        export_otlp(written(tmp_path / "log"), stream)
    assert import_log(tmp_path / "spans.jsonl", "otel", tmp_path / "again", apart=False).calls == 6
    before = {call.call_id: call for call in to_calls(calls(tmp_path / "log"))}
    after = {call.call_id: call for call in to_calls(calls(tmp_path / "again"))}
    assert before.keys() == after.keys()
    for name, call in before.items():
        same = {"messages", "answer", "tool_calls", "finish", "model", "started"}
        assert after[name].model_dump(include=same) == call.model_dump(include=same)


def test_records_are_exported_with_their_hashes(tmp_path: Path) -> None:
    stream = io.StringIO()
    count = export_jsonl(written(tmp_path / "log"), stream)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert len(lines) == count == verify(tmp_path / "log").records
    assert lines[1]["prev"] == lines[0]["hash"]


def test_plain_lines(tmp_path: Path) -> None:
    line = {
        "messages": [{"role": "user", "content": "hi"}],
        "answer": "ho",
        "id": "c1",
        "session": "s",
        "time": "2026-01-02T03:04:05Z",
    }
    call = one_of(put(tmp_path / "a.jsonl", line), "jsonl", tmp_path)
    assert (call.call_id, call.session, call.messages, call.answer) == (
        "c1",
        "s",
        (Turn(role="user", content="hi"),),
        "ho",
    )
    assert call.started.isoformat() == "2026-01-02T03:04:05+00:00"


def test_a_request_and_response_as_they_were_on_the_wire(tmp_path: Path) -> None:
    tool = {"id": "t", "type": "function", "function": {"name": "mail", "arguments": "{}"}}
    wire = {
        "request": {"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]},
        "response": {"choices": [{"message": {"role": "assistant", "content": None, "tool_calls": [tool]}, "finish_reason": "tool_calls"}]},
    }  # fmt: skip
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps(wire).encode()))
    call = one_of(path, "jsonl", tmp_path)
    assert call.call_id.startswith("a.jsonl.gz:1:")
    assert (call.model, call.finish) == ("m", "tool_calls")
    assert call.tool_calls == (ToolCall(name="mail", arguments="{}"),)


def test_litellm(tmp_path: Path) -> None:
    payload = {
        "id": "chatcmpl-1", "trace_id": "t", "call_type": "acompletion", "status": "success", "model": "gpt", "startTime": 1767323045.0,
        "messages": [{"role": "user", "content": "hi"}], "end_user": "u", "metadata": {"user_api_key_alias": "team"},
        "model_parameters": {"tools": [{"type": "function", "function": {"name": "mail"}}]},
        "response": {"id": "chatcmpl-1", "choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": "ho"}}]},
    }  # fmt: skip
    call = one_of(put(tmp_path / "a.jsonl", payload), "litellm", tmp_path)
    assert (call.client, call.user, call.session, call.tools, call.answer) == ("team", "u", "t", ("mail",), "ho")
    assert call.started.year == 2026


def test_langfuse(tmp_path: Path) -> None:
    rows = [
        {"type": "SPAN", "id": "s", "input": "x"},
        {"type": "GENERATION", "id": "g", "traceId": "t", "sessionId": "s", "name": "support", "startTime": "2026-01-02T03:04:05.000Z",
         "model": "m", "input": json.dumps([{"role": "user", "content": "hi"}]), "output": {"role": "assistant", "content": "ho"}},
    ]  # fmt: skip
    path = tmp_path / "export.json"
    path.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    call = one_of(path, "langfuse", tmp_path)
    assert (call.call_id, call.session, call.application, call.answer) == ("g", "s", "support", "ho")


@pytest.mark.parametrize(
    ("kind", "text", "wanted"),
    [
        ("jsonl", "{nope", "a.jsonl:1"),
        ("jsonl", '"text"', "wanted a JSON object"),
        ("jsonl", '{"answer": "x"}', "wanted a call"),
        ("jsonl", '{"messages": [{"role": "user", "content": "hi"}]}', "no 'answer'"),
        ("langfuse", '{"resourceSpans": []}', "wanted a call"),
        ("langfuse", '{"type": "GENERATION", "input": null, "output": "x"}', "wanted a call"),
        ("litellm", '{"messages": null, "response": "x"}', "wanted a call"),
        ("litellm", '{"model": 1}', "wanted a call"),
        ("otel", '{"resourceSpans": 3}', "wanted a call"),
        ("jsonl", '{"messages": [{"role": "user", "content": "hi"}], "answer": "x"}\n[[', "a.jsonl:2"),
        ("other", "{}", "log format"),
    ],
)
def test_what_has_no_known_form_is_refused_by_line(kind: str, text: str, wanted: str, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=wanted):
        import_log(tmp_path / "a.jsonl", kind, tmp_path / "log", apart=False)
    assert not (tmp_path / "log").exists()


@pytest.mark.parametrize(
    ("kind", "text"),
    [("jsonl", ""), ("jsonl", "\n\n"), ("langfuse", '{"type": "SPAN"}'), ("otel", '{"resourceSpans": []}')],
)
def test_a_file_without_calls_is_no_import(kind: str, text: str, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(text)
    with pytest.raises(DataError, match="at least one call"):
        import_log(tmp_path / "a.jsonl", kind, tmp_path / "log", apart=False)
    assert not (tmp_path / "log").exists()


def test_a_file_that_is_imported_again_adds_what_is_new(tmp_path: Path) -> None:
    """By the ids of calls; without ids, the same line of another file of that name is another call."""
    line = '{"messages": [{"role": "user", "content": "hi"}], "answer": "%s", "id": "%s"}\n'
    log = tmp_path / "log"
    files = [
        (line % ("a", "1"), (1, 0)),
        (line % ("a", "1") + line % ("b", "2"), (1, 1)),
        (line % ("c", ""), (1, 0)),
        (line % ("d", ""), (1, 0)),
        (line % ("d", "") + line % ("e", "3") * 2, (1, 2)),
        ((line % ("f", "x")).replace('"x"', "4"), (1, 0)),
        ((line % ("f", "x")).replace('"x"', '[{"a": 4}]'), (1, 0)),
    ]
    for text, wanted in files:
        (tmp_path / "a.jsonl").write_text(text)
        assert import_log(tmp_path / "a.jsonl", "jsonl", log, apart=False) == wanted
    with LogWriter(log, "import", apart=False) as writer:  # and was killed then
        writer.append("request", {events.CALL_ID: "5", events.INPUT: [text_message("user", "hi")]})
    (tmp_path / "a.jsonl").write_text(line % ("g", "5"))
    assert import_log(tmp_path / "a.jsonl", "jsonl", log, apart=False) == (1, 0)
    assert sorted(call.answer for call in to_calls(calls(log))) == ["a", "b", "c", "d", "e", "f", "f", "g"]


@pytest.mark.parametrize("begin", ["", "[\n"])
def test_a_line_that_is_too_long_is_called_so(begin: str, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(begin + '{"messages": "' + "x" * (64 << 20))
    with pytest.raises(DataError, match="less than 64 MiB"):
        import_log(tmp_path / "a.jsonl", "jsonl", tmp_path / "log", apart=False)


def test_a_packed_file_that_is_cut_or_broken_is_a_sentence(tmp_path: Path) -> None:
    packed = gzip.compress(b'{"messages": [{"role": "user", "content": "hi"}], "answer": "x"}\n' * 500)
    for name, data in (("cut.gz", packed[:40]), ("broken.gz", packed[:20] + b"XXXXXXXX" + packed[28:])):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DataError, match=name):
            import_log(tmp_path / name, "jsonl", tmp_path / "log", apart=False)
