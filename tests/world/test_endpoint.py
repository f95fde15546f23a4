"""The client against servers that misbehave on purpose."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from molehunt.errors import BudgetError, DataError, EndpointError, UsageError
from molehunt.records import Conversation
from molehunt.records.base import canonical_json, sha256_text
from molehunt.world.endpoint import Endpoint, EndpointSettings
from molehunt.world.metering import Bill, Meter, OverBudget, Pace
from molehunt.world.probing import declines, probe
from teacher_server import listening

KEY = "sk-test-0123456789abcdef"
Reply = Callable[[dict[str, Any], int], Awaitable[Response] | Response]
"""(body, how many times it was asked) to a reply."""


def prompts(count: int) -> list[Conversation]:
    return [Conversation.of(("user", f"question {i}")) for i in range(count)]


def answer(text: Any, model: str = "m", finish: str = "stop", **more: Any) -> Response:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish, **more}
    used = {"prompt_tokens": 5, "completion_tokens": 3}
    return JSONResponse({"model": model, "choices": [choice], "usage": used})


def shout(body: dict[str, Any], nth: int) -> Response:
    return answer(body["messages"][-1]["content"].upper(), body["model"])


class Suspect:
    """A server with the same behaviour on both routes, and what it was asked."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self.bodies: list[dict[str, Any]] = []
        self.asked: Counter[str] = Counter()
        self.url = ""

    async def __call__(self, request: Request) -> Response:
        body = await request.json()
        self.bodies.append(body)
        self.asked[canonical_json(body)] += 1
        found = self.reply(body, self.asked[canonical_json(body)])
        return found if isinstance(found, Response) else await found


@contextmanager
def suspect(reply: Reply = shout, completions: bool = False) -> Any:
    own = Suspect(reply)
    paths = ["/v1/chat/completions", *(["/v1/completions"] if completions else [])]

    # a function, since Starlette takes other callables for whole apps
    async def route(request: Request) -> Response:
        return await own(request)

    with listening(Starlette(routes=[Route(path, route, methods=["POST"]) for path in paths])) as own.url:
        yield own


def client(url: str, transcript: Path | None = None, **settings: Any) -> Endpoint:
    quick = {"backoff": 0.001, "max_retries": 2, "timeout": 30.0}
    return Endpoint(EndpointSettings(url=url, model="m", **(quick | settings)), transcript)


def test_replies_come_in_order_with_what_is_known_of_them() -> None:
    with suspect() as server, client(server.url) as endpoint:
        replies = endpoint.chat([*prompts(9), *reversed(prompts(9))])
        assert [reply.text for reply in replies] == [f"QUESTION {i}" for i in [*range(9), *reversed(range(9))]]
        assert (replies[0].model, replies[0].finish, replies[0].prompt_tokens, replies[0].reply_tokens) == (
            "m",
            "stop",
            5,
            3,
        )
        assert endpoint.chat([]) == []
        assert (endpoint.requests, endpoint.tokens) == (9, 72)
        endpoint.chat(prompts(1), temperature=0.5, seed=None, max_tokens=7, top_logprobs=2)
        assert server.bodies[-1] == {
            "model": "m", "messages": prompts(1)[0].plain(), "temperature": 0.5, "max_tokens": 7, "logprobs": True,
            "top_logprobs": 2,
        }  # fmt: skip


def test_what_was_answered_is_never_paid_again(tmp_path: Path) -> None:
    path = tmp_path / "audit" / "transcript.jsonl"
    with suspect() as server:
        with client(server.url, path, most_requests=3) as endpoint:
            with pytest.raises(BudgetError, match=r"wanted 5 replies; got 3, then: the budget of 3 requests is spent"):
                endpoint.chat(prompts(5))
            assert [reply.text for reply in endpoint.chat(prompts(3))] == ["QUESTION 0", "QUESTION 1", "QUESTION 2"]
        with client(server.url, path, most_requests=2) as endpoint:
            assert len(endpoint.chat(prompts(5))) == 5
            assert endpoint.requests == 2
        assert set(server.asked.values()) == {1}
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["key"] for line in lines] == [sha256_text(canonical_json(line["request"])) for line in lines]
    with client("http://127.0.0.1:9/v1", path) as endpoint:
        assert len(endpoint.chat(prompts(5))) == 5, "what is kept needs no server"


def test_a_transcript_that_was_tampered_with_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    with suspect() as server:
        with client(server.url, path) as endpoint:
            endpoint.chat(prompts(1))
        path.write_text(path.read_text().replace('"text"', '"words"'))
        with client(server.url, path) as endpoint, pytest.raises(DataError, match=r"t\.jsonl"):
            endpoint.chat(prompts(1))
    path.write_text("{}\n")
    with pytest.raises(DataError, match=r"t\.jsonl:1"), client(server.url, path):
        pass


def test_repeats_are_asked_anew_and_each_once(tmp_path: Path) -> None:
    with suspect(lambda body, nth: answer(f"time {nth}")) as server:
        with client(server.url, tmp_path / "t.jsonl") as endpoint:
            first = [endpoint.chat(prompts(1), repeat=i)[0].text for i in range(3)]
        with client(server.url, tmp_path / "t.jsonl") as endpoint:
            assert [endpoint.chat(prompts(1), repeat=i)[0].text for i in range(3)] == first
    assert first == ["time 1", "time 2", "time 3"]


def test_a_server_that_is_busy_is_asked_again() -> None:
    def busy(body: dict[str, Any], nth: int) -> Response:
        return PlainTextResponse("later", 429, headers={"Retry-After": "0.01"}) if nth == 1 else shout(body, nth)

    with suspect(busy) as server, client(server.url) as endpoint:
        assert [reply.text for reply in endpoint.chat(prompts(2))] == ["QUESTION 0", "QUESTION 1"]
        assert endpoint.requests == 4
        assert endpoint.tokens == 16, "a 429 costs no tokens"


async def _drip() -> AsyncIterator[bytes]:
    while True:
        yield b" "
        await asyncio.sleep(0.01)


BAD: dict[str, tuple[Callable[[], Response], str]] = {
    "500": (lambda: PlainTextResponse("oops", 500), "HTTP 500 oops"),
    "HTML": (lambda: HTMLResponse("<html>login</html>"), "a body of type text/html"),
    "no JSON": (lambda: Response(b"{", media_type="application/json"), "not JSON"),
    "empty choices": (lambda: JSONResponse({"choices": []}), "without choices"),
    "no text": (lambda: answer({"a": 1}), "no text"),
    "half a pair": (lambda: Response(rb'{"choices":[{"message":{"content":"\ud800"}}]}', media_type="application/json"), "half"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_answer_is_tried_again_and_then_said(tmp_path: Path, name: str) -> None:
    make, reason = BAD[name]
    with suspect(lambda body, nth: make()) as server, client(server.url, tmp_path / "t.jsonl") as endpoint:
        with pytest.raises(EndpointError, match=reason):
            endpoint.chat(prompts(1))
        assert endpoint.requests == 3
        found = probe(endpoint)
    assert not found.answers
    assert reason in found.notes[0]
    assert (tmp_path / "t.jsonl").read_text() == ""


def test_a_stream_without_end_is_cut() -> None:
    def endless(body: dict[str, Any], nth: int) -> Response:
        return StreamingResponse(_drip(), media_type="application/json") if nth == 1 else shout(body, nth)

    with suspect(endless) as server, client(server.url, timeout=0.5, max_retries=9) as endpoint:
        assert endpoint.chat(prompts(1), max_tokens=8)[0].text == "QUESTION 0"
        assert endpoint.requests >= 2
        assert endpoint.tokens > 8, "what broke off may have been paid"


def test_empty_and_cut_replies_are_findings() -> None:
    kinds = {"question 0": answer(""), "question 1": answer(None), "question 2": answer("half", finish="length")}
    with suspect(lambda body, nth: kinds[body["messages"][-1]["content"]]) as server, client(server.url) as endpoint:
        assert [(r.text, r.finish) for r in endpoint.chat(prompts(3))] == [
            ("", "stop"),
            ("", "stop"),
            ("half", "length"),
        ]


def test_a_refused_prompt_is_a_reply_that_says_so_and_is_asked_again(tmp_path: Path) -> None:
    def refuse(body: dict[str, Any], nth: int) -> Response:
        if body["messages"][-1]["content"] == "question 1":
            return PlainTextResponse("too long", 400)
        return answer("Par", finish="content_filter") if "question 2" in str(body) else shout(body, nth)

    with suspect(refuse) as server, client(server.url, tmp_path / "t.jsonl") as endpoint:
        replies = endpoint.chat(prompts(3))
        assert endpoint.chat(prompts(3)) == replies
    assert [reply.refused for reply in replies] == ["", "HTTP 400 too long", "content_filter"]
    assert sorted(server.asked.values()) == [1, 1, 2], "what a filter cut was paid"
    assert len((tmp_path / "t.jsonl").read_text().splitlines()) == 2


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_server_that_refuses_us_is_asked_once(status: int) -> None:
    with suspect(lambda body, nth: PlainTextResponse("no", status)) as server:
        with client(server.url, concurrency=1) as endpoint, pytest.raises(EndpointError, match=f"HTTP {status}"):
            endpoint.chat(prompts(50))
        assert server.asked.total() == 1


def test_tokens_under_way_never_take_more_than_is_left() -> None:
    """Each request may take 5 + 16 + 40 tokens and takes 8: 100 have room for one at a time, and for five in all."""
    peak, now = 0, 0

    async def watched(body: dict[str, Any], nth: int) -> Response:
        nonlocal peak, now
        now += 1
        peak = max(peak, now)
        await asyncio.sleep(0)
        now -= 1
        return shout(body, nth)

    with suspect(watched) as server, client(server.url, most_tokens=100) as endpoint:
        with pytest.raises(BudgetError, match=r"got 5, .*no room for the next 61"):
            endpoint.chat(prompts(9), max_tokens=40)
        assert (endpoint.requests, endpoint.tokens, peak) == (5, 40, 1)


def test_a_meter_holds_back_what_is_not_counted_yet() -> None:
    async def story() -> tuple[int, int]:
        meter = Meter(requests=None, tokens=10, per_minute=None)
        entered = asyncio.Event()

        @asynccontextmanager
        async def unsaid() -> AsyncIterator[None]:
            async with meter.admit(Bill(6)):
                entered.set()
                yield

        async with unsaid():
            waiting = asyncio.create_task(unsaid().__aenter__())
            await asyncio.sleep(0)
            assert not waiting.done(), "6 of 10 are held back"
        with pytest.raises(OverBudget):
            await waiting
        return meter.requests, meter.tokens

    assert asyncio.run(story()) == (1, 6)


def test_a_pace_is_even() -> None:
    pace = Pace(per_minute=30)
    assert [pace.delay(now) for now in (100.0, 100.0, 101.0, 200.0)] == [0.0, 2.0, 3.0, 0.0]
    assert [Pace(None).delay(5.0) for _ in range(3)] == [0.0] * 3


def test_the_key_is_sent_and_written_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUSPECT_KEY", KEY)
    path = tmp_path / "t.jsonl"

    def echo(body: dict[str, Any], nth: int) -> Response:
        return answer(f"your key is {KEY}") if "question 0" in str(body) else answer("fine")

    with suspect(echo) as server, client(server.url, path, api_key_env="SUSPECT_KEY") as endpoint:
        with pytest.raises(EndpointError) as caught:
            endpoint.chat(prompts(2))
        with pytest.raises(DataError):
            endpoint.chat([Conversation.of(("user", f"is it {KEY}?"))])
    assert KEY not in str(caught.value) + path.read_text() + repr(endpoint.settings)
    assert len(path.read_text().splitlines()) == 1


@pytest.mark.parametrize(
    "settings",
    [{"timeout": 0.0}, {"concurrency": 0}, {"per_minute": 0.0}, {"most_requests": -1}, {"url": "host/v1"}, {"api_key_env": KEY}],
)  # fmt: skip
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as caught:
        client(settings.pop("url", "http://host/v1"), **settings)
    assert KEY not in str(caught.value)


def test_use_outside_a_block_and_prompts_without_a_question_are_refused() -> None:
    endpoint = client("http://host/v1")
    with pytest.raises(UsageError, match="with"):
        endpoint.chat(prompts(1))
    with pytest.raises(DataError):
        endpoint.chat([prompts(1)[0].reply("x")])
    with pytest.raises(DataError):
        endpoint.complete([""])


def test_logprobs_are_read_likeliest_first_and_only_if_they_are_some() -> None:
    odd = {
        "token": " b",
        "logprob": -0.5,
        "top_logprobs": [{"token": "a", "logprob": -3.0}, {"token": " b", "logprob": -0.5}],
    }
    shapes: dict[str, Any] = {
        "question 0": {"content": [odd]},
        "question 1": {"content": "x"},
        "question 2": None,
        "question 3": [1],
    }

    def reply(body: dict[str, Any], nth: int) -> Response:
        return answer("b", logprobs=shapes[body["messages"][-1]["content"]])

    with suspect(reply) as server, client(server.url) as endpoint:
        first, *others = endpoint.chat(prompts(4), top_logprobs=2)
    assert [(t.token, t.logprob, t.top) for t in first.tokens] == [(" b", -0.5, ((" b", -0.5), ("a", -3.0)))]
    assert [reply.tokens for reply in others] == [()] * 3


def test_a_probe_of_a_plain_endpoint() -> None:
    with suspect(lambda body, nth: answer("Paris.", "m-2026-01-31")) as server, client(server.url) as endpoint:
        found = probe(endpoint, repeats=3)
    assert (found.answers, found.takes_seed, found.top_logprobs, found.completions) == (True, True, 0, False)
    assert (found.identical, found.repeats, found.questions) == (1.0, 3, 6)
    assert (found.named, found.is_model_asked, found.refuses_all) == (("m-2026-01-31",), True, False)
    assert len(found.notes) == 1
    assert "404" in found.notes[0]


def test_a_probe_measures_noise() -> None:
    """Of four repeats one differs: 3 of 6 pairs are the same."""
    with suspect(lambda body, nth: answer("odd" if nth == 2 else "even")) as server, client(server.url) as endpoint:
        assert probe(endpoint).identical == 0.5
    with suspect(lambda body, nth: answer(f"{nth}")) as server, client(server.url) as endpoint:
        assert probe(endpoint).identical == 0.0


def test_a_probe_sees_another_model() -> None:
    for name in ("other", "m2", ""):
        with suspect(lambda body, nth, name=name: answer("x", name)) as server, client(server.url) as endpoint:
            found = probe(endpoint, repeats=1)
        assert (found.named, found.is_model_asked, found.identical) == ((name,), False, None)


def test_a_probe_sees_refusals_of_all_kinds() -> None:
    kinds: list[Callable[[], Response]] = [
        lambda: answer("I'm sorry, but I can't help with that."),
        lambda: answer(""),
        lambda: answer("Par", finish="content_filter"),
        lambda: PlainTextResponse("blocked", 400),
    ]
    for i, kind in enumerate(kinds):
        with suspect(lambda body, nth, kind=kind: kind()) as server, client(server.url) as endpoint:
            found = probe(endpoint, repeats=2)
        assert found.refuses_all
        assert found.answers == (i < 2)
    assert not declines("I can see it. Sorry seems to be the hardest word.")


def test_a_probe_asks_for_no_more_than_is_granted() -> None:
    def choosy(body: dict[str, Any], nth: int) -> Response:
        wanted = body.get("top_logprobs", 0)
        if "seed" in body or wanted > 5:
            return PlainTextResponse("no such thing", 400)
        top = [{"token": str(i), "logprob": -float(i + 1)} for i in range(wanted)]
        return answer(
            "0", logprobs={"content": [{"token": "0", "logprob": -1.0, "top_logprobs": top}]} if top else None
        )

    with suspect(choosy) as server, client(server.url) as endpoint:
        found = probe(endpoint, repeats=1)
    assert (found.answers, found.takes_seed, found.top_logprobs) == (True, False, 5)
    assert "a seed: HTTP 400 no such thing" in found.notes


def test_a_probe_finds_completions() -> None:
    def both(body: dict[str, Any], nth: int) -> Response:
        if "messages" in body:
            return shout(body, nth)
        logprobs = {"tokens": [" on"], "token_logprobs": [-0.1], "top_logprobs": [{" on": -0.1, " off": -2.0}]}
        return JSONResponse(
            {"model": "m", "choices": [{"text": " on", "logprobs": logprobs if body.get("logprobs") else None}]}
        )

    with suspect(both, completions=True) as server, client(server.url) as endpoint:
        found = probe(endpoint, repeats=1)
        assert (found.completions, found.completion_logprobs) == (True, 2)
        assert [reply.text for reply in endpoint.complete(["and so", [1, 2]])] == [" on", " on"]


def test_a_probe_does_not_go_beyond_the_budget() -> None:
    with suspect() as server, client(server.url, most_requests=5) as endpoint:
        with pytest.raises(BudgetError):
            probe(endpoint)
        assert server.asked.total() == 5
