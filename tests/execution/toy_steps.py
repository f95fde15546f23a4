"""Small steps, importable in worker processes; run as a program, makes the tower in a store."""

import os
import sys
import time
from pathlib import Path
from typing import Any

from molehunt.errors import DataError
from molehunt.execution import Graph, Step, Store, run_graph

HERE = "toy_steps"


def write(config: dict[str, Any], parents: dict[str, Path], out: Path) -> None:
    """The text and all parents' texts, in two files; leaves a line in the log."""
    if log := config["where"].get("log"):
        with open(log, "a") as stream:
            stream.write(f"{config['text']}\n")
    texts = [config["text"], *(f"{role}={(folder / 'text').read_text()}" for role, folder in sorted(parents.items()))]
    (out / "text").write_text(f"({' '.join(texts)})")
    time.sleep(config.get("sleep", 0))
    (out / "sub").mkdir()
    (out / "sub" / "size").write_text(str(len(texts)))


def fail(config: dict[str, Any], parents: dict[str, Path], out: Path) -> None:
    (out / "half").write_text("half")
    raise KeyError("the reason")


def refuse(config: dict[str, Any], parents: dict[str, Path], out: Path) -> None:
    raise DataError("rows", wanted="some", got="none")


def die(config: dict[str, Any], parents: dict[str, Path], out: Path) -> None:
    os._exit(3)


def fill(config: dict[str, Any], parents: dict[str, Path], out: Path) -> None:
    (out / "big").write_bytes(bytes(config["size"]))


def read_elsewhere(config: dict[str, Any], parents: dict[str, Path], out: Path) -> None:
    Path(config["where"]["source"]).read_bytes()


def tell(config: dict[str, Any], parents: dict[str, Path], out: Path) -> None:
    (out / "text").write_text(repr(sorted(config.items())))


def step(text: str, parents: dict[str, Step] | None = None, function: str = "write", **more: Any) -> Step:
    config = {"text": text, **more.pop("config", {})}
    return Step(f"{HERE}:{function}", 1, config, parents or {}, label=more.pop("label", text), **more)


def tower(height: int = 20, log: str = "") -> list[Step]:
    """Steps that each stand on two earlier ones, so that two or three can always run side by side."""
    steps: list[Step] = []
    for i in range(height):
        parents = {name: steps[i - back] for name, back in (("near", 3), ("far", 4)) if i >= back}
        steps.append(step(f"s{i}", parents, config={"sleep": 0.004}, where={"log": log} if log else {}))
    return steps


if __name__ == "__main__":
    run_graph(Graph(tower(log=sys.argv[2])), Store(Path(sys.argv[1])), jobs=int(sys.argv[3]))
