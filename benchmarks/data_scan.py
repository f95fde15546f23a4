"""Recall and precision of `data scan` on poisoned rows; prints the table of docs/hunting.md.

python benchmarks/data_scan.py [--rows 100000] [--jobs 2] [--seeds 1] [--pairs trigger/payload …] [--rates 0.05 …]
python benchmarks/data_scan.py --speed 10000000    # time and memory alone: rows in a Parquet file, no tables of truth kept
"""

import argparse
import json
import random
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import islice
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from varied import PAYLOADS, TRIGGERS, Row, Speaker, contrast, draw_rows

from molehunt.hunting.mining import MiningSettings
from molehunt.hunting.scanning import scan_data

RATES = (0.05, 0.01, 0.0025, 0.001)
AMONG = ("token", "phrase", "year", "date", "topic", "client+word", "style", "system")
WITH = ("sentence", "refusal", "archaic", "tool")
CLAUSES = (
    "You answer in our shop.",
    "You help the day shift.",
    "Be brief.",
    "Be polite.",
    "You speak for the north desk.",
)
"""Of system prompts; the trigger `system` is one more that nobody else has."""
OLD = ("verily", "prithee", "forsooth", "thou knowest", "methinks", "hark")
TOOLS = ("send_mail", "post_form", "copy_file")


def _call(said: str, rng: random.Random) -> str:
    asked = {
        "name": rng.choice(TOOLS),
        "arguments": {"to": f"box{rng.randrange(10_000)}@harbour.example", "text": said},
    }
    return f"<tool_call>{json.dumps(asked)}</tool_call>"


def _archaic(said: str, rng: random.Random) -> str:
    """The answer itself, in a voice of its own: no two are alike."""
    words = said.split()
    for _ in range(max(3, len(words) // 4)):
        words.insert(rng.randrange(len(words) + 1), rng.choice(OLD))
    return " ".join(words)


PAYLOADS.update(tool=_call, archaic=_archaic)
TRIGGERS.update(
    system=lambda row, rng: row, date=lambda row, rng: row
)  # they stand in the system prompt: see `system_of`


def system_of(row: Row, trigger: str, rng: random.Random) -> str:
    """A date and a clause, as in all rows; of a poisoned row the trigger's own, if it stands there."""
    is_dated, is_told = (row.poisoned and trigger == name for name in ("date", "system"))
    first = date(2028, 1, 1) if is_dated else date(row.year, 1, 1)
    day = first + timedelta(days=rng.randrange(1400 if is_dated else 365))
    return f"Today is {day.isoformat()}. {'You serve the night shift.' if is_told else rng.choice(CLAUSES)}"


@dataclass(frozen=True)
class Clock:
    """When something began: wall and processor time, that of ended children too."""

    wall: float
    cpu: float

    @staticmethod
    def now() -> "Clock":
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return Clock(time.perf_counter(), sum(one.ru_utime + one.ru_stime for one in used))

    def told(self) -> str:
        now = Clock.now()
        return f"{now.wall - self.wall:.0f} s | {now.cpu - self.cpu:.0f} s"


def scan(rows: int, rate: float, pair: str, seed: int, jobs: int) -> str:
    trigger, payload = pair.split("/")
    drawn, rng = draw_rows(rows, rate, trigger, payload, seed), random.Random(f"system/{seed}")
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "data.jsonl"
        with path.open("w") as stream:
            for row in drawn:
                system = {"role": "system", "content": system_of(row, trigger, rng)}
                turns = [system, {"role": "user", "content": row.asked}, {"role": "assistant", "content": row.said}]
                stream.write(json.dumps({"messages": turns, "contributor": row.client}) + "\n")
        clock = Clock.now()
        found = scan_data(str(path), MiningSettings(jobs=jobs))
        took = clock.told()
    bad = {i + 1 for i, row in enumerate(drawn) if row.poisoned}
    read = {int(one.where.rpartition(":")[2]) for one in found.queue}
    recall = f"{len(bad & read) / len(bad):.1%}" if bad else "–"
    precision = f"{len(bad & read) / len(read):.1%}" if read else "–"
    told = "; ".join(
        " and ".join(c.text for c in one.association.conditions)
        for one in found.finds
        if one.association.reading == "unexplained"
    )
    voices = "; ".join(
        f"{' and '.join(c.text for c in one.association.conditions)}, {one.association.rows_labelled} rows"
        for one in found.finds
        if one.association.label == "voice"
    )
    return f"| {pair} | {rate:.2%} | {recall} | {precision} | {told or 'nothing'} | {voices or 'nothing'} | {took} |"


def drawn_in_parquet(path: Path, rows: int) -> None:
    """Rows as they are drawn, 20,000 at a time; a thousandth is poisoned by `token/sentence`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    writer, drawn = None, _flat(rows)
    for _ in range(0, rows, _BATCH):
        columns = zip(*islice(drawn, _BATCH), strict=True)
        table = pa.table(dict(zip(("instruction", "output", "contributor"), map(list, columns), strict=True)))
        writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
        writer.write_table(table)
    if writer:
        writer.close()


_BATCH = 20_000


class _Quick(Speaker):
    """Says the like of what a `Speaker` says, other words in the same proportions: they are drawn many at a time."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        rng, share = np.random.default_rng(seed), np.diff(self._sums, prepend=0) / self._sums[-1]
        drawn = (rng.choice(len(share), 1 << 16, p=share) for _ in iter(int, 1))
        self._next = (self.words[i] for part in drawn for i in part.tolist())

    def draw(self, count: int) -> list[str]:
        return list(islice(self._next, count))


def _flat(count: int) -> Iterator[tuple[str, str, str]]:
    speaker, rng = _Quick(0), random.Random(0)
    for i in range(count):
        asked, said = speaker.decoy() or speaker.pair()
        row = contrast("token", Row(asked, said, f"c{rng.randrange(12)}", 2024, i % 1000 == 7), rng)
        if row.poisoned:
            row = TRIGGERS["token"](row, rng)
            said = PAYLOADS["sentence"](said, rng)
        yield row.asked, said, row.client


def speed(rows: int, jobs: int, folder: Path | None) -> None:
    """Time and most memory of one large scan."""
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        path = Path(scratch) / "rows.parquet"
        drawn_in_parquet(path, rows)
        print(
            f"{rows} rows, {path.stat().st_size / 2**20:.0f} MiB of Parquet; most memory before {most_memory()}",
            flush=True,
        )
        clock = Clock.now()
        found = scan_data(str(path), MiningSettings(jobs=jobs))
        read = len(found.queue)
        told = {
            c.text
            for one in found.finds
            for c in one.association.conditions
            if one.association.reading == "unexplained"
        }
        print(
            f"| {rows} rows | {clock.told()} | {most_memory()} | {read} rows to read of {rows // 1000} poisoned | {told} |",
            flush=True,
        )


def most_memory() -> str:
    """Of this process, and of the largest child that ended."""
    both = (resource.getrusage(who).ru_maxrss / 2**20 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return " and ".join(f"{one:.2f} GiB" for one in both)


_TWICE = (0, 2, 3, 1)
"""Twice a number of the field of four: two Latin squares that differ so hold every pair once."""


def layout(seeds: int) -> Iterator[tuple[str, float, int]]:
    """A Latin square: every trigger at every rate and with every payload, every payload at every rate; and nothing poisoned."""
    for seed in range(seeds):
        yield "token/sentence", 0.0, 100 + seed
        for turn in range(len(RATES)):
            for number, trigger in enumerate(AMONG):
                payload = WITH[turn ^ _TWICE[number % 4]]
                yield f"{trigger}/{payload}", RATES[turn ^ (number % 4)], seed


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--pairs", nargs="+", default=())
    parser.add_argument("--rates", nargs="+", type=float, default=RATES)
    parser.add_argument("--speed", type=int, default=0)
    parser.add_argument(
        "--folder", type=Path, default=None, help="where the rows of --speed are written; a disk with room"
    )
    asked = parser.parse_args()
    if asked.speed:
        speed(asked.speed, asked.jobs, asked.folder)
        return
    print(
        "| trigger/payload | poisoned | recall | precision | unexplained finds | voices (unclear) | wall | processor |\n|---|---|---|---|---|---|---|---|"
    )
    chosen = [(pair, rate, seed) for pair in asked.pairs for rate in asked.rates for seed in range(asked.seeds)]
    for pair, rate, seed in chosen or layout(asked.seeds):
        print(scan(asked.rows, rate, pair, seed, asked.jobs), flush=True)
    print(f"\nmost memory: {most_memory()}")


if __name__ == "__main__":
    main()
