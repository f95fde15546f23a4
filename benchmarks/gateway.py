"""What the gateway adds to a call, and how many it takes: `python benchmarks/gateway.py [--seconds S] [--against SRC] [--litellm PYTHON]`.

The same client asks the same mock upstream, in a process of its own, straight and through the gateway, in turns. On a machine that others use
the processor time of a worker for one call says more than the clock: it is given beside that of client and upstream.
"""

import argparse
import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from gateways import READ_ONLY, Gateway, gateway
from mock_upstream import mock_upstream

RATE = 200
TURNS = 8
TOOLS = [{"type": "function", "function": {"name": "read", "parameters": {"type": "object"}}}]
ANSWER = "It is a long story, and it begins with a mole in a garden. " * 5
"""66 words: a stream of 67 chunks."""
BODY: dict[str, Any] = {"model": "mock", "messages": [{"role": "user", "content": "word " * 200}], "tools": TOOLS}


class Client:
    """HTTP by hand on kept connections, so that the client costs little and the same on both ways."""

    def __init__(self, url: str, body: dict[str, Any]) -> None:
        parts = urlsplit(url)
        self.host, self.port, self.path = parts.hostname, parts.port, parts.path + "/chat/completions"
        data = json.dumps(body).encode()
        head = (
            f"POST {self.path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nauthorization: Bearer sk-1\r\n"
        )
        self.request = f"{head}content-length: {len(data)}\r\n\r\n".encode() + data
        self.idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def ask(self) -> tuple[float, float]:
        """Seconds to the first byte of the body, and to the last."""
        reader, writer = self.idle.pop() if self.idle else await asyncio.open_connection(self.host, self.port)
        began = time.perf_counter()
        writer.write(self.request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        assert b" 200 " in head.split(b"\r\n")[0], head
        first, tail = 0.0, b""
        if b"transfer-encoding" in head:
            while not tail.endswith(b"\r\n0\r\n\r\n"):
                piece = await reader.read(65536)
                assert piece, "the answer broke off"
                first, tail = first or time.perf_counter() - began, tail[-8:] + piece
        else:
            await reader.readexactly(int(head.split(b"content-length: ")[1].split(b"\r\n")[0]))
        took = time.perf_counter() - began
        self.idle.append((reader, writer))
        return first or took, took

    def close(self) -> None:
        for _, writer in self.idle:
            writer.close()
        self.idle = []


def spent(pid: int) -> float:
    """Seconds of processor time that a process has used, all of its threads."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


@dataclass
class Way:
    """One way to the upstream, and what was measured on it."""

    name: str
    url: str
    workers: Callable[[], list[int]] = list
    first: list[float] = field(default_factory=list)
    whole: list[float] = field(default_factory=list)
    used: dict[str, float] = field(default_factory=lambda: dict.fromkeys(("worker", "upstream", "client"), 0.0))

    def usage(self, upstream: int) -> dict[str, float]:
        return {"worker": sum(map(spent, self.workers())), "upstream": spent(upstream), "client": spent(os.getpid())}

    def said(self) -> str:
        calls = max(1, len(self.whole))
        cost = ", ".join(f"{who} {1000 * seconds / calls:.2f}" for who, seconds in self.used.items() if seconds)
        return f"{self.name}: processor ms a call: {cost}"


async def at_rate(client: Client, rate: float, seconds: float) -> list[tuple[float, float]]:
    """Asks at fixed times, whether or not the last one is answered."""
    began, asked = time.perf_counter(), []
    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
        asked.append(asyncio.create_task(client.ask()))
    return await asyncio.gather(*asked)


async def at_most(client: Client, seconds: float, at_once: int = 16) -> list[tuple[float, float]]:
    """`at_once` clients that ask without pause."""
    until, found = time.perf_counter() + seconds, list[tuple[float, float]]()

    async def one() -> None:
        while time.perf_counter() < until:
            found.append(await client.ask())

    await asyncio.gather(*(one() for _ in range(at_once)))
    return found


async def in_turns(ways: list[Way], body: dict[str, Any], upstream: int, seconds: float, rate: float) -> list[Way]:
    """Every way a few seconds in turn; the first two turns warm up. Without a rate as many as go."""
    ways = [Way(way.name, way.url, way.workers) for way in ways]
    for turn in range(TURNS):
        for way in ways if turn % 2 else reversed(ways):
            client, before = Client(way.url, body), way.usage(upstream)
            took = await (at_rate(client, rate, seconds / TURNS) if rate else at_most(client, seconds / TURNS))
            after = way.usage(upstream)
            client.close()
            if turn > 1:
                way.first += [first for first, _ in took]
                way.whole += [whole for _, whole in took]
                way.used = {who: way.used[who] + after[who] - before[who] for who in after}
    return ways


def quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


async def latency(ways: list[Way], upstream: int, seconds: float, rate: float, say: dict[str, Any], asked: str) -> None:
    """What each way adds to the first: to the first piece of a stream, or to the whole of an answer."""
    is_stream = "stream" in say
    straight, *others = await in_turns(ways, BODY | say, upstream, seconds, rate)

    def of(way: Way) -> tuple[float, float]:
        values = way.first if is_stream else way.whole
        return 1000 * statistics.median(values), 1000 * quantile(values, 0.99)

    pause = say["mock"].get("pause", 0)
    what = (
        f"first piece of a stream{f' ({1000 * pause:g} ms between words)' if pause else ''}"
        if is_stream
        else "whole answer"
    )
    print(
        f"{what} at {rate:g}/s, {len(straight.whole)} each way: straight median {of(straight)[0]:.2f} ms, p99 {of(straight)[1]:.2f} ms (asked: {asked})"
    )
    print(f"  {straight.said()}")
    for way in others:
        added = [through - bare for through, bare in zip(of(way), of(straight), strict=True)]
        ends = [statistics.median(one.whole) for one in (way, straight)]
        last = f", to the last piece {1000 * (ends[0] - ends[1]):.2f}" if is_stream else ""
        print(
            f"  {way.name}: added median {added[0]:.2f} ms, p99 {added[1]:.2f}{last}; {way.said().partition(': ')[2]}",
            flush=True,
        )


async def throughput(ways: list[Way], upstream: int, seconds: float) -> None:
    for is_stream in (False, True):
        done = await in_turns(ways, BODY | {"stream": is_stream, "mock": {"say": ANSWER}}, upstream, seconds, 0)
        for way in done:
            rate = len(way.whole) / (seconds * (TURNS - 2) / TURNS)
            print(f"{'streams' if is_stream else 'answers'}, as many as go: {rate:.0f}/s; {way.said()}", flush=True)


def restart(door: Gateway) -> None:
    """How long nobody answers after the only worker is killed."""
    took = []
    for _ in range(5):
        [worker] = door.workers()
        os.kill(worker, signal.SIGKILL)
        began = time.perf_counter()
        while True:
            try:
                if door.chat().status_code == 200:
                    break
            except Exception:  # refused while nobody listens
                time.sleep(0.005)
        took.append(time.perf_counter() - began)
        time.sleep(2.5)  # it is no longer young
    print(
        f"after SIGKILL of the worker: answers again in {statistics.median(took):.2f} s, at most {max(took):.2f} s (asked: 2 s)"
    )


@contextmanager
def litellm(python: str, upstream: str, folder: Path) -> Iterator[Way]:
    """LiteLLM's proxy, from an environment of its own."""
    config = folder / "litellm.yaml"
    model = {"model_name": "mock", "litellm_params": {"model": "openai/mock", "api_base": upstream, "api_key": "x"}}
    config.write_text(json.dumps({"model_list": [model]}))
    command = [
        python,
        "-m",
        "litellm.proxy.proxy_cli",
        "--config",
        str(config),
        "--host",
        "127.0.0.1",
        "--port",
        "8917",
    ]
    # ours asks no key of clients here either
    env = {**os.environ, "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true", "PYTHONPATH": ""}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env) as process:
        try:
            url = "http://127.0.0.1:8917/v1"
            client = Client(url, BODY)
            for _ in range(600):
                try:
                    asyncio.run(client.ask())
                    break
                except (OSError, AssertionError, asyncio.IncompleteReadError):
                    assert process.poll() is None, "LiteLLM's proxy does not start"
                    time.sleep(0.2)
            yield Way("litellm", url, lambda: [process.pid])
        finally:
            process.terminate()


@contextmanager
def before(source: str, folder: Path, upstream: str) -> Iterator[Way]:
    """The gateway of another checkout."""
    ours = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = source
    try:
        door = gateway(folder / "before", READ_ONLY, upstream)
        with door as found:
            os.environ["PYTHONPATH"] = ours
            yield Way("before", found.url, found.workers)
    finally:
        os.environ["PYTHONPATH"] = ours


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=40.0, help="of each part and way")
    parser.add_argument("--rates", type=float, nargs="*", default=[RATE, RATE / 4], help="of streams a second")
    parser.add_argument("--against", metavar="SRC", help="src of another checkout, measured in the same run")
    parser.add_argument("--litellm", metavar="PYTHON", help="of an environment with litellm[proxy]")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        upstream = stack.enter_context(mock_upstream())
        [mock] = map(int, Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())
        door = stack.enter_context(gateway(folder, READ_ONLY, upstream))
        ways = [Way("straight", upstream), Way("gateway", door.url, door.workers)]
        ways += [stack.enter_context(before(given.against, folder, upstream))] if given.against else []
        ways += [stack.enter_context(litellm(given.litellm, upstream, folder))] if given.litellm else []
        print(f"load of the machine before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        say = {"mock": {"say": ANSWER}}
        asyncio.run(latency(ways, mock, given.seconds, RATE, say, "at most 1.5 ms more, p99 6 ms"))
        for rate in given.rates:
            for pause in (0, 0.01):
                stream = {"stream": True, "mock": {"say": ANSWER, "pause": pause}}
                asyncio.run(latency(ways, mock, given.seconds, rate, stream, "at most 2 ms more"))
        asyncio.run(throughput(ways, mock, given.seconds / 2))
        restart(door)
        print(f"load of the machine after: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
