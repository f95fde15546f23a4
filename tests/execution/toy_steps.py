"""Small steps, importable in worker processes; run as a program, makes a tower of them in a store."""

import contextlib
import gc
import itertools
import json
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from molehunt.errors import DataError, MolehuntError
from molehunt.execution import Graph, Needs, Progress, Step, Store, open_store, run_graph
from molehunt.execution.graph import Witness

HERE = "toy_steps"


def write(config: dict[str, Any], parents: dict[str, Path], out: Path) -> None:
    """The text and all parents' texts, in two files; leaves a line in the log."""
    if log := config["where"].get("log"):
        with open(log, "a") as stream:
            stream.write(f"{config['text']}\n")
    texts = [config["text"], *(f"{role}={(folder / 'text').read_text()}" for role, folder in sorted(parents.items()))]
    (out / "text").write_text(f"({' '.join(texts)})")
    time.sleep(config.get("sleep", 0) + float(config["where"].get("sleep", 0)))
    (out / "sub").mkdir()
    (out / "sub" / "size").write_text(str(len(texts)))


def see(step: Step) -> Witness:
    """Leaves a line beside the files."""

    def leave(parents: dict[str, Path], files: Path) -> None:
        names, of = sorted(path.name for path in files.iterdir()), sorted(parents)
        (files.parent / "said").write_text(
            f"{step.fingerprint} made {', '.join(names[::-1])} of {', '.join(of) or 'nothing'}"
        )

    return leave


def fail(config: dict[str, Any], parents: dict[str, Path], out: Path) -> None:
    (out / "half").write_text("half")
    raise KeyError("the reason")


def refuse(config: dict[str, Any], parents: dict[str, Path], out: Path) -> None:
    raise DataError("rows", wanted="some", got="none")


def die(config: dict[str, Any], parents: dict[str, Path], out: Path) -> None:
    os._exit(3)


def flaky(config: dict[str, Any], parents: dict[str, Path], out: Path) -> None:
    """Fails, or dies, until it has left so many marks."""
    marks = Path(config["where"]["marks"])
    marks.mkdir(exist_ok=True)
    count = len(list(marks.iterdir()))
    if count < config["times"]:
        (marks / str(count)).touch()
        if config.get("dies"):
            os._exit(3)
        raise KeyError("not yet")
    (out / "text").write_text("at last")


def fill(config: dict[str, Any], parents: dict[str, Path], out: Path) -> None:
    (out / "big").write_bytes(bytes(config["size"]))


def read_elsewhere(config: dict[str, Any], parents: dict[str, Path], out: Path) -> None:
    Path(config["where"]["source"]).read_bytes()


def tell(config: dict[str, Any], parents: dict[str, Path], out: Path) -> None:
    (out / "text").write_text(repr(sorted(config.items())))


def tell_environment(config: dict[str, Any], parents: dict[str, Path], out: Path) -> None:
    (out / "text").write_text(os.environ["MOLEHUNT_TOY"])


def linger(config: dict[str, Any], parents: dict[str, Path], out: Path) -> None:
    """Leaves the number of its process, and stays."""
    (Path(config["where"]["log"]) / f"worker {os.getpid()}").touch()
    time.sleep(600)


def has(module: str) -> bool:
    return module in sys.modules


def step(text: str, parents: dict[str, Step] | None = None, function: str = "write", **more: Any) -> Step:
    config = {"text": text, **more.pop("config", {})}
    return Step(f"{HERE}:{function}", 1, config, parents or {}, label=more.pop("label", text), **more)


def tower(height: int = 20, log: str = "", sleep: float = 0.0) -> list[Step]:
    """Steps that each stand on two earlier ones, so that two or three can always run side by side."""
    steps: list[Step] = []
    for i in range(height):
        parents = {name: steps[i - back] for name, back in (("near", 3), ("far", 4)) if i >= back}
        where = {"log": log} if log else {}
        steps.append(step(f"s{i}", parents, config={"sleep": 0.004}, where={**where, "sleep": str(sleep)}))
    return steps


def pair() -> list[Step]:
    """Two small steps, one on the other."""
    base = step("base", function="fill", config={"size": 9})
    return [base, step("top", {"base": base}, function="fill", config={"size": 9})]


def kill_before_each_file_operation(place: Path, steps: list[Step]) -> None:
    """Run the steps in copies of a store, each in a process that is killed one file operation later than the last."""
    for number in itertools.count(1):
        root = place.with_name(f"{number:03}")
        shutil.copytree(place, root)
        child = os.fork()
        if child == 0:
            sys.addaudithook(_killer(number, str(root)))
            run_graph(Graph(steps), Store(root), jobs=0)
            os._exit(0)
        if os.waitpid(child, 0)[1] == 0:
            break


def _killer(number: int, root: str) -> Callable[[str, tuple[Any, ...]], None]:
    seen = itertools.count(1)

    def hook(event: str, args: tuple[Any, ...]) -> None:
        changes = event in ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "tempfile.mkdtemp")
        if (changes or (event == "open" and root in str(args[0]))) and next(seen) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    return hook


def drive(place: str, on: str, sleep: float = 0.0, extra: Sequence[str] = ()) -> None:
    """Make a tower on an engine and print what came of it, and on which addresses this process' children listened."""
    found: set[str] = set()
    waited: dict[str, None] = {}
    steps = [*tower(sleep=sleep), *(step(name, function=name) for name in extra if name != "huge")]
    if "huge" in extra:
        steps.append(step("huge", needs=Needs(gpus=64)))

    def watch(progress: Progress) -> None:
        waited[progress.waits_for] = None
        if on == "ray" and progress.done:
            found.update(listening())

    started = time.monotonic()
    try:
        progress = run_graph(Graph(steps), open_store(place), 2, watch, go_on=True, retries=2, on=on)
    except MolehuntError as error:
        sys.exit(f"{time.monotonic() - started:.1f} s: {error}")
    failed = {
        step.label: str(progress.failed[step.fingerprint]) for step in steps if step.fingerprint in progress.failed
    }
    told = {"done": len(progress.done), "cached": len(progress.cached), "failed": failed, "waited for": list(waited)}
    print(json.dumps({**told, "listening": sorted(found), "left": len(descendants(os.getpid()))}))


def descendants(process: int) -> list[int]:
    found = []
    with contextlib.suppress(FileNotFoundError):
        for child in Path(f"/proc/{process}/task/{process}/children").read_text().split():
            found += [int(child), *descendants(int(child))]
    return found


def listening() -> set[str]:
    """Addresses on which this process and what it started listen for TCP."""
    sockets: set[str] = set()
    for process in (os.getpid(), *descendants(os.getpid())):
        for link in Path(f"/proc/{process}/fd").glob("*"):
            with contextlib.suppress(OSError):
                sockets.add(os.readlink(link))
    found = set()
    for table, width in (("/proc/net/tcp", 8), ("/proc/net/tcp6", 32)):
        for row in Path(table).read_text().splitlines()[1:]:
            words = row.split()
            if words[3] == "0A" and f"socket:[{words[9]}]" in sockets:
                last = bytes.fromhex(words[1][:width])[-4:][::-1]
                found.add(socket.inet_ntoa(last))
    return found


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["tower", root, log]:
            run_graph(Graph(tower(log=log)), Store(Path(root)), jobs=2)
        case ["drive", place, on, more]:
            drive(place, on, **json.loads(more))
        case ["kill", root]:
            kill_before_each_file_operation(Path(root), pair())


def collects(_: object, part: object) -> bool:
    """Whether this process looks for garbage."""
    return gc.isenabled()
