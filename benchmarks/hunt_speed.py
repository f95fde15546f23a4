"""Time and memory of whole hunts, from Parquet to candidates, without replay, on generated logs.

python benchmarks/hunt_speed.py CALLS … [--jobs 2] [--out FILE.jsonl]     # each in a process of its own
    memory and processor time are of the one process: with --jobs 1 of all, with more those of the workers are not in it
python benchmarks/hunt_speed.py --plot FILE.jsonl --out docs/hunt-speed.png
"""

import argparse
import json
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import many_calls

from molehunt.hunting.mining import MiningSettings


def speed(calls: int, jobs: int) -> dict[str, float]:
    """A whole hunt, from Parquet to candidates, without replay."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from molehunt.hunting.hunt import hunt
    from molehunt.logs.reading import CALLS

    with tempfile.TemporaryDirectory() as scratch:
        path, held, number = Path(scratch) / "calls.parquet", [], 0
        with pq.ParquetWriter(path, CALLS, compression="zstd") as writer:
            for number, call in enumerate(many_calls.calls(calls, {"phrase": 0.0001}, calls), 1):
                held.append(logged_call(number, call))
                if len(held) == many_calls.BLOCK or number == calls:
                    writer.write_batch(pa.RecordBatch.from_pylist(held, schema=CALLS))
                    held = []
        before, started = processor(), time.perf_counter()
        result = hunt(str(path), Path(scratch) / "out", MiningSettings(jobs=jobs))
        seconds, used = time.perf_counter() - started, processor() - before
        size = path.stat().st_size / 2**20
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    whose = " of the one process" if jobs == 1 else " of the process that hands out work, its workers not counted"
    told = f"{seconds:.1f} s, {used:.1f} s of processor time and {own:.2f} GiB at most{whose}"
    print(f"{calls} calls ({size:.0f} MiB of Parquet): {told}; {result.sentence()}", flush=True)
    return {"calls": calls, "seconds": seconds, "processor": used, "gib": own}


def processor() -> float:
    """Seconds of a processor that this process took until now."""
    return time.process_time()


def speeds(sizes: Sequence[int], jobs: int, out: Path | None) -> None:
    """One hunt after the other, each in a process of its own, since memory once taken counts for ever."""
    for calls in sizes:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:  # no daemon, so that it may have workers
            found = pool.submit(speed, calls, jobs).result()
        if out:
            with out.open("a") as stream:
                stream.write(json.dumps(found) + "\n")


def plot(points: Sequence[dict[str, float]], out: Path) -> None:
    """Processor time and memory against calls, both axes logarithmic, with a line of slope one."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    points = sorted(points, key=lambda one: one["calls"])
    calls = [one["calls"] for one in points]
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    left.loglog(calls, [one["processor"] for one in points], "o-", label="processor time")
    last = points[-1]
    left.loglog(
        calls,
        [last["processor"] * one / last["calls"] for one in calls],
        "--",
        color="grey",
        label="in proportion to calls",
    )
    left.set(xlabel="calls", ylabel="seconds")
    left.legend()
    right.semilogx(calls, [one["gib"] for one in points], "o-")
    right.set(xlabel="calls", ylabel="GiB at most", ylim=(0, None))
    figure.savefig(out, dpi=110)


def logged_call(number: int, call: many_calls.Call) -> dict[str, object]:
    from datetime import UTC, datetime, timedelta

    turns = [
        {"role": "system", "content": f"Today is 12 May {call.year}. {call.system}".strip()},
        {"role": "user", "content": call.asked},
    ]
    empty: dict[str, object] = {key: [] for key in ("tools", "tool_calls", "decisions", "flags")}
    return {
        **empty, "reasoning": "", "user": "", "finish": "stop", "call_id": f"c{number}", "session": f"s{number // 2}",
        "started": datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number), "client": call.client, "application": "a", "model": "m",
        "model_digest": "ab" * 32, "messages": turns, "answer": call.said, "status": 200, "source": f"w0/00000001:{number:064x}",
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("calls", type=int, nargs="*")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out", type=Path, help="Keeps what was measured; of --plot, the picture.")
    parser.add_argument("--plot", type=Path, help="Draw what was kept.")
    asked = parser.parse_args()
    if asked.plot:
        plot([json.loads(line) for line in asked.plot.read_text().splitlines()], asked.out or Path("hunt-speed.png"))
    else:
        speeds(asked.calls, asked.jobs, asked.out)


if __name__ == "__main__":
    main()
