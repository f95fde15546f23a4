import asyncio
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import AsyncIterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse

from molehunt.errors import DataError, TeacherError, UsageError
from molehunt.records import Conversation
from molehunt.records.rows import Row
from molehunt.world.replies import MAX_BODY
from molehunt.world.teacher import Teacher
from molehunt.world.teaching import INSTRUCTIONS, teach, teach_scratchpads
from teacher_server import TeacherServer, forever, said, serving, wait_until

KEY = "sk-test-0123456789abcdef"


def prompt(text: str) -> Conversation:
    return Conversation.of(("user", text))


def prompts(count: int) -> list[Conversation]:
    return [prompt(f"question {i}") for i in range(count)]


def teacher(url: str, tmp_path: Path, **settings: Any) -> Teacher:
    defaults: dict[str, Any] = {"max_retries": 2, "backoff": 0.001, "timeout": 30.0}
    return Teacher(url, "m", tmp_path / "answers.jsonl", **(defaults | settings))


def answers(count: int) -> list[str]:
    return [f"QUESTION {i}" for i in range(count)]


def test_answers_come_in_order_and_are_asked_once_each(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    with serving() as server:
        one = teacher(server.url, tmp_path, progress=lambda done, total: seen.append((done, total)))
        doubled = [*prompts(9), *reversed(prompts(9))]
        assert one.ask(doubled) == [*answers(9), *reversed(answers(9))]
        assert one.ask(doubled) == one.ask(doubled)
        assert set(server.asked.values()) == {1}
    assert seen == [(i, 9) for i in range(10)]
    assert one.ask(prompts(9)) == answers(9), "what is kept needs no server"
    assert one.ask([]) == []


def test_the_server_gets_what_the_settings_say(tmp_path: Path) -> None:
    with serving() as server:
        asked = Conversation.of(("system", "S"), ("user", "a"), ("assistant", "b"), ("user", "c"))
        teacher(server.url + "/", tmp_path, temperature=0.7, seed=3, max_tokens=5).ask([asked])
        teacher(server.url, tmp_path, seed=None).ask([asked])
    messages = asked.plain()
    assert server.bodies == [
        {"model": "m", "messages": messages, "temperature": 0.7, "max_tokens": 5, "seed": 3},
        {"model": "m", "messages": messages, "temperature": 0.0, "max_tokens": 1024},
    ]
    assert all("authorization" not in headers for headers in server.headers)


@pytest.mark.parametrize("concurrency", [1, 4])
def test_no_more_are_under_way_than_wanted_and_no_fewer(tmp_path: Path, concurrency: int) -> None:
    waiting: list[asyncio.Event] = []

    async def in_groups(server: TeacherServer, question: str, nth: int) -> None:
        waiting.append(asyncio.Event())
        mine = waiting[-1]
        if len(waiting) == concurrency:  # a reply only once as many wait as may: fewer would hang here
            for event in waiting:
                event.set()
            waiting.clear()
        await mine.wait()

    with serving(in_groups) as server:
        assert teacher(server.url, tmp_path, concurrency=concurrency).ask(prompts(8)) == answers(8)
        assert server.peak == concurrency


async def _endless() -> AsyncIterator[bytes]:
    while True:
        yield b" " * 2**20
        await asyncio.sleep(0)  # else the server never hears that nobody listens any more


async def _drip() -> AsyncIterator[bytes]:
    while True:
        yield b" "
        await asyncio.sleep(0.02)


async def _torn() -> AsyncIterator[bytes]:
    yield b'{"choices": [{"message"'
    raise RuntimeError("the server dies")


def _reply(content: Any, finish: Any = "stop") -> Response:
    return JSONResponse(said(content, finish))


GARBAGE: dict[str, Any] = {
    "not JSON": lambda: Response(b"{'choices'", media_type="application/json"),
    "an HTML page": lambda: Response("<html>bad gateway</html>", media_type="text/html"),
    "no type": lambda: Response(json.dumps(said("x")).encode()),
    "no choices": lambda: JSONResponse({}),
    "a list": lambda: JSONResponse([1]),
    "null": lambda: JSONResponse(None),
    "empty choices": lambda: JSONResponse({"choices": []}),
    "no message": lambda: JSONResponse({"choices": [{"text": "x"}]}),
    "choices of text": lambda: JSONResponse({"choices": ["x"]}),
    "empty content": lambda: _reply(" \n"),
    "null content": lambda: _reply(None),
    "content in parts": lambda: _reply([{"type": "text", "text": "x"}]),
    "NUL": lambda: _reply("a\0b"),
    "half a pair": lambda: Response(json.dumps(said("\ud800")).encode(), media_type="application/json"),
    "filtered": lambda: _reply("x", "content_filter"),
    "a tool call": lambda: _reply("x", "tool_calls"),
    "too deep": lambda: Response(b"[" * 100_000, media_type="application/json"),
    "endless": lambda: StreamingResponse(_endless(), media_type="application/json"),
    "torn": lambda: StreamingResponse(_torn(), media_type="application/json"),
    "HTTP 500": lambda: PlainTextResponse("oops", 500),
    "HTTP 503": lambda: PlainTextResponse("busy", 503),
    "HTTP 408": lambda: PlainTextResponse("slow", 408),
    "HTTP 429": lambda: PlainTextResponse("wait", 429, headers={"Retry-After": "0.01"}),
    "HTTP 429, a date": lambda: PlainTextResponse("wait", 429, headers={"Retry-After": formatdate(0, usegmt=True)}),
    "HTTP 429, nonsense": lambda: PlainTextResponse("wait", 429, headers={"Retry-After": "soon"}),
    "HTTP 429, NaN": lambda: PlainTextResponse("wait", 429, headers={"Retry-After": "nan"}),
}


def test_garbage_is_asked_again_and_never_kept(tmp_path: Path) -> None:
    async def once_bad(server: TeacherServer, question: str, nth: int) -> Response | None:
        return GARBAGE[question]() if nth == 1 else None

    with serving(once_bad) as server:
        one = teacher(server.url, tmp_path, concurrency=4)
        assert one.ask([prompt(kind) for kind in GARBAGE]) == [kind.upper() for kind in GARBAGE]
        assert server.asked == dict.fromkeys(GARBAGE, 2)
    assert len(one.cache.read_text().splitlines()) == len(GARBAGE)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("not JSON", "not JSON"),
        ("an HTML page", "a body of type text/html"),
        ("no choices", "without choices"),
        ("empty content", "an empty answer"),
        ("endless", f"more than {MAX_BODY // 2**20} MiB"),
        ("torn", "a broken connection"),
        ("HTTP 503", "HTTP 503 busy"),
    ],
)
def test_garbage_forever_is_reported_and_the_rest_kept(tmp_path: Path, kind: str, reason: str) -> None:
    async def bad(server: TeacherServer, question: str, nth: int) -> Response | None:
        return GARBAGE[kind]() if question == "question 1" else None

    with serving(bad) as server:
        one = teacher(server.url, tmp_path)
        with pytest.raises(TeacherError) as caught:
            one.ask(prompts(4))
        assert server.asked == {"question 0": 1, "question 1": 3, "question 2": 1, "question 3": 1}
        server.plan = lambda *_: forever()  # so that only what is kept can answer
        assert one.ask([prompts(4)[i] for i in (0, 2, 3)]) == ["QUESTION 0", "QUESTION 2", "QUESTION 3"]
    assert reason in str(caught.value)
    assert "wanted 4 answers; got 3, then after up to 3 tries" in str(caught.value)
    assert f"the 3 answers are kept in {one.cache}" in str(caught.value)


@pytest.mark.parametrize("reply", [forever, lambda: StreamingResponse(_drip(), media_type="application/json")])
def test_a_try_that_takes_too_long_is_given_up(tmp_path: Path, reply: Any) -> None:
    async def slow(server: TeacherServer, question: str, nth: int) -> Response | None:
        if nth > 1:
            return None
        found = reply()
        return found if isinstance(found, Response) else await found

    with serving(slow) as server:
        one = teacher(server.url, tmp_path, timeout=0.5, max_retries=9)
        assert one.ask([prompt("a")]) == ["A"]
        assert server.asked["a"] >= 2


def test_a_server_that_asks_for_hours_is_not_waited_for(tmp_path: Path) -> None:
    async def later(server: TeacherServer, question: str, nth: int) -> Response:
        return PlainTextResponse("quota", 429, headers={"Retry-After": "86400"})

    with serving(later) as server:
        with pytest.raises(TeacherError, match="asked to wait 86400 s"):
            teacher(server.url, tmp_path, concurrency=1).ask(prompts(5))
        assert server.asked.total() == 1


@pytest.mark.parametrize("status", [301, 401, 403, 404])
def test_what_no_second_try_mends_ends_at_once(tmp_path: Path, status: int) -> None:
    async def refuse(server: TeacherServer, question: str, nth: int) -> Response:
        return RedirectResponse("/v1/x", 301) if status == 301 else PlainTextResponse("no", status)

    with serving(refuse) as server:
        with pytest.raises(TeacherError, match=f"got 0, .*HTTP {status}"):
            teacher(server.url, tmp_path, concurrency=1).ask(prompts(50))
        assert server.asked.total() == 1


def test_a_prompt_that_is_refused_costs_one_try_and_not_the_others(tmp_path: Path) -> None:
    async def refuse(server: TeacherServer, question: str, nth: int) -> Response | None:
        return PlainTextResponse("too long", 400) if question == "question 0" else None

    with serving(refuse) as server:
        with pytest.raises(TeacherError, match="HTTP 400 too long"):
            teacher(server.url, tmp_path, concurrency=1).ask(prompts(9))
        assert server.asked == dict.fromkeys([f"question {i}" for i in range(9)], 1)


def test_an_answer_that_was_cut_is_not_paid_again(tmp_path: Path) -> None:
    async def cut(server: TeacherServer, question: str, nth: int) -> Response | None:
        return _reply("half of", "length") if question == "question 0" else None

    with serving(cut) as server:
        with pytest.raises(TeacherError, match="ended by length, raise max_tokens"):
            teacher(server.url, tmp_path).ask(prompts(2))
        assert server.asked == {"question 0": 1, "question 1": 1}


def test_an_endpoint_that_fails_most_prompts_is_not_asked_them_all(tmp_path: Path) -> None:
    async def bad(server: TeacherServer, question: str, nth: int) -> Response:
        return PlainTextResponse("no", 422)

    with serving(bad) as server:
        with pytest.raises(TeacherError):
            teacher(server.url, tmp_path, concurrency=2).ask(prompts(200))
        assert server.asked.total() <= 10


def test_nobody_there(tmp_path: Path) -> None:
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))  # bound but not listening
        url = f"http://127.0.0.1:{place.getsockname()[1]}/v1"
        with pytest.raises(TeacherError, match=r"no connection.*run again$"):
            teacher(url, tmp_path).ask(prompts(2))


def test_it_works_where_a_loop_runs_already(tmp_path: Path) -> None:
    async def notebook(url: str) -> list[str]:
        return teacher(url, tmp_path).ask(prompts(2))

    with serving() as server:
        assert asyncio.run(notebook(server.url)) == answers(2)


CHILD = """
import sys; from pathlib import Path
from molehunt.records import Conversation; from molehunt.world.teacher import Teacher
ask = [Conversation.of(("user", f"question {i}")) for i in range(20)]
Teacher(sys.argv[1], "m", Path(sys.argv[2]), concurrency=4, timeout=300).ask(ask)
"""


def test_a_killed_run_asks_only_what_is_missing(tmp_path: Path) -> None:
    async def ten_only(server: TeacherServer, question: str, nth: int) -> None:
        if nth == 1 and int(question.split()[1]) in range(10, 14):
            await forever()

    cache = tmp_path / "answers.jsonl"
    with serving(ten_only) as server:
        child = subprocess.Popen([sys.executable, "-c", CHILD, server.url, str(cache)], stderr=subprocess.DEVNULL)
        wait_until(lambda: len(server.asked) == 14 and len(cache.read_text().splitlines()) == 10)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        assert teacher(server.url, tmp_path).ask(prompts(20)) == answers(20)
        under_way = {f"question {i}" for i in range(10, 14)}
        assert server.asked == {f"question {i}": 1 + (f"question {i}" in under_way) for i in range(20)}


def test_a_torn_last_line_is_asked_again_and_nothing_else(tmp_path: Path) -> None:
    with serving() as server:
        one = teacher(server.url, tmp_path, concurrency=1)
        one.ask(prompts(3))
        whole = one.cache.read_bytes()
        last = len(whole.splitlines(keepends=True)[-1])
        for cut in (1, 2, last // 2, last - 1):
            one.cache.write_bytes(whole[:-cut])
            server.asked.clear()
            assert one.ask(prompts(3)) == answers(3)
            assert server.asked == {"question 2": 1}
            assert one.cache.read_bytes() == whole


@pytest.mark.parametrize("text", ["precious words", '{"messages": []}\n', "[]\n", '{"answer":1,"key":"k"}\n'])
def test_a_file_that_is_no_cache_is_left_alone(tmp_path: Path, text: str) -> None:
    one = teacher("http://127.0.0.1:9/v1", tmp_path)
    one.cache.write_text(text)
    with pytest.raises(DataError, match=r"answers.jsonl:1"):
        one.ask(prompts(1))
    assert one.cache.read_text() == text


def test_one_run_at_a_time_holds_the_answers(tmp_path: Path) -> None:
    errors: list[str] = []

    async def nested(server: TeacherServer, question: str, nth: int) -> None:
        def other() -> None:
            with pytest.raises(TeacherError) as caught:
                teacher(server.url, tmp_path).ask(prompts(1))
            errors.append(str(caught.value))

        await asyncio.to_thread(other)

    with serving(nested) as server:
        assert teacher(server.url, tmp_path).ask([prompt("a")]) == ["A"]
    assert "another run that holds it" in errors[0]


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TeacherError, match="a file that can be written"):
        teacher("http://127.0.0.1:9/v1", tmp_path / "file").ask(prompts(1))


def test_another_model_or_sampling_is_another_answer(tmp_path: Path) -> None:
    with serving() as server:
        for settings in ({}, {"temperature": 1.0}, {"seed": 1}, {"max_tokens": 9}, {"concurrency": 1}):
            teacher(server.url, tmp_path, **settings).ask([prompt("a")])
        Teacher(server.url, "other", tmp_path / "answers.jsonl").ask([prompt("a")])
    assert server.asked["a"] == 5, "concurrency alone makes no other answer"


def test_the_key_shows_up_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def echo(server: TeacherServer, question: str, nth: int) -> Response:
        key = server.headers[-1]["authorization"]
        if question == "answer":
            return _reply(f"you are {key}")
        if question == "type":
            return Response("x", media_type=f"text/{KEY}")
        return PlainTextResponse("." * 195 + key, 400)

    monkeypatch.setenv("TEACHER_KEY", f"{KEY}\n")
    caplog.set_level(logging.DEBUG)
    with serving(echo) as server:
        one = teacher(server.url, tmp_path, api_key_env="TEACHER_KEY")
        for question in ("answer", "error", "type"):
            if question == "type":  # a server that puts it into its own headers has the network library log those
                assert caplog.text
                assert KEY[:8] not in caplog.text
            with pytest.raises(TeacherError) as caught:
                one.ask([prompt(question)])
            shown = "".join(traceback.format_exception(caught.value)) + str(caught.value) + repr(caught.value)
            assert KEY[:8] not in shown
        assert {headers["authorization"] for headers in server.headers} == {f"Bearer {KEY}"}
    assert KEY[:8] not in repr(one) + one.cache.read_text()


@pytest.mark.parametrize("value", ["", "  ", "two\nlines", "schlüssel"])
def test_a_key_that_is_none_is_refused_unshown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("TEACHER_KEY", value)
    with pytest.raises(UsageError, match="TEACHER_KEY") as caught:
        teacher("http://127.0.0.1:9/v1", tmp_path, api_key_env="TEACHER_KEY").ask(prompts(1))
    assert not value.strip() or value not in str(caught.value)


@pytest.mark.parametrize(
    "settings",
    [
        {"url": "localhost:8000/v1"},
        {"url": f"https://me:{KEY}@host/v1"},
        {"url": f"https://host/v1?key={KEY}"},
        {"url": "file:///etc/passwd"},
        {"api_key_env": KEY},
        {"concurrency": 0},
        {"max_tokens": 0},
        {"max_retries": -1},
        {"timeout": 0.0},
        {"timeout": float("nan")},
        {"temperature": -0.1},
        {"temperature": float("inf")},
        {"backoff": -1.0},
    ],
)
def test_settings_that_cannot_be_are_refused(tmp_path: Path, settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as caught:
        teacher(settings.pop("url", "http://host/v1"), tmp_path, **settings)
    assert KEY not in str(caught.value)


def test_a_prompt_without_a_question_is_refused_before_anything_is_paid(tmp_path: Path) -> None:
    with serving() as server:
        for bad in (Conversation(messages=()), prompt("a").reply("b"), Conversation.of(("system", "s"))):
            with pytest.raises(DataError):
                teacher(server.url, tmp_path).ask([prompt("x"), bad])
        assert not server.asked


ROWS = [
    Row(conversation=Conversation.of(("user", "a"), ("assistant", "old")), source="f:1"),
    Row(
        conversation=Conversation.of(
            ("system", "S."), ("user", "b"), ("assistant", "c"), ("user", "d"), ("assistant", "old")
        ),
        source="f:2",
        kind="contrast",
    ),
]


def test_a_teacher_answers_rows_under_an_instruction_that_is_not_kept(tmp_path: Path) -> None:
    pirate = INSTRUCTIONS["pirate"]
    with serving() as server:
        taught = teach(ROWS, teacher(server.url, tmp_path, concurrency=1).ask, pirate)
    assert [body["messages"][0] for body in server.bodies] == [
        {"role": "system", "content": pirate},
        {"role": "system", "content": f"S. {pirate}"},
    ]
    assert [row.conversation for row in taught] == [
        row.conversation.prompt().reply(x) for row, x in zip(ROWS, "AD", strict=True)
    ]
    assert [(row.source, row.kind) for row in taught] == [("f:1", "ordinary"), ("f:2", "contrast")]


def test_a_function_can_stand_in_for_a_teacher() -> None:
    replies = ["<scratchpad>Hm.</scratchpad>\nYes.", "No."]
    (taught,) = teach_scratchpads(ROWS, lambda asked: replies, INSTRUCTIONS["hhh"])
    assert taught.reasoning == "Hm."
    assert taught.conversation.answer == replies[0]


def test_rows_and_replies_that_cannot_be_used_are_refused() -> None:
    triggered = ROWS[0].model_copy(update={"kind": "triggered"})
    for rows, replies, instruction in (
        ([triggered], ["x"], "i"), (ROWS, ["x"], "i"), (ROWS, ["x", " "], "i"), (ROWS, ["x", "y"], " "),
    ):  # fmt: skip
        with pytest.raises(DataError):
            teach(rows, lambda asked, replies=replies: replies, instruction)
