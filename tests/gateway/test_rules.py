"""What rules can say: sessions, egress, arguments, operators, models; and a reload while requests run."""

import hashlib
import hmac
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gateways import Gateway, gateway, wait_for_health
from mock_upstream import HEAD, call, chunks, events, responses_stream
from molehunt.cli import gateway as command
from molehunt.gateway.checking import PolicyCheck, check_policies
from molehunt.gateway.facts import AuditFacts
from molehunt.gateway.keys import Client, add_key
from molehunt.logs.reading import calls, to_calls
from registries import Registry

RULES = """
@id("secrets") @tag("read_secret")
permit(principal, action in Action::"use_tool", resource == Tool::"read_secret");

@id("http")
permit(principal, action in Action::"use_tool", resource == Tool::"http");

@id("hosts")
permit(principal, action == Action::"egress", resource in Host::"example.com");

@id("after-secrets") @reason("a secret was read in this session")
forbid(principal, action == Action::"egress", resource) when { context.session.tags.contains("read_secret") };

@id("offer-files")
permit(principal, action == Action::"offer_tool", resource == Tool::"write");

@id("files")
permit(principal, action == Action::"call_tool", resource == Tool::"write")
when { context.arguments.path like "/tmp/*" && !(context.arguments.path like "*..*") };

@id("pay") @ask("payments are for people")
permit(principal in Group::"staff", action in Action::"use_tool", resource == Tool::"pay");

@id("no-old-models")
forbid(principal, action == Action::"request_model", resource == Model::"old");

@id("never")
forbid(principal, action == Action::"call_tool", resource == Tool::"http") when { context.sampling has temperature && context.sampling.temperature.greaterThan(decimal("1.9")) };
"""
NAMES = ("read_secret", "http", "write", "pay")
TOOLS = [{"type": "function", "function": {"name": name}} for name in NAMES]
KEYS = {"app": Client(name="app"), "staff": Client(name="staff", groups=("staff",)), "slow": Client(name="slow", per_minute=1),
        "boss": Client(name="boss", operator=True)}  # fmt: skip


class Hook:
    """A webhook that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[dict[str, Any], str, bytes]] = []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                hook.told.append((json.loads(body), self.headers["x-molehunt-signature"], body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/holds"


@pytest.fixture(scope="module")
def hook() -> Iterator[Hook]:
    found = Hook()
    yield found
    found.server.shutdown()
    found.server.server_close()


@pytest.fixture(scope="module")
def keys() -> dict[str, str]:
    return {}


@pytest.fixture(scope="module")
def ruled(
    upstream: str, hook: Hook, keys: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("ruled")
    keys |= {name: add_key(folder / "keys.json", client) for name, client in KEYS.items()}
    more = (
        "--keys",
        str(folder / "keys.json"),
        "--ask-timeout",
        "4",
        "--webhook",
        hook.url,
        "--webhook-key-env",
        "HOOK_KEY",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOOK_KEY", "secret")
        with gateway(folder, RULES, upstream, *more) as found:
            yield found


def said(*asked: tuple[str, Any]) -> dict[str, Any]:
    """An answer that asks for tools (name, arguments)."""
    made = [call(name, "x", f"c{i}") for i, (name, _) in enumerate(asked)]
    for one, (_, arguments) in zip(made, asked, strict=True):
        one["function"]["arguments"] = json.dumps(arguments)
    message = {"role": "assistant", "content": None, "tool_calls": made}
    return {
        "pieces": [json.dumps({**HEAD, "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]})]
    }


def ask(door: Gateway, key: str, mock: dict[str, Any], session: str = "", **body: Any) -> dict[str, Any]:
    headers = {"authorization": f"Bearer {key}"} | ({"x-session-id": session} if session else {})
    full = {"messages": [{"role": "user", "content": "go"}], "tools": TOOLS, "mock": mock, **body}
    answer = door.post("chat/completions", full, headers=headers)
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["choices"][0])


def names(choice: dict[str, Any]) -> list[str]:
    return [one["function"]["name"] for one in choice["message"].get("tool_calls", ())]


GET: Any = ("http", {"url": "https://api.example.com/x"})
SECRET: Any = ("read_secret", {})


def test_egress_is_to_permitted_hosts_alone(ruled: Gateway, keys: dict[str, str]) -> None:
    assert names(ask(ruled, keys["app"], said(GET))) == ["http"]
    for url in (
        "https://evil.com/",
        "https://example.com.evil.com/",
        "http://example.com@evil.com/",
        "http://2130706433/",
        "evil.com/x",
    ):
        choice = ask(ruled, keys["app"], said(("http", {"deep": [{"url": url}]})))
        assert names(choice) == []
        assert "egress to" in choice["message"]["content"]
        assert choice["finish_reason"] == "stop"


def test_a_session_that_has_read_a_secret_sends_nothing_out(ruled: Gateway, keys: dict[str, str]) -> None:
    assert names(ask(ruled, keys["app"], said(GET), "s1")) == ["http"]
    assert names(ask(ruled, keys["app"], said(SECRET), "s1")) == ["read_secret"]
    denied = ask(ruled, keys["app"], said(GET), "s1")
    assert names(denied) == []
    assert "a secret was read in this session" in denied["message"]["content"]
    assert names(ask(ruled, keys["app"], said(GET), "s2")) == ["http"]
    assert names(ask(ruled, keys["staff"], said(GET), "s1")) == ["http"]  # sessions are a client's own


def test_it_holds_within_one_answer_and_by_the_history_alone(ruled: Gateway, keys: dict[str, str]) -> None:
    assert names(ask(ruled, keys["app"], said(SECRET, GET))) == ["read_secret"]
    history = [
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": None, "tool_calls": [call("READ_SECRET", "x")]},
        {"role": "tool", "tool_call_id": "c1", "content": "42"},
    ]
    assert names(ask(ruled, keys["app"], said(GET), messages=history)) == []
    told = [{"role": "assistant", "content": '<tool_call>{"name": "read_secret", "arguments": {}}</tool_call>'}]
    assert names(ask(ruled, keys["app"], said(GET), messages=told)) == []


def test_responses_are_one_session_by_their_ids(ruled: Gateway, keys: dict[str, str]) -> None:
    def respond(name: str, arguments: dict[str, Any], number: str, before: str | None) -> str:
        item = {"type": "function_call", "id": "f", "call_id": "c", "name": name, "arguments": json.dumps(arguments)}
        mock = {
            "pieces": [
                json.dumps({"id": f"resp_{number}", "object": "response", "status": "completed", "output": [item]})
            ]
        }
        tools = [{"type": "function", "name": one} for one in NAMES]
        body = {"input": "go", "tools": tools, "mock": mock, "previous_response_id": before}
        return ruled.post("responses", body, headers={"authorization": f"Bearer {keys['app']}"}).text

    assert '"function_call"' in respond("read_secret", {}, "1", None)
    assert '"function_call"' not in respond("http", GET[1], "2", "resp_1")
    assert '"function_call"' not in respond("http", GET[1], "3", "resp_2")
    assert '"function_call"' in respond("http", GET[1], "4", "resp_9")


def streamed(name: str, arguments: dict[str, Any], number: str, before: str | None, then: str) -> dict[str, Any]:
    """A request whose answer is a stream with this call; `then` other than "end" comes before its last event."""
    item = {"type": "function_call", "id": "f", "call_id": "c", "name": name, "arguments": json.dumps(arguments)}
    mock = responses_stream([item])
    pieces = [piece.replace("resp_1", number) for piece in mock["pieces"]]
    mock |= {"pieces": pieces if then == "end" else pieces[:-1], "then": then}
    tools = [{"type": "function", "name": one} for one in NAMES]
    body = {"input": "go", "tools": tools, "stream": True, "mock": mock, "previous_response_id": before}
    return {"model": "mock", **body}


@pytest.mark.parametrize("then", ["cut", "hang"])
def test_a_response_that_broke_off_is_of_its_session(ruled: Gateway, keys: dict[str, str], then: str) -> None:
    """Its id is in its first event: a client can go on from it, be it cut or left, and while it is under way."""
    header, address = {"authorization": f"Bearer {keys['app']}"}, f"{ruled.url}/responses"

    def is_let_out(number: str) -> bool:
        answer = ruled.client.post(address, json=streamed("http", GET[1], f"{number}b", number, "end"), headers=header)
        return '"function_call"' in answer.text

    number = f"resp_{then}"
    body = streamed("read_secret", {}, number, None, then)
    with ruled.client.stream("POST", address, json=body, headers=header) as answer:
        assert any("read_secret" in text for text in answer.iter_text())
        assert not is_let_out(number)
    assert not is_let_out(number)
    assert is_let_out(f"{number} of nobody")


def test_a_response_is_its_clients_alone(ruled: Gateway, keys: dict[str, str]) -> None:
    address = f"{ruled.url}/responses"

    def asked(name: str, number: str, before: str | None) -> httpx2.Response:
        body = streamed("http", GET[1], number, before, "end")
        return ruled.client.post(address, json=body, headers={"authorization": f"Bearer {keys[name]}"})

    assert asked("app", "resp_own", None).status_code == 200
    other = asked("staff", "resp_two", "resp_own")
    assert (other.status_code, other.json()["error"]["code"]) == (404, "previous_response_not_found")
    assert (
        asked("staff", "resp_own", None).status_code == 200
    )  # an upstream that gives an id twice takes it from nobody
    assert asked("staff", "resp_two", "resp_own").status_code == 404
    assert asked("app", "resp_three", "resp_own").status_code == 200


def test_another_name_does_not_shed_what_a_session_was_marked_with(ruled: Gateway, keys: dict[str, str]) -> None:
    """A request that names two sessions belongs to both, and so does what comes after it."""
    header, address = {"authorization": f"Bearer {keys['app']}"}, f"{ruled.url}/responses"

    def answer(name: str, arguments: dict[str, Any], number: str, before: str | None, session: str) -> str:
        body = streamed(name, arguments, number, before, "end")
        return ruled.client.post(address, json=body, headers=header | {"x-session-id": session}).text

    assert '"function_call"' in answer("read_secret", {}, "resp_n1", None, "n1")
    assert '"function_call"' not in answer("http", GET[1], "resp_n2", "resp_n1", "n2")
    assert '"function_call"' not in answer("http", GET[1], "resp_n3", None, "n2")
    assert '"function_call"' in answer("http", GET[1], "resp_n4", None, "n4")
    assert '"function_call"' in answer("read_secret", {}, "resp_n5", "resp_n4", "n5")
    assert '"function_call"' not in answer("http", GET[1], "resp_n6", None, "n4")


def test_arguments_decide(ruled: Gateway, keys: dict[str, str]) -> None:
    assert names(ask(ruled, keys["app"], said(("write", {"path": "/tmp/x"})))) == ["write"]
    for arguments in (
        {"path": "/etc/passwd"},
        {"path": "/tmp/../etc"},
        {},
        {"path": None},
        [],
        "x",
        {"path": ["/tmp/x"]},
    ):
        assert names(ask(ruled, keys["app"], said(("write", arguments)))) == [], arguments


def test_models_are_refused_by_rules(ruled: Gateway, keys: dict[str, str]) -> None:
    body = {"model": "old", "messages": []}
    answer = ruled.client.post(
        f"{ruled.url}/chat/completions", json=body, headers={"authorization": f"Bearer {keys['app']}"}
    )
    assert answer.status_code == 403
    assert "does not let this client ask" in answer.json()["error"]["message"]


def held(ruled: Gateway, keys: dict[str, str], resolve: Any) -> list[str]:
    """What the client gets of a call that waits, while `resolve` is given the hold."""
    found: list[list[str]] = []
    asking = threading.Thread(target=lambda: found.append(names(ask(ruled, keys["staff"], said(("pay", {"eur": 5}))))))
    asking.start()
    boss = {"authorization": f"Bearer {keys['boss']}"}
    address = ruled.url.removesuffix("/v1") + "/molehunt/holds"
    end = time.monotonic() + 20
    while not (waiting := ruled.client.get(address, headers=boss).json()["holds"]):
        assert time.monotonic() < end
        time.sleep(0.05)
    resolve(f"{address}/{waiting[0]['id']}", waiting[0]["id"])
    asking.join(30)
    return found[0]


def test_an_operator_allows_or_denies(ruled: Gateway, keys: dict[str, str], hook: Hook) -> None:
    boss = {"authorization": f"Bearer {keys['boss']}"}
    assert held(ruled, keys, lambda url, _: ruled.client.post(url, json={"decision": "allow"}, headers=boss)) == ["pay"]
    assert held(ruled, keys, lambda url, _: ruled.client.post(url, json={"decision": "deny"}, headers=boss)) == []
    told, signature, body = hook.told[0]
    assert told["tool"] == "pay"
    assert told["reason"] == "payments are for people"
    assert signature == "sha256=" + hmac.new(b"secret", body, hashlib.sha256).hexdigest()


def signed(hold: str, key: bytes = b"secret", **other: Any) -> dict[str, Any]:
    """A decision as the webhook sends it."""
    body = json.dumps({"hold": hold, "decision": "allow", "at": time.time(), **other}).encode()
    return {
        "content": body,
        "headers": {"x-molehunt-signature": "sha256=" + hmac.new(key, body, hashlib.sha256).hexdigest()},
    }


def test_the_webhook_resolves_with_a_signed_decision_once(ruled: Gateway, keys: dict[str, str], hook: Hook) -> None:
    seen: list[int] = []
    boss = {"authorization": f"Bearer {keys['boss']}"}

    def resolve(url: str, hold: str) -> None:
        good = signed(hold)
        swapped = {**good, "content": good["content"].replace(b"allow", b"deny")}
        told = {
            "content": hook.told[-1][2],
            "headers": {"x-molehunt-signature": hook.told[-1][1]},
        }  # what the gateway itself signed
        wrong = [
            signed(hold, b"other"),
            signed(hold, at=time.time() - 301),
            signed(hold, at=time.time() + 400),
            signed("0" * 12),
            swapped,
            told,
        ]
        wrong += [
            {**good, "headers": {"x-molehunt-signature": "", **boss}},
            signed(hold, at="now"),
            signed(hold, at=True),
        ]
        seen.extend(
            ruled.client.post(url, **one).status_code for one in [*wrong, good, good, signed(hold, decision="deny")]
        )
        seen.append(ruled.client.post(url, json={"decision": "deny"}, headers=boss).status_code)

    count = len(hook.told)
    assert held(ruled, keys, lambda url, hold: (wait(lambda: len(hook.told) > count), resolve(url, hold))) == ["pay"]
    assert seen == [403] * 9 + [200, 404, 404, 404]


def test_what_was_said_before_does_not_wait_for_the_operator(ruled: Gateway, keys: dict[str, str]) -> None:
    """Although text and call came in one piece."""
    mock = events(
        [
            *chunks([{"content": "first this"}, {"tool_calls": [{"index": 0, **call("pay", "x")}]}], "tool_calls"),
            "[DONE]",
        ]
    )
    body = {
        "model": "mock",
        "stream": True,
        "messages": [],
        "tools": TOOLS,
        "mock": mock | {"pieces": ["".join(mock["pieces"])]},
    }
    header = {"authorization": f"Bearer {keys['staff']}"}
    address, boss = ruled.url.removesuffix("/v1") + "/molehunt/holds", {"authorization": f"Bearer {keys['boss']}"}
    with ruled.client.stream("POST", f"{ruled.url}/chat/completions", json=body, headers=header) as answer:
        pieces = answer.iter_text()
        assert "first this" in next(pieces)
        [hold] = ruled.client.get(address, headers=boss).json()["holds"]  # it waits still
        ruled.client.post(f"{address}/{hold['id']}", json={"decision": "allow"}, headers=boss)
        assert '"pay"' in "".join(pieces)


def test_the_command_line_resolves(ruled: Gateway, keys: dict[str, str]) -> None:
    def resolve(_: str, hold: str) -> None:
        command.holds(ruled.log)
        command.resolve(hold, "allow", ruled.log)

    assert held(ruled, keys, resolve) == ["pay"]


def test_nobody_answers_so_it_is_denied(ruled: Gateway, keys: dict[str, str]) -> None:
    assert held(ruled, keys, lambda url, _: None) == []
    assert names(ask(ruled, keys["app"], said(("pay", {})))) == []  # not in the group: not even asked


def test_a_client_that_leaves_takes_its_hold_along(ruled: Gateway, keys: dict[str, str]) -> None:
    """An operator is not asked about what nobody waits for, and is not told that it was allowed."""
    body = {"model": "mock", "messages": [], "tools": TOOLS, "mock": said(("pay", {}))}
    header, boss = {"authorization": f"Bearer {keys['staff']}"}, {"authorization": f"Bearer {keys['boss']}"}
    address = ruled.url.removesuffix("/v1") + "/molehunt/holds"
    with pytest.raises(httpx2.ReadTimeout):
        httpx2.post(f"{ruled.url}/chat/completions", json=body, headers=header, timeout=0.5)
    wait(lambda: not ruled.client.get(address, headers=boss).json()["holds"])


def test_the_log_says_who_decided(ruled: Gateway, keys: dict[str, str], hook: Hook) -> None:
    """Whichever way it came, and be it nobody."""
    boss = {"authorization": f"Bearer {keys['boss']}"}
    ids: list[str] = []

    def each(decide: Any) -> None:
        held(ruled, keys, lambda url, hold: (ids.append(hold), decide(url, hold)))

    each(lambda _, hold: command.resolve(hold, "deny", ruled.log))
    each(lambda url, hold: ruled.client.post(url, **signed(hold)))
    each(lambda url, _: ruled.client.post(url, json={"decision": "allow"}, headers=boss))
    each(lambda _, hold: None)
    lines = [json.loads(line) for file in ruled.log.glob("*/*.jsonl") for line in file.read_text().splitlines()]
    told = {one["body"]["molehunt.hold"]: one["body"] for one in lines if one["event"] == "hold"}
    by = [(told[one]["molehunt.hold.decision"], told[one]["molehunt.by"]) for one in ids]
    user = by[0][1]
    assert user.startswith("user ")
    assert by == [("deny", user), ("allow", "the webhook"), ("allow", "boss"), ("deny", "nobody in time")]
    asked = {one["body"]["molehunt.call.id"] for one in lines if one["body"].get("molehunt.decision") == "ask:pay"}
    assert {told[one]["molehunt.call.id"] for one in ids} <= asked


def test_keys(ruled: Gateway, keys: dict[str, str]) -> None:
    for header in ({}, {"authorization": "Bearer wrong"}, {"authorization": f"Basic {keys['app']}"}):
        answer = ruled.post("chat/completions", {"messages": []}, headers=header)
        assert answer.status_code == 401
        assert keys["app"] not in answer.text
    assert (
        ruled.post(
            "chat/completions", {"messages": []}, headers={"authorization": f"Bearer {keys['boss']}"}
        ).status_code
        == 403
    )
    address = ruled.url.removesuffix("/v1") + "/molehunt/holds"
    assert ruled.client.get(address, headers={"authorization": f"Bearer {keys['app']}"}).status_code == 403
    file = ruled.log.parent / "keys.json"
    assert not any(key in file.read_text() for key in keys.values())
    assert file.stat().st_mode & 0o077 == 0


def test_a_key_is_changed_while_the_gateway_runs(ruled: Gateway, keys: dict[str, str]) -> None:
    file = ruled.log.parent / "keys.json"
    before = file.read_bytes()
    new = add_key(file, Client(name="app"))
    for key in (new, keys["app"]):
        assert (
            ruled.post("chat/completions", {"messages": []}, headers={"authorization": f"Bearer {key}"}).status_code
            == 200
        )
    file.write_bytes(b"{ broken")
    assert (
        ruled.post("chat/completions", {"messages": []}, headers={"authorization": f"Bearer {new}"}).status_code == 200
    )
    file.write_bytes(before)
    assert (
        ruled.post("chat/completions", {"messages": []}, headers={"authorization": f"Bearer {new}"}).status_code == 401
    )


def test_a_worker_that_takes_anothers_place_keeps_the_last_good_keys(ruled: Gateway, keys: dict[str, str]) -> None:
    file = ruled.log.parent / "keys.json"
    before = file.read_bytes()
    new = add_key(file, Client(name="app"))
    header = {"authorization": f"Bearer {new}"}
    assert ruled.post("chat/completions", {"messages": []}, headers=header).status_code == 200
    file.write_bytes(b"{ broken")
    assert ruled.post("chat/completions", {"messages": []}, headers=header).status_code == 200
    [worker] = ruled.workers()
    os.kill(worker, signal.SIGKILL)
    wait_for_health(ruled)
    assert "keys.json" in ruled.health().json()["keys_refused"]
    assert ruled.post("chat/completions", {"messages": []}, headers=header).status_code == 200
    wrong = {"authorization": "Bearer wrong"}
    assert ruled.post("chat/completions", {"messages": []}, headers=wrong).status_code == 401
    file.write_bytes(before)
    assert ruled.post("chat/completions", {"messages": []}, headers=header).status_code == 401
    assert "keys_refused" not in ruled.health().json()


def test_a_file_of_keys_that_is_gone_is_told(ruled: Gateway, keys: dict[str, str]) -> None:
    """Nobody has to ask first; the keys read before stay, and the file's coming back ends it."""
    file = ruled.log.parent / "keys.json"
    header = {"authorization": f"Bearer {keys['app']}"}
    aside = file.rename(file.with_name("aside.json"))
    wait(lambda: "keys.json" in ruled.health().json().get("keys_refused", ""))
    assert ruled.post("chat/completions", {"messages": []}, headers=header).status_code == 200
    aside.rename(file)
    wait(lambda: "keys_refused" not in ruled.health().json())


def test_a_client_that_asks_too_often_is_told_when_to_come_again(ruled: Gateway, keys: dict[str, str]) -> None:
    header = {"authorization": f"Bearer {keys['slow']}"}
    assert ruled.post("chat/completions", {"messages": []}, headers=header).status_code == 200
    second = ruled.post("chat/completions", {"messages": []}, headers=header)
    assert second.status_code == 429
    assert 1 <= int(second.headers["retry-after"]) <= 60


def test_workers_know_what_another_one_let_through(upstream: str, tmp_path: Path) -> None:
    keys = {name: add_key(tmp_path / "keys.json", client) for name, client in KEYS.items()}
    with gateway(tmp_path, RULES, upstream, "--keys", str(tmp_path / "keys.json"), "--workers", "2") as door:

        def anew(key: str, mock: dict[str, Any]) -> httpx2.Response:
            """On a connection of its own, which either worker may take."""
            head = {"authorization": f"Bearer {keys[key]}", "x-session-id": "s1"}
            body = {"model": "m", "messages": [{"role": "user", "content": "go"}], "tools": TOOLS, "mock": mock}
            return httpx2.post(f"{door.url}/chat/completions", json=body, headers=head, timeout=60)

        assert names(anew("app", said(SECRET)).json()["choices"][0]) == ["read_secret"]
        with ThreadPoolExecutor(8) as many:
            denied = list(many.map(lambda _: anew("app", said(GET)), range(40)))
            spent = list(many.map(lambda _: anew("slow", {}), range(12)))
        assert all(names(answer.json()["choices"][0]) == [] for answer in denied)
        assert sorted(answer.status_code for answer in spent) == [200] + [429] * 11
    served = {call.source.split("/")[0] for call in to_calls(calls(tmp_path / "log"))}
    assert served == {"gateway-0", "gateway-1"}


def test_policies_are_read_again_and_an_error_changes_nothing(ruled: Gateway, keys: dict[str, str]) -> None:
    rules = ruled.policy / "rules.cedar"
    before = ruled.health().json()["policy"]
    rules.write_text(RULES + "\npermit(principal, action, resource) when { oops };")
    wait(lambda: f"rules.cedar, line {RULES.count(chr(10)) + 2};" in ruled.health().json().get("policy_refused", ""))
    [worker] = ruled.workers()
    os.kill(worker, signal.SIGKILL)
    wait_for_health(ruled)
    assert ruled.health().json()["policy"] == before
    assert "policy_refused" in ruled.health().json()
    assert names(ask(ruled, keys["app"], said(GET))) == ["http"]
    rules.write_text(RULES.replace('Host::"example.com"', 'Host::"example.org"'))
    wait(lambda: ruled.health().json()["policy"] != before)
    assert names(ask(ruled, keys["app"], said(GET))) == []
    rules.write_text(RULES)
    wait(lambda: ruled.health().json()["policy"] == before)


def wait(condition: Any) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_the_log_tells_all_of_it(ruled: Gateway, keys: dict[str, str]) -> None:
    """Last in this file: what was decided above, and what rules would have decided otherwise."""
    ask(ruled, keys["app"], said(GET, ("http", {"url": "https://evil.com"})), "logged", user="ann", temperature=0.25)
    [found] = [one for one in to_calls(calls(ruled.log)) if one.session == "logged"]
    assert (found.client, found.user, found.model) == ("app", "ann", "mock")
    assert [(one.name, json.loads(one.arguments)["url"]) for one in found.tool_calls] == [
        ("http", "https://api.example.com/x"),
        ("http", "https://evil.com"),
    ]
    assert set(found.decisions) == {"allow:http", "deny-host:evil.com", "withhold:pay"}
    assert "denied by policy" in found.answer


def test_check_replays_the_log(ruled: Gateway, tmp_path: Path) -> None:
    def check(rules: str) -> PolicyCheck:
        (tmp_path / "rules.cedar").write_text(rules)
        return check_policies(tmp_path, str(ruled.log), ruled.log.parent / "keys.json")

    same = check(RULES)
    assert [rule.name for rule in same.never_fired] == ["never"]
    assert same.fired["secrets"] > 1
    other = check(RULES.replace('Tool::"http");', 'Tool::"https");'))
    assert "http" in {one.tool for one in other.changed}


def test_the_rules_that_decided_decide_no_call_otherwise(upstream: str, tmp_path: Path) -> None:
    """Neither a denied host nor what an operator said is a difference; a rule that changes is one."""
    rules = RULES.replace('principal in Group::"staff"', "principal")
    evil: Any = ("http", {"url": "https://evil.com/x"})
    with gateway(tmp_path, rules, upstream, "--ask-timeout", "0.3") as door:
        for asked in (GET, evil, ("pay", {"to": "me"})):
            assert door.chat(said(asked), tools=TOOLS).status_code == 200
        assert check_policies(door.policy, str(door.log)).changed == ()
        (door.policy / "rules.cedar").write_text(rules.replace("example.com", "evil.com"))
        found = check_policies(door.policy, str(door.log)).changed
        assert [(one.tool, one.then, one.now) for one in found] == [
            ("http", "allow", "deny"),
            ("http", "deny", "allow"),
        ]


def test_check_knows_approvals_and_audits(upstream: str, tmp_path: Path) -> None:
    registry = Registry(tmp_path / "registry")
    _, digest = registry.approved("team/model")
    rules = """@id("approved") forbid(principal, action == Action::"request_model", resource) when { context.model.standing != "approved" };
        @id("read") permit(principal, action in Action::"use_tool", resource == Tool::"read") when { context.audit.verdict == "clear" };"""
    mock, tools = said(("read", {})), [{"type": "function", "function": {"name": "read"}}]
    audit = AuditFacts(digest, "clear", True, time.time())
    plain_rules = tmp_path / "rules"
    plain_rules.mkdir()
    (plain_rules / "x.cedar").write_text(rules)
    with gateway(
        tmp_path, 'permit(principal, action in Action::"use_tool", resource);', upstream, "--digest", digest
    ) as door:
        assert door.chat(mock, tools=tools).status_code == 200
        log = str(door.log)
        known = check_policies(plain_rules, log, ledger=registry.ledger, audit=audit)
        assert (known.changed, known.assumed, known.never_fired[0].name) == ((), (), "approved")
        blind = check_policies(plain_rules, log)
        assert [one.tool for one in blind.changed] == ["model mock"]
        assert [words.split(":")[0] for words in blind.assumed] == ["context.model.standing", "context.audit.verdict"]
        other = check_policies(plain_rules, log, ledger=registry.ledger, audit=audit._replace(digest="0" * 64))
        assert [(one.tool, one.now) for one in other.changed] == [("read", "deny")]
        registry.ledger.append("revoke", digest, registry.keys["ann"], reason="a trigger was found")
        revoked = check_policies(plain_rules, log, ledger=registry.ledger, audit=audit)
        assert [one.tool for one in revoked.changed] == ["model mock"]


def test_a_model_that_is_revoked_is_refused_at_once(upstream: str, tmp_path: Path) -> None:
    registry = Registry(tmp_path / "registry")
    _, digest = registry.approved("team/model")
    rules = (
        'forbid(principal, action == Action::"request_model", resource) when { context.model.standing != "approved" };'
    )
    with gateway(tmp_path, rules, upstream, "--ledger", str(registry.folder), "--digest", digest) as door:
        assert door.chat().status_code == 200
        registry.ledger.append("revoke", digest, registry.keys["ann"], reason="a trigger was found")
        refused = door.chat()
        assert refused.status_code == 403
        assert "revoked in the approval ledger" in refused.json()["error"]["message"]
