"""Inside the sandbox: shuts itself in, runs each program in a process of its own, and judges what that one answers.

Started by `evals.sandbox` as a script with nothing but the standard library, in three stages: this process leaves the
system's namespaces and file system; its child is the first process of the new PID namespace, the judge; the judge forks
one process for each program, in a PID namespace and session of its own: what it cannot name it can neither signal nor limit.
A program never shares memory with the judge: it is asked for values of its function and can answer with plain values only,
and is forked before its cases are read. So it can patch what it likes, and is right only if it answers right.
"""

import contextlib
import ctypes
import importlib
import json
import os
import random
import resource
import select
import signal
import struct
import sys
import time
import types
from collections.abc import Callable
from typing import Any

TOOLS = ("hashlib", "hmac", "math")
"""Modules that programs and cases find without importing them."""
PRELOADED = (
    "base64", "bisect", "collections", "copy", "dataclasses", "datetime", "decimal", "enum", "fractions", "functools",
    "heapq", "itertools", "operator", "re", "secrets", "statistics", "string", "struct", "textwrap", "traceback", "typing",
    "unicodedata",
)  # fmt: skip
"""What programs may import besides: once shut in there is no file to import from."""

_NOBODY = 65534
_NEW_IPC, _NEW_PID = 0x08000000, 0x20000000
_NEW_NAMESPACES = 0x00020000 | 0x04000000 | _NEW_IPC | 0x10000000 | _NEW_PID | 0x40000000
"""CLONE_NEWNS, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET of linux/sched.h."""
_READ_ONLY, _NOSUID, _NODEV, _NOEXEC, _RECURSIVE, _PRIVATE = 1, 2, 4, 8, 1 << 14, 1 << 18
_DETACH = 2
_SET_PDEATHSIG, _SET_NO_NEW_PRIVS = 1, 38
_CAPABILITIES_V3 = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)


class Failed(Exception):
    """The program did not answer as it should."""


def main() -> None:
    """Read the job from standard input, write one line of JSON for each program to standard output."""
    null = os.open(os.devnull, os.O_RDWR)
    tools = {name: importlib.import_module(name) for name in (*TOOLS, *PRELOADED)}
    tools["hashlib"].sha256(b"").hexdigest()  # loads what OpenSSL reads from files
    os.environ.clear()
    try:
        apart = shut_in()
        judge = os.fork()
    except OSError as error:
        _say({"refused": f"{error.filename or 'fork'}: {error.strerror}"})
        return
    if judge:
        os.waitpid(judge, 0)
        return
    _call("prctl", _SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # the kernel then shields the first process of the namespace from it
    try:
        serve({name: tools[name] for name in TOOLS}, null, apart)
    except OSError as error:
        _say({"refused": f"{error.filename or 'a program'}: {error.strerror}"})
    os._exit(0)


def shut_in() -> int:
    """Leave all namespaces, and every file behind: what stays is one empty folder that cannot be written to.

    Returns:
        The namespaces that each program must have for itself besides.

    Raises:
        OSError: if the system does not allow it; `filename` says what.
    """
    _unshare_as_nobody()
    _call("prctl", _SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    # A program that could open a user namespace of its own would have all rights in there, such as to fill a tmpfs.
    _forbid("user/max_user_namespaces")
    # Segments and queues count in no process and outlive it; where they cannot be forbidden, they end with each program.
    alone = _NEW_PID if _forbid("kernel/shmmni") and _forbid("kernel/msgmni") else _NEW_PID | _NEW_IPC
    _call("mount", b"none", b"/", None, _RECURSIVE | _PRIVATE, None)
    # /proc is the one folder known to be there: the user ids were just mapped through it.
    _call("mount", b"tmpfs", b"/proc", b"tmpfs", _READ_ONLY | _NOSUID | _NODEV | _NOEXEC, b"size=4k,mode=555")
    os.chdir("/proc")
    _call("pivot_root", b".", b".")  # pivot_root(2): the old root then lies on top of the new one, and is taken off
    _call("umount2", b".", _DETACH)
    os.chdir("/")
    return alone


def _unshare_as_nobody() -> None:
    """New namespaces, in which user 0 is the caller outside, or nobody if the caller is root."""
    is_root = os.geteuid() == 0
    user, group = (_NOBODY, _NOBODY) if is_root else (os.geteuid(), os.getegid())
    if is_root:
        os.setgroups([])
    unshared, tell = os.pipe()
    owner, mapper = os.getpid(), os.fork()
    if mapper == 0:  # stays outside, where root may map any user and others themselves
        os.close(tell)
        os._exit(_map_user(owner, user, group) if os.read(unshared, 1) else 0)
    os.close(unshared)
    _call("unshare", _NEW_NAMESPACES)
    os.write(tell, b".")
    code = os.waitstatus_to_exitcode(os.waitpid(mapper, 0)[1])
    if code:
        raise OSError(code, os.strerror(code), "mapping the user")
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)


def _map_user(process: int, user: int, group: int) -> int:
    """0, or the number of what went wrong (user_namespaces(7))."""
    try:
        for name, text in (("uid_map", f"0 {user} 1"), ("setgroups", "deny"), ("gid_map", f"0 {group} 1")):
            with open(f"/proc/{process}/{name}", "w") as stream:
                stream.write(text)
    except OSError as error:
        return error.errno or 1
    return 0


def _forbid(resource: str) -> bool:
    """Allow none of it in these namespaces; False where the kernel has that fixed, or /proc/sys is read-only."""
    try:
        with open(f"/proc/sys/{resource}", "w") as stream:
            stream.write("0")
    except OSError:
        return False
    return True


def serve(tools: dict[str, types.ModuleType], null: int, apart: int) -> None:
    """The judge: frames of limits, then of program and cases in turn, until there are no more."""
    assert os.getpid() == 1, "it ends all processes that it can see"
    limits = _read_frame()
    while limits is not None and (code := _read_frame()) is not None:
        _serve_one(code, limits, tools, null, apart)


def _serve_one(code: str, limits: dict[str, int], tools: dict[str, types.ModuleType], null: int, apart: int) -> None:
    """In a function of its own, so that no cases are left in a frame that the next program is forked under."""
    program = Running(code, limits, tools, null, apart)
    try:
        report = _judge(program, _read_frame(), tools)
    finally:
        program.kill()
    _say(report)


def _judge(program: "Running", cases: list[str], tools: dict[str, types.ModuleType]) -> dict[str, Any]:
    try:
        defined = program.receive().get("defined") is True
    except Failed as failure:
        return {"defined": False, "passed": [False] * len(cases), "error": str(failure)}
    passed = []
    for case in cases:
        try:
            passed.append(bool(eval(case, {**tools, "f": program})))
        except Exception as error:
            program.error = program.error or type(error).__name__
            passed.append(False)
    return {"defined": defined, "passed": passed, "error": program.error}


class Running:
    """A program in a process of its own; called like the function it defines."""

    def __init__(
        self, code: str, limits: dict[str, int], tools: dict[str, types.ModuleType], null: int, apart: int
    ) -> None:
        self.limits, self.error, self._rest = limits, "", b""
        requests, self._ask = os.pipe()
        self._answers, answers = os.pipe()
        self._deadline = time.monotonic() + limits["seconds"]
        self._keeper = os.fork()
        if self._keeper == 0:
            _fork_apart(apart, (requests, answers))
            _confine(limits, {requests, answers}, null)
            _answer_calls(code, requests, answers, tools)
        os.close(requests)
        os.close(answers)

    def __call__(self, *arguments: Any) -> Any:
        line = json.dumps(pack(arguments)).encode() + b"\n"
        try:
            os.write(self._ask, line)
        except OSError:
            raise Failed("the program ended") from None
        answer = self.receive()
        return unpack(answer["value"])

    def receive(self) -> dict[str, Any]:
        """The next answer; raises Failed if there is none, or another than was asked for."""
        try:
            answer = json.loads(self._line())
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            self.error = self.error or "an answer in no known form"
        elif "error" in answer:
            self.error = self.error or str(answer["error"])[:80]
        else:
            return answer
        raise Failed(self.error)

    def _line(self) -> bytes:
        while b"\n" not in self._rest:
            left = self._deadline - time.monotonic()
            if left <= 0 or not select.select([self._answers], [], [], left)[0]:
                self._fail("time limit")
            part = os.read(self._answers, 1 << 16)
            self._rest += part
            if not part or len(self._rest) > self.limits["answer_bytes"]:
                self._fail("the program ended" if not part else "an answer too long")
        line, _, self._rest = self._rest.partition(b"\n")
        return line

    def _fail(self, why: str) -> None:
        self.error = self.error or why
        raise Failed(self.error)

    def kill(self) -> None:
        """End it and its keeper: all that the judge can see.

        Raises:
            OSError: if it never ran, because it could not be set apart.
        """
        os.kill(-1, signal.SIGKILL)
        status = os.waitpid(self._keeper, 0)[1]
        with contextlib.suppress(ChildProcessError):
            while True:  # a program that its keeper has left is the judge's to bury
                os.waitpid(-1, 0)
        os.close(self._ask)
        os.close(self._answers)
        code = os.waitstatus_to_exitcode(status)
        if code > 0:
            raise OSError(code, os.strerror(code), "unshare")


def _fork_apart(apart: int, pipes: tuple[int, int]) -> None:
    """Go on as the first process of new namespaces and in a session of its own; the one left behind, the keeper, waits."""
    try:
        _call("unshare", apart)
        program = os.fork()
    except OSError as error:
        os._exit(error.errno or 1)
    if program:
        for pipe in pipes:
            os.close(pipe)
        os.waitpid(program, 0)
        os._exit(0)
    os.setsid()  # a signal to its group would reach the judge's, across namespaces


def _confine(limits: dict[str, int], keep: set[int], null: int) -> None:
    """In the program's process: two pipes and nothing else, no rights, no other process or thread."""
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    for descriptor in range(3, 256):
        if descriptor not in keep:
            try:
                os.close(descriptor)
            except OSError:
                continue
    for kind, most in (
        (resource.RLIMIT_CPU, limits["cpu_seconds"]), (resource.RLIMIT_AS, limits["memory_bytes"]),
        (resource.RLIMIT_FSIZE, limits["answer_bytes"]), (resource.RLIMIT_NPROC, 0), (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 32), (resource.RLIMIT_MEMLOCK, 0), (resource.RLIMIT_MSGQUEUE, 0),
    ):  # fmt: skip
        resource.setrlimit(kind, (most, most))
    _call("prctl", _SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    # The judge keeps its capabilities, so that a program without any may not trace it (ptrace(2)).
    _call("capset", struct.pack("=Ii", _CAPABILITIES_V3, 0), bytes(24))


def _answer_calls(code: str, requests: int, answers: int, tools: dict[str, types.ModuleType]) -> None:
    """In the program's process: run it, then call its function as often as asked. Does not return."""
    leave = os._exit
    try:
        function = _load(code, answers, tools)
        with os.fdopen(requests, encoding="utf-8") as lines:
            for line in lines:
                _write_line(answers, _call_it(function, line))
    finally:
        leave(0)


def _load(code: str, answers: int, tools: dict[str, types.ModuleType]) -> Callable[..., Any] | None:
    """What the program calls `f`, or else the last function that it defines."""
    names: dict[str, Any] = {"__name__": "program", **tools}
    sys.modules["program"] = types.ModuleType("program")
    random.seed(0)
    try:
        exec(compile(code, "<program>", "exec", dont_inherit=True), names)
    except BaseException as error:
        _write_line(answers, {"error": type(error).__name__})
        raise
    own = [value for value in names.values() if isinstance(value, types.FunctionType)]
    function = names.get("f") or (own[-1] if own else None)
    _write_line(answers, {"defined": callable(function)})
    return function


def _call_it(function: Callable[..., Any] | None, line: str) -> dict[str, Any]:
    try:
        assert function is not None, "it defines no function"
        return {"value": pack(function(*unpack(json.loads(line))))}
    except BaseException as error:
        return {"error": type(error).__name__}


def pack(value: Any) -> list[Any]:
    """A plain value with its type's name, as JSON can hold it; TypeError for anything else."""
    for kind in (bool, int, float, str, type(None)):
        if isinstance(value, kind):
            return [kind.__name__, value]
    if isinstance(value, bytes | bytearray):
        return ["bytes", value.hex()]
    if isinstance(value, dict):
        return ["dict", [[pack(k), pack(v)] for k, v in value.items()]]
    for many in (list, tuple, set, frozenset):
        if isinstance(value, many):
            return [many.__name__, [pack(item) for item in value]]
    raise TypeError(type(value).__name__)


_MAKERS: dict[str, Callable[[Any], Any]] = {
    "bool": bool,
    "int": int,
    "float": float,
    "str": str,
    "NoneType": lambda value: None,
    "bytes": bytes.fromhex,
    "dict": lambda pairs: {unpack(k): unpack(v) for k, v in pairs},
    "list": lambda items: [unpack(item) for item in items],
    "tuple": lambda items: tuple(unpack(item) for item in items),
    "set": lambda items: {unpack(item) for item in items},
    "frozenset": lambda items: frozenset(unpack(item) for item in items),
}


def unpack(packed: Any) -> Any:
    """The value that `pack` made `packed` of; an exception if it made no such thing."""
    name, value = packed
    return _MAKERS[name](value)


def _read_frame() -> Any:
    """The next JSON value from standard input, None at its end: four bytes of length, then the text, and not a byte more,
    so that a program forked before holds nothing of what follows."""
    size = os.read(0, 4)
    if len(size) < 4:
        return None
    text = b""
    while part := os.read(0, int.from_bytes(size, "big") - len(text)):
        text += part
    return json.loads(text)


def _say(record: dict[str, Any]) -> None:
    _write_line(1, record)


def _write_line(descriptor: int, record: dict[str, Any]) -> None:
    line = json.dumps(record).encode() + b"\n"
    while line:
        line = line[os.write(descriptor, line) :]


def _call(name: str, *arguments: Any) -> None:
    """A function of the C library; OSError if it fails."""
    if getattr(_libc, name)(*arguments) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), name)


if __name__ == "__main__":
    main()
