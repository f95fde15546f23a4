"""What appending costs, and how fast a log is verified and read: `python benchmarks/logs.py [--calls N]`."""

import argparse
import random
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from log_bodies import answer, request, words

from molehunt.logs.reading import calls
from molehunt.logs.verifying import verify
from molehunt.logs.writing import LogWriter


def appends(folder: Path, calls: int, durability: str) -> tuple[list[float], float]:
    """Seconds of each append, sorted; seconds of one core for each, what goes on behind included."""
    draw = random.Random(0)
    texts = [words(draw, 480) for _ in range(50)]
    took = []
    with LogWriter(folder, durability, durability=durability) as writer:  # type: ignore[arg-type]
        worked = time.thread_time()
        for number in range(calls):
            call = f"{durability}{number}"
            for event, body in (
                ("request", request(call, texts[number % 50])),
                ("answer", answer(call, texts[-number % 50])),
            ):
                began = time.perf_counter()
                writer.append(event, body)
                took.append(time.perf_counter() - began)
        worked = time.thread_time() - worked
    return sorted(took), worked / len(took)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=100_000)
    count = parser.parse_args().calls
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        for durability, some in (("disk", min(count, 1000)), ("process", count)):
            took, core = appends(log, some, durability)
            told = f"median {statistics.median(took) * 1e3:.3f} ms, 99% {took[int(0.99 * len(took))] * 1e3:.3f} ms"
            print(f"append, {durability}: {told}, of one core {core * 1e3:.3f} ms")
        size = sum(path.stat().st_size for path in log.rglob("*.parquet"))
        print(f"Parquet: {size / 1e6:.0f} MB")
        began, core = time.perf_counter(), time.process_time()
        report = verify(log)
        seconds, core = time.perf_counter() - began, time.process_time() - core
        print(
            f"verify: {report.records / seconds:.0f} records/s, of one core {report.records / core:.0f}; {report.outcome}"
        )
        began, core = time.perf_counter(), time.process_time()
        read = sum(batch.num_rows for batch in calls(log))
        seconds, core = time.perf_counter() - began, time.process_time() - core
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
        print(f"read: {read / seconds:.0f} calls/s, of one core {read / core:.0f}; peak {peak:.0f} MB")


if __name__ == "__main__":
    main()
