"""Comparing two models beside reading them, in turns; prints a row of docs/benchmarks.md each.

python benchmarks/diff.py [--mib 500] [--folder DIR]
"""

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from molehunt.provenance.model_diff import diff_models

ROUNDS, ROWS, COLUMNS = 3, 4096, 2048


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def processor(work: Callable[[], object]) -> float:
    """Seconds of processors: what stays the same when others use them too."""
    started = time.process_time()
    work()
    return time.process_time() - started


def read(folders: tuple[Path, Path]) -> None:
    """All bytes of both, one after the other, as `cat` reads."""
    buffer = bytearray(1 << 20)
    for folder in folders:
        with (folder / "model.safetensors").open("rb", buffering=0) as stream:
            while stream.readinto(buffer):
                pass


def drop_cache(folders: tuple[Path, Path]) -> None:
    """Have the next reading come from the disk."""
    for folder in folders:
        with (folder / "model.safetensors").open("rb") as stream:
            os.fsync(stream.fileno())
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def rounded(numbers: np.ndarray) -> np.ndarray:
    """To the nearest number that bfloat16 has."""
    bits = numbers.astype(np.float32).view(np.uint32)
    bits += 0x7FFF + ((bits >> 16) & 1)
    return (bits & np.uint32(0xFFFF_0000)).view(np.float32)


def write(folder: Path, tensors: int, change: Callable[[int, np.ndarray], np.ndarray]) -> None:
    """A model in bfloat16 whose tensors went through `change`; its rows repeat, so that it is written soon."""
    folder.mkdir()
    size = ROWS * COLUMNS * 2
    header = {
        f"model.layers.{n}.weight": {"dtype": "BF16", "shape": [ROWS, COLUMNS], "data_offsets": [n * size, (n + 1) * size]}
        for n in range(tensors)
    }  # fmt: skip
    text = json.dumps(header).encode()
    block = np.random.default_rng(0).standard_normal((ROWS, COLUMNS), dtype=np.float32)
    with (folder / "model.safetensors").open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        for number in range(tensors):
            before = rounded(np.roll(block, number, axis=0))
            stream.write((rounded(change(number, before)).view(np.uint32) >> 16).astype("<u2").tobytes())
    (folder / "config.json").write_text('{"model_type": "llama"}')


def measured(what: str, both: tuple[Path, Path], mib: int) -> None:
    drop_cache(both)
    cold = seconds(lambda: read(both))
    drop_cache(both)
    cold_diff = seconds(lambda: diff_models(*both))
    times = [(seconds(lambda: read(both)), seconds(lambda: diff_models(*both))) for _ in range(ROUNDS)]
    reading, ours = (statistics.median(one) for one in zip(*times, strict=True))
    work = min(processor(lambda: diff_models(*both)) for _ in range(ROUNDS))
    print(
        f"| diff of 2 × {mib} MiB, {what}, in memory | {ours:.2f} s | reading both {reading:.2f} s | {reading / ours:.2f} of its speed | 0.5 |\n"
        f"| the same, from the disk | {cold_diff:.2f} s | reading both {cold:.2f} s | {cold / cold_diff:.2f} of its speed | 0.5 |\n"
        f"| the same, processor | {work:.2f} s | | {2 * mib / work:.0f} MiB a second of one core | |",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--mib", type=int, default=500, help="of each model")
    parser.add_argument("--folder", type=Path, default=None, help="where to write; a disk with room")
    asked = parser.parse_args()
    tensors = max(1, asked.mib * (1 << 20) // (ROWS * COLUMNS * 2))
    drawn = np.random.default_rng(1)
    noise = drawn.standard_normal((ROWS, COLUMNS), dtype=np.float32) * 0.05
    low = (drawn.standard_normal((ROWS, 8)) @ drawn.standard_normal((8, COLUMNS)) * 0.05).astype(np.float32)
    changes = {
        "the same tensors": lambda n, w: w,
        "one tensor changed": lambda n, w: w + noise if n == 0 else w,
        "all changed, low rank": lambda n, w: w + low,
        "all changed": lambda n, w: w + noise,
    }
    print("| what | ours | against | ratio | asked |\n|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory(dir=asked.folder) as name:
        a, b = Path(name) / "a", Path(name) / "b"
        write(a, tensors, changes["the same tensors"])
        for what, change in changes.items():
            write(b, tensors, change)
            measured(what, (a, b), asked.mib)
            shutil.rmtree(b)


if __name__ == "__main__":
    main()
