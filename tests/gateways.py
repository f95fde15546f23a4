"""A real gateway in processes of its own, before a real upstream in another."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

READ_ONLY = """
permit(principal, action in Action::"use_tool", resource == Tool::"read");
"""
ALL_BUT_SHELL = """
permit(principal, action in Action::"use_tool", resource);
forbid(principal, action in Action::"use_tool", resource == Tool::"shell");
"""


@dataclass
class Gateway:
    """One that listens."""

    url: str
    log: Path
    policy: Path
    process: "subprocess.Popen[str]"
    client: httpx2.Client

    def post(self, endpoint: str, body: dict[str, Any], **more: Any) -> httpx2.Response:
        return self.client.post(f"{self.url}/{endpoint}", content=json.dumps({"model": "mock", **body}), **more)

    def chat(self, mock: dict[str, Any] | None = None, **body: Any) -> httpx2.Response:
        return self.post("chat/completions", {"messages": [{"role": "user", "content": "hi"}], "mock": mock, **body})

    def health(self) -> httpx2.Response:
        return self.client.get(self.url.removesuffix("/v1") + "/healthz")

    def workers(self) -> list[int]:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(child) for child in children]

    def stop(self) -> None:
        """SIGTERM; the log is closed."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)


@contextmanager
def gateway(folder: Path, policy: str, upstream: str, *options: str) -> Iterator[Gateway]:
    """`molehunt gateway serve` with these rules."""
    rules = folder / "policy"
    rules.mkdir(parents=True, exist_ok=True)
    (rules / "rules.cedar").write_text(policy)
    command = [
        sys.executable,
        "-m",
        "molehunt",
        "gateway",
        "serve",
        "--log",
        str(folder / "log"),
        "--policy",
        str(rules),
        *options,
    ]
    command += ["--upstream", upstream] if upstream else []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1", "TMPDIR": str(folder)}
    ) as process:
        assert process.stdout is not None
        found: Gateway | None = None
        try:
            line = process.stdout.readline()
            url = next(word.rstrip(";") for word in line.split() if word.startswith("http"))
            with httpx2.Client(timeout=60) as client:
                found = Gateway(url, folder / "log", rules, process, client)
                wait_for_health(found)
                yield found
        finally:
            if process.poll() is None:  # at once: closing a log takes its time, and nobody reads it any more
                workers = found.workers() if found else []
                process.kill()
                for worker in workers:
                    os.kill(worker, signal.SIGKILL)
            process.wait(60)


def wait_for_health(gateway: Gateway) -> None:
    end = time.monotonic() + 60
    while True:
        try:
            if gateway.health().status_code == 200:
                return
        except httpx2.HTTPError:
            pass
        assert time.monotonic() < end, "not healthy within a minute"
        time.sleep(0.02)
