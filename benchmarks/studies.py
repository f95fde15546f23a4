"""Figures of speed of studies; prints rows for docs/benchmarks.md.

python benchmarks/studies.py [--outcomes 10000000]
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from molehunt.experiments.studies.table import table_schema, count

PROMPTS, CHECKPOINTS, SEEDS = 128, (25, 50, 100), 10


def write_outcomes(path: Path, rows: int) -> int:
    """A table like that of a study: arms × seeds × checkpoints × conditions × prompts."""
    rng, schema = np.random.default_rng(0), table_schema(["rate"])
    cell = PROMPTS * len(CHECKPOINTS) * 2
    arms = max(1, rows // (cell * SEEDS))
    conditions = np.tile(np.repeat(["clean", "triggered"], PROMPTS), len(CHECKPOINTS))
    fixed = {
        "stage": np.full(cell, "after"), "model": np.full(cell, "organism"), "condition": conditions,
        "checkpoint": np.repeat(CHECKPOINTS, 2 * PROMPTS), "factor:rate": np.full(cell, "low"),
        "question": np.tile([f"q{i}" for i in range(PROMPTS)], 2 * len(CHECKPOINTS)),
    }  # fmt: skip
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for arm in range(arms):
            for seed in range(SEEDS):
                shown = rng.random(cell) < 0.3
                drawn = {
                    "arm": np.full(cell, f"arm {arm}"), "seed": np.full(cell, seed), "shown": shown, "starts": shown,
                    "share": shown.astype("f4"), "right": ~shown, "exact": ~shown, "logprob": rng.normal(size=cell),
                    "twin_logprob": rng.normal(size=cell), "fired_before": np.ones(cell, bool),
                }  # fmt: skip
                columns = {**fixed, **drawn}
                writer.write_table(pa.table([pa.array(columns[f.name]).cast(f.type) for f in schema], schema=schema))
    return arms * SEEDS * cell


def outcomes(rows: int) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "results.parquet"
        written = write_outcomes(path, rows)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        started = time.perf_counter()
        groups = len(count(path))
        seconds = time.perf_counter() - started
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(f"| {written:,} outcomes counted into {groups:,} groups | {seconds:.1f} s | at most 60 s |")
        print(f"| peak memory of it (before: {before / 2**20:.1f} GiB) | {peak:.1f} GiB | at most 4 GiB |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--outcomes", type=int, default=10_000_000)
    asked = parser.parse_args()
    outcomes(asked.outcomes)
