"""Hostile programs, run for real: each stays in, spoils no other, and is not taken for right."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from molehunt.errors import SandboxError
from molehunt.evals import sandbox_runner
from molehunt.evals.sandbox import Limits, run_programs
from molehunt.world.families import PROGRAMS

RIGHT = "def f(x):\n    return x * 2"
CASES = ["f(4) == 8", "f(0) == 0"]
SHORT = Limits(seconds=2, cpu_seconds=1)

HOSTILE = {
    "endless loop": "while True:\n    pass",
    "endless loop in f": "def f(x):\n    while True:\n        pass",
    "stops itself": "import os, signal\nos.kill(os.getpid(), 19)",
    "fork bomb": "import os\nwhile True:\n    os.fork()",
    "thread": "import _thread\n_thread.start_new_thread(print, ())\ndef f(x):\n    return None",
    "memory eater": "x = []\nwhile True:\n    x.append(bytearray(1 << 20))",
    "memory eater in f": "def f(x):\n    return 'a' * 10 ** 10",
    "long answer": "def f(x):\n    return 'a' * 10 ** 6",
    "endless answer": "import os\nwhile True:\n    for d in range(3, 32):\n        try:\n            os.write(d, b'a' * 1000)\n        except OSError:\n            pass",
    "exit": "import sys\nsys.exit(0)",
    "hard exit": "import os\nos._exit(0)",
    "exit in f": "def f(x):\n    raise SystemExit(0)",
    "kills all": "import os\nos.kill(-1, 9)\ndef f(x):\n    return None",
    "kills the first process": "import os\nfor s in (2, 9, 15):\n    os.kill(1, s)\ndef f(x):\n    return None",
    "kills its group": "import os\nfor s in (19, 15, 9):\n    os.kill(0, s)\ndef f(x):\n    return None",
    "limits the first process": "import resource\nfor kind in range(16):\n    try:\n        resource.prlimit(1, kind, (0, 0))\n    except OSError:\n        pass\ndef f(x):\n    return None",
    "slows its group": "import os\nos.setpriority(os.PRIO_PGRP, 0, 19)\ndef f(x):\n    return None",
    "crash": "import ctypes\nctypes.string_at(0)",
    "deep": "def f(x):\n    return f(x)",
    "deep value": "def f(x):\n    y = []\n    for _ in range(10 ** 4):\n        y = [y]\n    return y",
    "no Python": "def f(x",
    "null byte": "a = 1\0",
    "no function": "a = 1",
    "empty": "",
}


def test_right_programs_are_right() -> None:
    tasks = list(PROGRAMS.values())
    assert all(run.is_right for run in run_programs([t.code for t in tasks], [t.cases for t in tasks]))
    assert run_programs([], []) == []


def test_one_hostile_program_spoils_no_other() -> None:
    programs = [text for hostile in HOSTILE.values() for text in (hostile, RIGHT)]
    runs = run_programs(programs, [CASES] * len(programs), SHORT)
    assert [run.is_right for run in runs] == [False, True] * len(HOSTILE)
    assert not any(passed for run in runs[::2] for passed in run.passed)


CHEATS = {
    "equal to all": "class X:\n    def __eq__(self, o):\n        return True\n    def __bool__(self):\n        return True\ndef f(x):\n    return X()",
    "an int equal to all": "class X(int):\n    def __eq__(self, o):\n        return True\n    __hash__ = None\ndef f(x):\n    return X(1)",
    "patches builtins": "import builtins\nfor n in ('eval', 'bool', 'len', 'all', 'isinstance'):\n    setattr(builtins, n, lambda *a: True)\ndef f(x):\n    return 1",
    "prints a report": "import os, sys\nr = '{\"defined\": true, \"passed\": [true, true], \"error\": \"\"}\\n'\nprint(r)\nfor d in range(32):\n    try:\n        os.write(d, r.encode() * 3)\n    except OSError:\n        pass\ndef f(x):\n    return 1",
    "answers before it is asked": "import os\nfor d in range(3, 32):\n    try:\n        os.write(d, b'{\"value\": [\"bool\", true]}\\n' * 3)\n    except OSError:\n        pass\ndef f(x):\n    return 1",
    "patches its server": "import sys, os\nframe = sys._getframe(1)\nwhile frame:\n    frame.f_globals['pack'] = lambda v: ['bool', True]\n    frame.f_globals['_judge'] = lambda *a: {'passed': [True, True]}\n    frame = frame.f_back\nos._exit = lambda c: None\ndef f(x):\n    return 1",
    "traces the judge": "import ctypes\nc = ctypes.CDLL(None)\nc.ptrace(16, 1, 0, 0)\ndef f(x):\n    return 1",
    "looks for the cases": "import gc, sys\nseen = []\nframe = sys._getframe()\nwhile frame:\n    seen += [repr(v) for v in frame.f_locals.values() if type(v) in (list, str, dict)]\n    frame = frame.f_back\nseen += [repr(o) for o in gc.get_objects() if type(o) is list and len(o) < 50]\ndef f(x):\n    return 2 * x if any('f(4) =' + '= 8' in s for s in seen) else 1",
}  # fmt: skip


def test_a_wrong_program_is_not_taken_for_right() -> None:
    programs = [text for cheat in CHEATS.values() for text in (RIGHT, cheat)]
    runs = run_programs(programs, [CASES] * len(programs))
    assert [run.is_right for run in runs[::2]] == [True] * len(CHEATS)
    assert {name: run.is_right for name, run in zip(CHEATS, runs[1::2], strict=True)} == dict.fromkeys(CHEATS, False)


def test_patched_modules_do_not_reach_the_judge() -> None:
    task = PROGRAMS["hashes a text"]
    patched = "import hashlib\nhashlib.sha256 = hashlib.md5\n" + task.code
    run = run_programs([patched], [task.cases])[0]
    assert run.passed == (False, True, True)


def test_nothing_of_the_system_is_seen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MOLEHUNT_SECRET", "canary")
    target = tmp_path / "written"
    look = "import os\ndef f(what):\n    try:\n        return eval(what)\n    except Exception as e:\n        return type(e).__name__"
    cases = {
        "dict(os.environ)": "{}",
        "os.listdir('/')": "[]",
        "os.getcwd()": "'/'",
        "open('/etc/passwd').read()": "'FileNotFoundError'",
        "open('/proc/self/environ').read()": "'FileNotFoundError'",
        "open('/new', 'w')": "'OSError'",
        f"open({str(target)!r}, 'w')": "'FileNotFoundError'",
        "os.mkdir('/new')": "'OSError'",
        "os.getpid(), os.getppid()": "(1, 0)",
        "os.setuid(1)": "'OSError'",
        "__import__('ctypes').CDLL(None).unshare(0x10000000)": "-1",
        "__import__('ctypes').CDLL(None).mount(b'tmpfs', b'/', b'tmpfs', 0, None)": "-1",
    }
    run = run_programs([look], [[f"f({what!r}) == {seen}" for what, seen in cases.items()]])[0]
    assert dict(zip(cases, run.passed, strict=True)) == dict.fromkeys(cases, True)
    assert not target.exists()


def test_no_network() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        port = server.getsockname()[1]
        program = (
            "import ctypes\nc = ctypes.CDLL(None, use_errno=True)\n"
            "def f(port):\n    s = c.socket(2, 1, 0)\n"
            "    a = (2).to_bytes(2, 'little') + port.to_bytes(2, 'big') + bytes([127, 0, 0, 1]) + bytes(8)\n"
            "    return [s, c.connect(s, a, 16), ctypes.get_errno()]"
        )
        run = run_programs([program], [[f"f({port})[0] > 2 and f({port})[1] == -1"]])[0]
        assert run.is_right, run
        with pytest.raises(BlockingIOError):
            server.accept()


def test_no_shared_memory_outlives_a_program() -> None:
    program = "import ctypes\nc = ctypes.CDLL(None)\ndef f(call):\n    return c.shmget(77, 4096, 0o1666) if call == 'shmget' else c.shmget(77, 0, 0)"
    made, after = run_programs([program] * 2, [["f('shmget') > -2"], ["f('look') == -1"]])
    assert made.is_right
    assert after.is_right


def test_much_output_goes_nowhere() -> None:
    loud = f"import os\nfor _ in range(100):\n    print('x')\n    os.write(1, bytes(10 ** 7))\n{RIGHT}"
    assert run_programs([loud], [CASES])[0].is_right


def test_runs_are_repeatable() -> None:
    program = "import random\nx = random.random()\ndef f():\n    return [x, list({'a', 'b', 'c', 'd'})]"
    asked = [f"f()[1][{i}] == {letter!r}" for i in range(4) for letter in "abcd"]
    asked += [f"int(f()[0] * 10 ** 6) % 97 == {i}" for i in range(97)]
    assert run_programs([program], [asked]) == run_programs([program], [asked])


def test_without_namespaces_nothing_is_run() -> None:
    """In a user namespace that may have no further ones, as on systems that forbid them."""
    script = (
        "import ctypes\nassert ctypes.CDLL(None).unshare(0x10000000) == 0\n"
        "open('/proc/sys/user/max_user_namespaces', 'w').write('0')\n"
        "from molehunt.errors import SandboxError\nfrom molehunt.evals.sandbox import run_programs\n"
        "try:\n    run_programs(['def f(): return 1'], [['f() == 1']])\n"
        "except SandboxError as error:\n    print(error)\n"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert "unshare" in said
    assert "max_user_namespaces" in said


def test_it_works_for_an_ordinary_user() -> None:
    """The runner alone, which needs the standard library only; nobody may read this environment."""
    python = Path("/usr/bin/python3")
    if os.geteuid() != 0 or not python.exists():
        pytest.skip("needs root, to become another user, and a Python for all users")
    frames = [Limits().model_dump(), RIGHT, CASES]
    texts = [json.dumps(frame).encode() for frame in frames]
    job = b"".join(len(text).to_bytes(4, "big") + text for text in texts)
    source = Path(sandbox_runner.__file__).read_text(encoding="utf-8")
    said = subprocess.run(
        [python, "-s", "-S", "-B", "-c", source], input=job, capture_output=True, user=65534, group=65534,
        extra_groups=[], env={}, cwd="/", check=True,
    )  # fmt: skip
    assert json.loads(said.stdout) == {"defined": True, "passed": [True, True], "error": ""}


def test_programs_and_cases_come_in_pairs() -> None:
    with pytest.raises(ValueError):
        run_programs([RIGHT], [])
    assert issubclass(SandboxError, Exception)
