"""A study against one script an arm, and a finished study reported again; prints rows for docs/benchmarks.md.

python benchmarks/whole_studies.py arms      # 24 arms of studies/messy on one seed; hours on `tiny`
python benchmarks/whole_studies.py report    # 16 arms, 5 seeds, whose artifacts are copies of one cell's; minutes
python benchmarks/whole_studies.py report --times 52    # with 52 times as many questions: 10 million outcomes

A script is a process of its own with a store of its own: it plants organism and twin, treats both and measures, and what
another script made does not help it. Both sides take the same steps with the same settings.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from shutil import copytree

from pyarrow.parquet import ParquetFile

from molehunt.execution import Graph, Step, Store, run_graph
from molehunt.experiments.recipes import base_step
from molehunt.experiments.studies.cells import Cells
from molehunt.experiments.studies.design import load_study
from molehunt.experiments.studies.running import run_study
from molehunt.records.studies import Probes, Study

MESSY = Path(__file__).parents[1] / "studies" / "messy" / "study.py"
RATES = (3e-4, 1e-3, 3e-3)
QUICK = {"organism.training.steps": 20, "removal.training.steps": 8, "organism.rows": 200, "removal.rows": 100,
         "measure.prompts": 16}  # fmt: skip


def the_study(base: str, asked: argparse.Namespace) -> Study:
    study = load_study(MESSY, {"base": base, "seeds": 1, "rates": RATES})
    changed = {"setup": {**study.setup, **(QUICK if asked.quick else {})}}
    if asked.no_reversal:
        changed |= {"probes": Probes(), "outcomes": ("survival", "asr", "log_odds"), "claims": ()}
    return study.model_copy(update=changed)


def arms(asked: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        started = time.perf_counter()
        base = asked.base if asked.own_base else built(asked.base, Store(Path(scratch) / "base"))
        first = time.perf_counter() - started
        study = the_study(base, asked)
        started = time.perf_counter()
        run = run_study(study, Store(Path(scratch) / "study"), jobs=2)
        ours = time.perf_counter() - started
        assert not run.progress.failed, run.progress.failed
        count = run.plan.steps and len(run.plan.arms)
        chosen = range(0, count, max(1, count // asked.scripts)) if asked.scripts else range(count)
        started = time.perf_counter()
        with ThreadPoolExecutor(asked.at_once) as pool:
            list(pool.map(lambda arm: subprocess.run(script(base, arm), check=True), chosen))
        theirs = (time.perf_counter() - started) * count / len(chosen)
    told = f", measured on {len(chosen)} and scaled" if asked.scripts else ""
    kind = "its base, organism and twin" if asked.own_base else "organism and twin on a base that is there"
    print(
        f"| {count} arms on `{asked.base}`, one study of {run.plan.steps} steps | {ours:.0f} s | {count} scripts, {asked.at_once} at a time, "
        f"each makes {kind}{told}: {theirs:.0f} s | {theirs / ours:.2f} | at least 5 |"
    )
    if (
        not asked.own_base and not Path(asked.base).is_dir()
    ):  # a base is built on both cores, so nothing else runs beside it
        ours, theirs = ours + first, theirs + count * first
        print(
            f"| the same with the base ({first:.0f} s on both cores) added, once and {count} times, by arithmetic | {ours:.0f} s "
            f"| {theirs:.0f} s | {theirs / ours:.2f} | at least 5 |"
        )


def script(base: str, arm: int) -> list[str]:
    kept = [word for word in sys.argv[2:] if word in ("--quick", "--no-reversal", "--own-base")]
    return [sys.executable, __file__, "arm", "--base", base, "--number", str(arm), *kept]


def one_arm(asked: argparse.Namespace) -> None:
    """What a script does."""
    with tempfile.TemporaryDirectory() as scratch:
        store = Store(Path(scratch))
        run_graph(Graph(Cells(the_study(asked.base, asked), store).cells[asked.number].steps()), store, jobs=0)


def built(base: str, store: Store) -> str:
    """The folder of a base."""
    if Path(base).is_dir():
        return base
    step = base_step(base, store)
    run_graph(Graph([step]), store, jobs=0)
    return str(store.folder(step.fingerprint) / "model")


def report(asked: argparse.Namespace) -> None:
    """Each step's artifact is a copy of a like step's of the first cell, which is made with few trainings and all prompts."""
    with tempfile.TemporaryDirectory() as scratch:
        store, place = Store(Path(scratch) / "store"), Path(scratch)
        base = built(asked.base, Store(place / "base"))
        file = place / "study.py"
        quick = {name: value for name, value in QUICK.items() if asked.quick or name != "measure.prompts"}
        file.write_text(
            f"from pathlib import Path\nfrom molehunt.experiments.studies.design import load_study\ndef study():\n"
            f"    found = load_study(Path({str(MESSY)!r}), {{'base': {base!r}}})\n"
            f"    return found.model_copy(update={{'setup': {{**found.setup, **{quick!r}}}}})\n"
        )
        cells, made = Cells(load_study(file), store), Store(place / "made")
        run_graph(Graph(cells.cells[0].steps()), made, jobs=2)
        copied(cells, made, store, asked.times)
        words = [
            sys.executable,
            "-m",
            "molehunt",
            "study",
            "report",
            file,
            "--store",
            store.root,
            "--out",
            place / "out",
        ]
        for what in ("reported for the first time", "reported again"):
            started, before = time.perf_counter(), of_a_core()
            subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
            seconds, own = time.perf_counter() - started, of_a_core() - before
            rows = ParquetFile(place / "out" / "results.parquet").metadata.num_rows
            peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
            arms = (
                f"{len(cells.arms)} arms, {len(cells.study.seeds)} seeds, {len(cells.graph())} steps, all in the store"
            )
            print(
                f"| {arms}, {rows:,} outcomes, {what}, {own:.1f} s of a core, at most {peak:.1f} GiB | {seconds:.1f} s "
                f"| 10 s | {seconds / 10:.2f} | {'at most 60 s' if asked.times > 1 else 'at most 10 s'} |",
                flush=True,
            )


def of_a_core() -> float:
    """Seconds that processes which ended have computed for this one."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def copied(cells: Cells, made: Store, store: Store, times: int) -> None:
    first, known = cells.cells[0], {}
    for cell in cells.cells:
        for mine, like in zip(all_steps(cell), all_steps(first), strict=True):
            known[mine.fingerprint] = (mine, like)
    for mine, like in known.values():
        with store.writing(mine) as out:
            copytree(made.folder(like.fingerprint), out, dirs_exist_ok=True)
            for path in out.glob("*.jsonl") if times > 1 and (out / "likelihoods.jsonl").exists() else ():
                path.write_text(many(path.read_text(), times))


@cache
def many(lines: str, times: int) -> str:
    """Each line so many times, of other questions."""
    rows = [json.loads(line) for line in lines.splitlines()]
    return "".join(
        json.dumps({**row, "question": f"{row['question']}/{i}"}, separators=(",", ":")) + "\n"
        for i in range(times) for row in rows
    )  # fmt: skip


def all_steps(cell) -> list[Step]:
    """Those of a cell and the bases below, in one order for every cell."""
    return [*cell.steps(), cell.organism.planted.parents["base"]]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=("arms", "report", "arm"))
    parser.add_argument("--base", default="tiny", help="a size, built first and outside the clock, or a folder")
    parser.add_argument("--own-base", action="store_true", help="the study and each script build the base too")
    parser.add_argument("--no-reversal", action="store_true", help="leave the reversal out on both sides")
    parser.add_argument("--at-once", type=int, default=2, help="scripts at a time")
    parser.add_argument("--scripts", type=int, default=0, help="run so many of the 24 scripts and scale")
    parser.add_argument("--quick", action="store_true", help="few steps, to try it")
    parser.add_argument("--number", type=int, default=0)
    parser.add_argument("--times", type=int, default=1, help="for report: so many times as many questions")
    asked = parser.parse_args()
    {"arms": arms, "report": report, "arm": one_arm}[asked.what](asked)
