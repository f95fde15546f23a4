"""What a client got in full is in the log, whatever is killed when; what cannot be recorded is not answered."""

import http.client
import json
import os
import random
import resource
import signal
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from gateways import READ_ONLY, Gateway, gateway
from mock_upstream import chunks, events
from molehunt.logs.reading import calls, to_calls
from molehunt.logs.verifying import verify


class Load:
    """Clients that ask without pause, each text once, and remember what they got in full."""

    def __init__(self, door: Gateway, threads: int = 4) -> None:
        self.door, self.is_over = door, False
        self.got: dict[str, str] = {}
        self.failed = 0
        self._threads = [threading.Thread(target=self._ask, args=(i,)) for i in range(threads)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self.is_over = True
        for thread in self._threads:
            thread.join(60)

    def _ask(self, number: int) -> None:
        address, count = urlsplit(self.door.url), 0
        while not self.is_over:
            line = http.client.HTTPConnection(address.hostname or "", address.port, timeout=30)
            try:
                while not self.is_over:
                    count += 1
                    self._once(line, f"text {number} {count} end", is_stream=count % 2 == 0)
            except (OSError, http.client.HTTPException):
                self.failed += 1
            finally:
                line.close()

    def _once(self, line: http.client.HTTPConnection, text: str, is_stream: bool) -> None:
        mock: Any = None
        if is_stream:
            mock = events([*chunks([{"content": piece} for piece in (text[:5], text[5:])]), "[DONE]"])
        body = {"model": "mock", "stream": is_stream, "messages": [{"role": "user", "content": text}], "mock": mock}
        line.request("POST", "/v1/chat/completions", json.dumps(body))
        answer = line.getresponse()
        told = answer.read().decode()  # raises if it is cut
        assert answer.status == 200, told
        assert not is_stream or "[DONE]" in told
        self.got[text] = told

    def wait_for(self, more: int) -> None:
        """Until so many more are answered."""
        wanted, end = len(self.got) + more, time.monotonic() + 60
        while len(self.got) < wanted:
            assert time.monotonic() < end, "nobody is answered any more"
            time.sleep(0.002)


def kill_and_look(folder: Path, upstream: str, kills: int) -> None:
    chance = random.Random(kills)
    with gateway(folder, READ_ONLY, upstream, "--workers", "2") as door:
        with Load(door) as load:
            for _ in range(kills):
                load.wait_for(chance.randint(1, 60))
                os.kill(chance.choice(door.workers()), signal.SIGKILL)
            load.wait_for(20)
            while len(door.workers()) < 2:
                load.wait_for(1)
        assert door.chat().status_code == 200
        door.stop()
    assert len(load.got) > kills
    logged = {call.messages[0].content: call for call in to_calls(calls(door.log))}
    for text in load.got:
        assert logged[text].status == 200
        assert text in logged[text].answer
    report = verify(door.log)
    assert not report.problems


def test_what_was_answered_is_logged_though_workers_are_killed(tmp_path: Path, upstream: str) -> None:
    kill_and_look(tmp_path, upstream, 5)


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_what_was_answered_is_logged_though_a_hundred_are_killed(tmp_path: Path, upstream: str) -> None:
    kill_and_look(tmp_path, upstream, 100)


def test_nothing_is_answered_that_cannot_be_logged(
    tmp_path: Path, upstream: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is full: files may not grow beyond some kilobytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (700_000, before[1]))
    try:
        with gateway(tmp_path, READ_ONLY, upstream) as door:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            filler = [{"role": "user", "content": "x" * 100_000}]
            answers = [door.chat(messages=filler) for _ in range(12)]
            assert answers[0].status_code == 200
            assert answers[-1].status_code == 503
            assert answers[-1].json()["error"]["code"] == "log_unavailable"
            assert door.health().status_code == 503
            assert "log" in door.health().json()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_client_that_goes_leaves_what_it_was_sent(tmp_path: Path, upstream: str) -> None:
    with gateway(tmp_path, READ_ONLY, upstream) as door:
        mock = {**events(chunks([{"content": "first words"}])[:1]), "then": "hang"}
        body = {"model": "mock", "stream": True, "messages": [{"role": "user", "content": "long"}], "mock": mock}
        with door.client.stream("POST", f"{door.url}/chat/completions", json=body) as answer:
            assert "first words" in next(answer.iter_text())
        door.client.close()
        end = time.monotonic() + 20
        lines = door.log / "gateway-0" / "00000001.jsonl"
        while '"event":"interrupted"' not in lines.read_text():
            assert time.monotonic() < end
            time.sleep(0.05)
        door.process.kill()
        [record] = [json.loads(line) for line in lines.read_text().splitlines() if '"event":"interrupted"' in line]
    assert record["body"]["molehunt.interrupted"] == "client"
    assert "first words" in json.dumps(record["body"]["gen_ai.output.messages"])


def test_a_gateway_that_stops_says_so_to_whom_it_keeps_waiting(
    tmp_path: Path, upstream: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Although Ctrl-C came twice; and the log is closed."""
    told: list[str] = []
    endless = events(chunks([{"content": "word "}] * 1000)) | {"pause": 0.1}

    with gateway(tmp_path, READ_ONLY, upstream) as door:

        def ask(mock: dict[str, Any], stream: bool) -> None:
            told.append(door.chat(mock, stream=stream).text)

        mocks = (({"say": "late", "seconds": 100}, False), (endless, True))
        asking = [threading.Thread(target=ask, args=one) for one in mocks]
        for one in asking:
            one.start()
        time.sleep(1)
        for number in (signal.SIGINT, signal.SIGINT, signal.SIGTERM):
            for process in (door.process.pid, *door.workers()):
                os.kill(process, number)
            time.sleep(0.3)
        assert door.process.wait(60) == 0
        for one in asking:
            one.join(30)
    assert [text.count('"the gateway stops"') for text in told] == [1, 1]
    assert "Traceback" not in capfd.readouterr().err
    found = {call.status: call.answer for call in to_calls(calls(tmp_path / "log")) if call.client == "anonymous"}
    assert found[200].startswith("word word")
    assert set(found) == {200, 503}
    assert verify(tmp_path / "log").problems == ()
    assert list((tmp_path / "log").glob("*/*.head.json"))
