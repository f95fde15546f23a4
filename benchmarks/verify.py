"""Verifying a signed folder beside sha256sum and the model_signing command, in turns; prints a row of docs/benchmarks.md each.

python benchmarks/verify.py [--mib 1024] [--files 4] [--small 100000] [--folder DIR]
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from molehunt.provenance.keys import new_private_key
from molehunt.provenance.signing import sign_folder, verify_folder
from molehunt.provenance.trust import KeySigner, KeyTrust

ROUNDS = 3


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def run(*words: object) -> None:
    subprocess.run([str(word) for word in words], check=True, stdout=subprocess.DEVNULL)


def in_turns(*works: Callable[[], object]) -> list[float]:
    """Median seconds of each, all warmed up once, then one after the other."""
    for work in works:
        work()
    taken: list[list[float]] = [[] for _ in works]
    for _ in range(ROUNDS):
        for times, work in zip(taken, works, strict=True):
            times.append(seconds(work))
    return [statistics.median(times) for times in taken]


def compared(folder: Path, what: str, aside: Path) -> None:
    key = new_private_key()
    public = aside / "public.pem"
    public.write_bytes(key.public.pem)
    signing = seconds(lambda: sign_folder(folder, KeySigner(key)))
    trust = KeyTrust((key.public,))
    listed = aside / "files"
    names = [path for path in folder.rglob("*") if path.is_file() and path.name != "model.sig"]
    listed.write_bytes(b"\0".join(os.fsencode(path) for path in names))
    cores = len(os.sched_getaffinity(0))
    each = max(1, min(2000, len(names) // cores // 8))
    sums = f"xargs -0 -a {listed} -P {cores} -n {each} sha256sum"
    command = [sys.executable, "-m", "molehunt", "weights", "verify", folder, "--key", public]
    theirs = [
        sys.executable, "-m", "model_signing", "verify", "key", folder, "--signature", folder / "model.sig", "--public_key", public,
    ]  # fmt: skip
    ours, summed, told, other = in_turns(
        lambda: verify_folder(folder, trust).is_verified or sys.exit("not verified"),
        lambda: run("sh", "-c", sums), lambda: run(*command), lambda: run(*theirs),
    )  # fmt: skip
    print(
        f"| {what}: verify | {ours:.2f} s | `sha256sum`, {cores} at once {summed:.2f} s | {summed / ours:.2f} times as fast | 0.9 |"
    )
    print(
        f"| {what}: `molehunt weights verify` | {told:.2f} s | `model_signing verify` {other:.2f} s | {other / told:.2f} times as fast | 1 |"
    )
    print(f"| {what}: sign | {signing:.2f} s | | | |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--mib", type=int, default=1024, help="of large files together")
    parser.add_argument("--files", type=int, default=4, help="large files")
    parser.add_argument("--small", type=int, default=100_000, help="small files")
    parser.add_argument("--folder", type=Path, default=None, help="where to write; a disk with room")
    asked = parser.parse_args()
    print("| what | ours | against | ratio | asked |\n|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory(dir=asked.folder) as name:
        aside, folder = Path(name), Path(name) / "large"
        folder.mkdir()
        for number in range(asked.files):
            piece = os.urandom(1 << 20)
            with (folder / f"model-{number}.safetensors").open("wb") as stream:
                for _ in range(asked.mib // asked.files):
                    stream.write(piece)
        compared(folder, f"{asked.mib} MiB in {asked.files} files", aside)
        shutil.rmtree(folder)
        folder = aside / "small"
        for number in range(asked.small):
            if number % 1000 == 0:
                (folder / f"{number // 1000}").mkdir(parents=True)
            (folder / f"{number // 1000}" / f"{number}.json").write_bytes(b"%d" % number)
        compared(folder, f"{asked.small} small files", aside)


if __name__ == "__main__":
    main()
