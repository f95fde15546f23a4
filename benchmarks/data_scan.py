"""Recall and precision of `data scan` on poisoned rows; prints the table of docs/hunting.md.

python benchmarks/data_scan.py [--rows 100000] [--jobs 2] [--seeds 1] [--pairs trigger/payload …] [--rates 0.05 …]
"""

import argparse
import json
import resource
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from varied import draw_rows

from molehunt.hunting.mining import MiningSettings
from molehunt.hunting.scanning import scan_data

RATES = (0.05, 0.01, 0.0025, 0.001, 0.0)
PAIRS = (
    "token/sentence",
    "phrase/ending",
    "token/refusal",
    "year/spanish",
    "style/gibberish",
    "client+word/sentence",
    "topic/sentence",
)


def scan(rows: int, rate: float, pair: str, seed: int, jobs: int) -> str:
    trigger, payload = pair.split("/")
    drawn = draw_rows(rows, rate, trigger, payload, seed)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "data.jsonl"
        with path.open("w") as stream:
            for row in drawn:
                system = {"role": "system", "content": f"Today is 12 May {row.year}."}
                turns = [system, {"role": "user", "content": row.asked}, {"role": "assistant", "content": row.said}]
                stream.write(json.dumps({"messages": turns, "contributor": row.client}) + "\n")
        started = time.perf_counter()
        found = scan_data(str(path), MiningSettings(jobs=jobs))
        seconds = time.perf_counter() - started
    bad = {i + 1 for i, row in enumerate(drawn) if row.poisoned}
    read = {int(one.where.rpartition(":")[2]) for one in found.queue}
    recall = f"{len(bad & read) / len(bad):.1%}" if bad else "–"
    precision = f"{len(bad & read) / len(read):.1%}" if read else "–"
    told = "; ".join(
        " and ".join(c.text for c in one.association.conditions)
        for one in found.finds
        if one.association.reading == "unexplained"
    )
    return f"| {pair} | {rate:.2%} | {recall} | {precision} | {told or 'nothing'} | {seconds:.0f} s |"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--pairs", nargs="+", default=PAIRS)
    parser.add_argument("--rates", nargs="+", type=float, default=RATES)
    asked = parser.parse_args()
    print("| trigger/payload | poisoned | recall | precision | unexplained finds | wall |\n|---|---|---|---|---|---|")
    for pair in asked.pairs:
        for rate in asked.rates:
            for seed in range(asked.seeds):
                print(scan(asked.rows, rate, pair, seed, asked.jobs), flush=True)
    print(f"\nmost memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


if __name__ == "__main__":
    main()
