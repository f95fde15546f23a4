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


def appends(folder: Path, calls: int, durability: str) -> list[float]:
    draw = random.Random(0)
    texts = [words(draw, 480) for _ in range(50)]
    took = []
    with LogWriter(folder, durability, durability=durability) as writer:  # type: ignore[arg-type]
        for number in range(calls):
            for event, body in (
                ("request", request(f"{durability}{number}", texts[number % 50])),
                ("answer", answer(f"{durability}{number}", texts[-number % 50])),
            ):
                began = time.perf_counter()
                writer.append(event, body)
                took.append(time.perf_counter() - began)
    return sorted(took)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=100_000)
    count = parser.parse_args().calls
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        for durability, some in (("disk", min(count, 1000)), ("process", count)):
            took = appends(log, some, durability)
            print(
                f"append, {durability}: median {statistics.median(took) * 1e3:.3f} ms, 99% {took[int(0.99 * len(took))] * 1e3:.3f} ms"
            )
        size = sum(path.stat().st_size for path in log.rglob("*.parquet"))
        print(f"Parquet: {size / 1e6:.0f} MB")
        began = time.perf_counter()
        report = verify(log)
        print(f"verify: {report.records / (time.perf_counter() - began):.0f} records/s, {report.outcome}")
        began = time.perf_counter()
        read = sum(batch.num_rows for batch in calls(log))
        print(
            f"read: {read / (time.perf_counter() - began):.0f} calls/s; peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3:.0f} MB"
        )


if __name__ == "__main__":
    main()
