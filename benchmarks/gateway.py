"""What the gateway adds to a call, and how many it takes: `python benchmarks/gateway.py [--seconds S] [--litellm PYTHON]`.

The same client asks the same mock upstream, in a process of its own, straight and through the gateway, in turns.
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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from gateways import READ_ONLY, Gateway, gateway
from mock_upstream import chat, mock_upstream

RATE = 200
TOOLS = [{"type": "function", "function": {"name": "read", "parameters": {"type": "object"}}}]
ANSWER = "It is a long story, and it begins with a mole in a garden. " * 5
BODY: dict[str, object] = {"model": "mock", "messages": [{"role": "user", "content": "word " * 200}], "tools": TOOLS}


class Client:
    """HTTP by hand on kept connections, so that the client costs little and the same on both ways."""

    def __init__(self, url: str, body: dict[str, object]) -> None:
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
        first = 0.0
        if b"transfer-encoding" in head:
            while size := int(await reader.readuntil(b"\r\n"), 16):
                first = first or time.perf_counter() - began
                await reader.readexactly(size + 2)
            await reader.readexactly(2)
        else:
            await reader.readexactly(int(head.split(b"content-length: ")[1].split(b"\r\n")[0]))
        took = time.perf_counter() - began
        self.idle.append((reader, writer))
        return first or took, took

    def close(self) -> None:
        for _, writer in self.idle:
            writer.close()


async def at_rate(client: Client, seconds: float) -> list[tuple[float, float]]:
    """Asks at fixed times, whether or not the last one is answered."""
    began, asked = time.perf_counter(), []
    for number in range(int(RATE * seconds)):
        await asyncio.sleep(max(0.0, began + number / RATE - time.perf_counter()))
        asked.append(asyncio.create_task(client.ask()))
    return await asyncio.gather(*asked)


async def at_most(client: Client, seconds: float, at_once: int = 16) -> float:
    """Requests a second of `at_once` clients that ask without pause."""
    until, count = time.perf_counter() + seconds, 0

    async def one() -> None:
        nonlocal count
        while time.perf_counter() < until:
            await client.ask()
            count += 1

    await asyncio.gather(*(one() for _ in range(at_once)))
    return count / seconds


def quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


async def latency(straight: str, through: str, seconds: float) -> None:
    for is_stream, at in ((False, 1), (True, 0)):
        body = BODY | {"stream": is_stream, "mock": chat(ANSWER, is_stream)}
        clients = [Client(url, body) for url in (straight, through)]
        took: list[list[float]] = [[], []]
        for number in range(8):
            for way in (0, 1) if number % 2 else (1, 0):
                found = await at_rate(clients[way], seconds / 8)
                took[way] += [one[at] for one in found] if number > 1 else []
        rows = [(statistics.median(values), quantile(values, 0.99)) for values in took]
        added = [1000 * (through - straight) for straight, through in zip(*rows, strict=True)]
        what, asked = ("first piece of a stream", "2") if is_stream else ("whole answer", "1.5 and 6")
        print(
            f"{what}: straight median {1000 * rows[0][0]:.2f} ms, p99 {1000 * rows[0][1]:.2f} ms; added median {added[0]:.2f} ms,"
            f" p99 {added[1]:.2f} ms (asked: at most {asked} ms) at {RATE} requests/s, {len(took[0])} each way"
        )
        for client in clients:
            client.close()


async def throughput(ways: dict[str, str], seconds: float) -> None:
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(3):
        for name, url in ways.items():
            client = Client(url, BODY | {"mock": chat(ANSWER, False)})
            found[name].append(await at_most(client, seconds / 6))
            client.close()
    for name, rates in found.items():
        print(f"{name}: {statistics.median(rates):.0f} requests/s on one worker")
    if "litellm" in found:
        print(
            f"gateway against litellm: {statistics.median(found['gateway']) / statistics.median(found['litellm']):.1f} (asked: 5)"
        )


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
def litellm(python: str, upstream: str, folder: Path) -> Iterator[str]:
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
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            url = "http://127.0.0.1:8917/v1"
            client = Client(url, BODY)
            for _ in range(600):
                try:
                    asyncio.run(client.ask())
                    break
                except (OSError, AssertionError, asyncio.IncompleteReadError):
                    time.sleep(0.2)
            yield url
        finally:
            process.terminate()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=40.0, help="of each part")
    parser.add_argument("--litellm", metavar="PYTHON", help="of an environment with litellm[proxy]")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, mock_upstream() as upstream:
        folder = Path(name)
        with gateway(folder, READ_ONLY, upstream) as door:
            print(f"load of the machine before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
            asyncio.run(latency(upstream, door.url, given.seconds))
            if given.litellm:
                with litellm(given.litellm, upstream, folder) as other:
                    asyncio.run(
                        throughput({"straight": upstream, "gateway": door.url, "litellm": other}, given.seconds)
                    )
            else:
                asyncio.run(throughput({"straight": upstream, "gateway": door.url}, given.seconds))
            restart(door)


if __name__ == "__main__":
    main()
