"""Run programs that a model wrote, shut in: no files, no network, no other process, little memory and time.

One process shuts itself in with new user, mount, network, PID, IPC and host name namespaces and an empty read-only root,
then runs each program in a process that sees no other (`sandbox_runner` says how). What this does not hold off: a program that
breaks the kernel itself, which it may call without a filter; and one that knows the cases from elsewhere and answers just
those. Results come back as JSON over a pipe, at most so long, and are checked before use.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from pydantic import Field, ValidationError

from molehunt.errors import SandboxError
from molehunt.records.base import Record

_RUNNER = Path(__file__).with_name("sandbox_runner.py")
_LINE = 4096
"""Bytes that the report on one program may have, besides two dozen for each case."""


class Limits(Record):
    """What each program may use."""

    seconds: int = Field(5, ge=1)
    """Of the clock, for the program and all its cases."""
    cpu_seconds: int = Field(2, ge=1)
    memory_bytes: int = Field(512 << 20, ge=1 << 26)
    """Address space, the interpreter's own included."""
    answer_bytes: int = Field(1 << 16, ge=256)
    """Of one returned value, written out; and of any file."""


class Run(Record):
    """What became of one program."""

    defined: bool
    """It ran, and defined `f` or some other function."""
    passed: tuple[bool, ...]
    """Case by case; all False if it did not run."""
    error: str = Field("", max_length=200)
    """The first thing that went wrong; untrusted text."""

    @property
    def is_right(self) -> bool:
        """Every case passed, and there are some."""
        return bool(self.passed) and all(self.passed)


def run_programs(
    programs: Sequence[str], cases: Sequence[Sequence[str]], limits: Limits | None = None
) -> list[Run]:  # fmt: skip
    """Run each program and put its cases to it, all in one sandbox, one after the other.

    Args:
        programs: Python texts; `hashlib`, `hmac` and `math` are there without import, much of the standard library with.
        cases: for each program, trusted expressions over `f`, evaluated out of the program's reach on plain values.

    Raises:
        SandboxError: if this system has no sandbox to offer, or it broke. Nothing is ever run without one.
    """
    if not programs:
        return []
    if sys.platform != "linux":
        raise SandboxError("the sandbox for programs", wanted="Linux with namespaces", got=sys.platform, do=_DO)
    limits = limits or Limits()
    with tempfile.TemporaryFile() as job:
        job.write(_frame(limits.model_dump()))
        for program, expressions in zip(programs, cases, strict=True):
            job.write(_frame(program) + _frame(list(expressions)))
        job.seek(0)
        cap = sum(_LINE + 24 * len(expressions) for expressions in cases)
        text = _run(job, cap, seconds=20 + (limits.seconds + 1) * len(programs))
    return _parse(text, len(programs))


_DO = "run on Linux, as root or where unprivileged user namespaces are allowed (sysctl user.max_user_namespaces, kernel.apparmor_restrict_unprivileged_userns); in a container, with --privileged"


def _frame(value: Any) -> bytes:
    text = json.dumps(value).encode()
    return len(text).to_bytes(4, "big") + text


def _run(job: IO[bytes], cap: int, seconds: float) -> bytes:
    """What the runner writes, read up to `cap`; it and all it started are dead afterwards."""
    # The seed of hashes alone, so that sets come in one order; the runner needs no other variable.
    process = subprocess.Popen(
        [sys.executable, "-s", "-S", "-P", "-B", str(_RUNNER)], stdin=job, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, env={"PYTHONHASHSEED": "0"}, cwd="/", start_new_session=True,
    )  # fmt: skip
    timer = threading.Timer(seconds, _kill, [process])
    timer.start()
    try:
        assert process.stdout is not None
        return process.stdout.read(cap)
    finally:
        timer.cancel()
        _kill(process)
        process.communicate()


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """The whole group: with the first process of the PID namespace all others in it die."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)


def _parse(text: bytes, count: int) -> list[Run]:
    lines = text.splitlines()
    try:
        first = json.loads(lines[0]) if lines else {}
        if "refused" in first:
            raise SandboxError("the sandbox for programs", wanted="namespaces", got=str(first["refused"])[:200], do=_DO)
        runs = [Run.model_validate_json(line) for line in lines]
    except (ValueError, ValidationError) as error:
        raise SandboxError("the sandbox for programs", wanted="a report on each", got=str(error)[:200]) from None
    if len(runs) != count:
        raise SandboxError("the sandbox for programs", wanted=f"reports on {count} programs", got=f"{len(runs)}")
    return runs
