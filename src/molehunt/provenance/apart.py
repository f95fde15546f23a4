"""Do jobs in a process apart, with limits on time, memory and output: what loops or grows is cut off, the rest goes on.

The process writes no file, gets no input but its jobs, and each answer is JSON of a stated length. It is no sandbox for hostile
machine code: nothing that came with a model is executed in it but chat templates, inside Jinja's own sandbox.
"""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from molehunt.provenance.limits import Limits

_LONGEST_ANSWER = 64 << 20
"""Bytes."""
_START = 60.0
"""Seconds that a process may take to come up, however busy the machine is."""


@dataclass(frozen=True)
class Failed:
    """No answer came to a job."""

    why: str


def answers(jobs: Sequence[dict[str, Any]], limits: Limits) -> list[dict[str, Any] | Failed]:
    """The answer to each job, in order; a job that ends its process costs nobody else's answer.

    Args:
        jobs: plain JSON with the key `do`, a name in `worker.DOING`.
    """
    found: list[dict[str, Any] | Failed] = []
    while len(found) < len(jobs):
        found += _from_one_process(jobs[len(found) :], limits)
    return found


def _from_one_process(jobs: Sequence[dict[str, Any]], limits: Limits) -> Iterator[dict[str, Any] | Failed]:
    """Answers up to the first job that fails, its failure included."""
    process = _started(limits)
    try:
        if not _line(process, _START)[0]:
            yield Failed("the process that was to examine it did not start")
            return
        for job in jobs:
            if not _sent(process, job):
                yield Failed("the process that examined it died")
                return
            line, why = _line(process, limits.seconds)
            answer = _parsed(line) if line else Failed(why)
            yield answer
            if isinstance(answer, Failed):
                return
    finally:
        _end(process)


def _started(limits: Limits) -> "subprocess.Popen[bytes]":
    paths = os.pathsep.join(path for path in sys.path if path)
    bounds = [str(limits.memory_bytes), str(limits.output_chars)]
    return subprocess.Popen(
        [sys.executable, "-P", "-B", "-m", "molehunt.provenance.worker", *bounds],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd="/", start_new_session=True,
        env={"PYTHONPATH": paths, "PYTHONHASHSEED": "0", "PYTHONUTF8": "1", "OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip


def _sent(process: "subprocess.Popen[bytes]", job: dict[str, Any]) -> bool:
    assert process.stdin is not None
    try:
        process.stdin.write(json.dumps(job).encode("ascii") + b"\n")
        process.stdin.flush()
    except OSError:
        return False
    return True


def _line(process: "subprocess.Popen[bytes]", seconds: float) -> tuple[bytes, str]:
    """The next line without its end, or nothing and why."""
    assert process.stdout is not None
    descriptor, got, until = process.stdout.fileno(), bytearray(), time.monotonic() + seconds
    while not got.endswith(b"\n"):
        left = until - time.monotonic()
        if left <= 0 or not select.select([descriptor], [], [], left)[0]:
            return b"", f"took longer than {seconds:g} s and was cut off"
        piece = os.read(descriptor, 1 << 16)
        if not piece:
            return b"", "ended the process that examined it: out of memory, or a crash"
        got += piece
        if len(got) > _LONGEST_ANSWER:
            return b"", "gave an endless answer"
    return bytes(got[:-1]), ""


def _parsed(line: bytes) -> dict[str, Any] | Failed:
    try:
        answer = json.loads(line)
    except (ValueError, RecursionError):
        return Failed("gave an answer that is no JSON")
    if not isinstance(answer, dict) or "failed" in answer:
        return Failed(str(answer["failed"])[:300] if isinstance(answer, dict) else "gave an answer of the wrong kind")
    return answer


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    for pipe in (process.stdin, process.stdout):
        try:
            if pipe is not None:
                pipe.close()
        except OSError:  # what could not be sent any more
            pass
    process.wait()
