"""What the scheduler costs; prints rows for docs/benchmarks.md.

python benchmarks/scheduling.py [--steps 200] [--on local ray]
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = str(Path(__file__).parent)
os.environ["PYTHONPATH"] = os.pathsep.join([HERE, *filter(None, sys.path)])  # workers import `rest` from here

from molehunt.execution import Graph, Step, Store, run_graph
from molehunt.execution.runner import Progress
from molehunt.experiments.studies.planning import plan_study
from molehunt.records.claims import Claim
from molehunt.records.studies import Factor, Level, Probes, Study

SECONDS, JOBS = 1.0, 2


def rest(config: dict[str, Any], parents: dict[str, Path], out: Path) -> None:
    """A step that takes a second and no processor."""
    time.sleep(SECONDS)
    (out / "text").write_text(str(config["number"]))


def steps(count: int) -> list[Step]:
    """Half of them stand on the step before."""
    made: list[Step] = []
    for number in range(count):
        parents = {"of": made[-1]} if number % 2 else {}
        made.append(Step("scheduling:rest", 1, {"number": number}, parents))
    return made


def scheduling(on: str, count: int) -> None:
    """Wall time against the steps' own seconds; that of Ray also without starting and stopping the cluster."""
    ends: list[float] = []

    def watch(progress: Progress) -> None:
        while len(ends) < len(progress.done):
            ends.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as scratch:
        started = time.perf_counter()
        run_graph(Graph(steps(count)), Store(Path(scratch)), JOBS, watch, on=on)
        wall = time.perf_counter() - started
    ideal = count / JOBS * SECONDS
    between, due = ends[-1] - ends[JOBS - 1], ideal - SECONDS  # once every worker has made its first step
    what = f"{count} steps of one second on {JOBS} jobs, `--on {on}`"
    print(f"| {what}, from first result to last | {between:.1f} s | {due:.0f} s | {between / due:.3f} | at most 1.02 |")
    print(f"| the same, with start and stop | {wall:.1f} s | {ideal:.0f} s | {wall / ideal:.3f} | |", flush=True)


def planning(wanted: int) -> None:
    """A study of at least so many steps, laid out and compared with an empty store."""
    rates = tuple(Level(name=f"r{i}", sets={"removal.training.learning_rate": (i + 1) * 1e-5}) for i in range(25))
    rows = tuple(Level(name=f"n{i}", sets={"removal.rows": 100 + i}) for i in range(10))
    factors = (
        Factor(name="rate", moves=("removal.training.learning_rate",), levels=rates),
        Factor(name="rows", moves=("removal.rows",), levels=rows),
    )
    claim = Claim(
        id="rate", says="a higher rate removes more", source="a benchmark", factor="rate", level="r24", against="r0",
        direction="less", smallest=0.1, outcome="asr",
    )  # fmt: skip
    seeds = tuple(range(-(-wanted // (250 * 4))))
    study = Study(
        name="large", question="?", prediction="!", factors=factors, seeds=seeds, outcomes=("asr",), claims=(claim,),
        setup={"base.model": "tiny"}, probes=Probes(),
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as scratch:
        started, worked = time.perf_counter(), time.process_time()
        plan = plan_study(study, Store(Path(scratch)))
        seconds, own = time.perf_counter() - started, time.process_time() - worked
    print(
        f"| planning {plan.steps:,} steps, {own:.1f} s of a core | {seconds:.1f} s | 5 s | {seconds / 5:.2f} | at most 5 s |",
        flush=True,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--on", nargs="*", default=["local", "ray"])
    asked = parser.parse_args()
    print("| what | ours | against | ratio | asked |\n|---|---|---|---|---|")
    planning(10_000)
    for engine in asked.on:
        scheduling(engine, asked.steps)
