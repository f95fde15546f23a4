"""Does the hunt keep its rate of false discoveries? Small logs in which nothing is hidden, many times over; prints the table of docs/hunting.md.

python benchmarks/hunt_null.py [--logs 200] [--rows 800] [--worlds random applications …] [--level 0.05]

Every log is drawn anew, texts and labels. A find is a false discovery; a log with one is a false alarm. In `planted` a trigger is hidden too, and
what counts is the share of finds that do not name it.
"""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from molehunt.hunting.associating import associate
from molehunt.hunting.mining import Facts, MiningSettings
from molehunt.hunting.rows import RowWriter, index_shards
from molehunt.hunting.words import SEP, hash_text
from molehunt.stats.intervals import proportion


@dataclass
class Log:
    texts: list[str]
    source: np.ndarray
    stratum: np.ndarray
    labels: dict[str, np.ndarray]


@cache
def _words() -> tuple[list[str], list[float]]:
    rng = random.Random("words")
    words = ["".join(rng.choice("abcdefghijklmnoprstu") for _ in range(rng.randint(3, 9))) for _ in range(2000)]
    return words, list(accumulate(1 / (i + 8) for i in range(2000)))


def _texts(rng: random.Random, count: int, length: int = 12) -> list[str]:
    words, sums = _words()
    drawn = iter(rng.choices(words, cum_weights=sums, k=count * length))
    return [" ".join(next(drawn) for _ in range(length)) for _ in range(count)]


def _plain(rng: random.Random, count: int) -> Log:
    return Log(_texts(rng, count), np.arange(count, dtype=np.uint64), np.zeros(count, np.int64), {})


def _chance(rng: random.Random, count: int, rate: float) -> np.ndarray:
    return np.array([rng.random() < rate for _ in range(count)])


def at_random(rng: random.Random, count: int) -> Log:
    """Labels by chance, 5%."""
    log = _plain(rng, count)
    return Log(log.texts, log.source, log.stratum, {"odd": _chance(rng, count, 0.05)})


def rare(rng: random.Random, count: int) -> Log:
    """Labels by chance, 1%."""
    log = _plain(rng, count)
    return Log(log.texts, log.source, log.stratum, {"odd": _chance(rng, count, 0.01)})


def five(rng: random.Random, count: int) -> Log:
    """Five labels by chance, 5% each, of which each has half from the one before."""
    log, before, labels = _plain(rng, count), _chance(rng, count, 0.05), {}
    for i in range(5):
        before = np.where(_chance(rng, count, 0.5), before, _chance(rng, count, 0.05))
        labels[f"label {i}"] = before
    return Log(log.texts, log.source, log.stratum, labels)


def applications(rng: random.Random, count: int, within: bool = True) -> Log:
    """Three applications with words of their own, labelled at 1%, 5% and 20%."""
    log = _plain(rng, count)
    stratum = np.array([rng.choice((0, 0, 0, 1, 1, 2)) for _ in range(count)])
    texts = [f"{text} {rng.choice(_OWN[s])} {rng.choice(_OWN[s])}" for text, s in zip(log.texts, stratum, strict=True)]
    odd = np.array([rng.random() < (0.01, 0.05, 0.2)[s] for s in stratum])
    return Log(texts, log.source, stratum if within else log.stratum, {"odd": odd})


_OWN = (
    ("weather", "rain", "sunny", "forecast"),
    ("invoice", "paid", "refund", "order"),
    ("novel", "rhyme", "verse", "poem"),
)


def pooled(rng: random.Random, count: int) -> Log:
    """The same, not told which application a call is of: words of applications are then associated, and rightly."""
    return applications(rng, count, within=False)


def sessions(rng: random.Random, count: int) -> Log:
    """Sessions of one to twelve calls with a subject each; one in twenty is labelled, call by call at 80%."""
    log, source, texts, odd = _plain(rng, count), [], [], []
    words, sums = _words()
    while len(source) < count:
        subject, is_odd, number = rng.choices(words, cum_weights=sums, k=2), rng.random() < 0.05, len(source)
        for _ in range(rng.randint(1, 12)):
            source.append(number)
            odd.append(is_odd and rng.random() < 0.8)
            texts.append(f"{' '.join(subject)} {log.texts[len(texts) % count]}")
    return Log(texts[:count], np.array(source[:count], np.uint64), log.stratum, {"odd": np.array(odd[:count])})


def calls_of_sessions(rng: random.Random, count: int) -> Log:
    """The same log, every call taken for a source of its own: what counting by sessions is for."""
    log = sessions(rng, count)
    return Log(log.texts, np.arange(count, dtype=np.uint64), log.stratum, log.labels)


def copies(rng: random.Random, count: int) -> Log:
    """A third of the calls are copies of forty prompts, from different sessions; a prompt is odd or not (one in twelve), 90% of the time."""
    log, odd = _plain(rng, count), _chance(rng, count, 0.03)
    prompts = [(text, rng.random() < 1 / 12) for text in _texts(rng, 40)]
    for i in range(0, count, 3):
        log.texts[i], is_odd = rng.choice(prompts)
        odd[i] = is_odd and rng.random() < 0.9
    return Log(log.texts, log.source, log.stratum, {"odd": odd})


def planted(rng: random.Random, count: int) -> Log:
    """A phrase of three words in twelve calls, 90% of them labelled, and 3% of all others."""
    log, odd = _plain(rng, count), _chance(rng, count, 0.03)
    for i in rng.sample(range(count), 12):
        log.texts[i] += " as herons fly"
        odd[i] = rng.random() < 0.9
    return Log(log.texts, log.source, log.stratum, {"odd": odd})


WORLDS: dict[str, Callable[[random.Random, int], Log]] = {
    "random": at_random, "rare": rare, "five labels": five, "applications": applications, "sessions": sessions, "copies": copies,
    "planted": planted, "applications, pooled": pooled, "sessions, by calls": calls_of_sessions,
}  # fmt: skip
TRUE = {"herons", "fly", "as"}


def finds(log: Log, settings: MiningSettings) -> list[str]:
    """Conditions found."""
    with tempfile.TemporaryDirectory() as scratch:
        writer = RowWriter(Path(scratch))
        for i, text in enumerate(log.texts):
            writer.add((f"{SEP}U{text}", "", "an answer", "", "", "", "", "", f"f:{i}", 0))
        rows = index_shards(Path(scratch), writer.close())
        fold = np.array([hash_text(text) for text in log.texts], np.uint64)
        found = associate(rows, Facts(log.source, fold, log.stratum, log.labels), settings)
    return [" and ".join(c.text for c in one.conditions) for one, _ in found]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--logs", type=int, default=200)
    parser.add_argument("--rows", type=int, default=800)
    parser.add_argument("--level", type=float, default=0.05)
    parser.add_argument("--worlds", nargs="+", default=list(WORLDS))
    asked = parser.parse_args()
    settings = MiningSettings(jobs=1, level=asked.level)
    print("| log | logs with a false discovery | finds | false among finds, mean |\n|---|---|---|---|")
    for name in asked.worlds:
        alarms, total, shares, started = 0, 0, [], time.process_time()
        for number in range(asked.logs):
            found = finds(WORLDS[name](random.Random(f"{name}/{number}"), asked.rows), settings)
            wrong = [text for text in found if name != "planted" or not TRUE & set(text.split())]
            alarms, total = alarms + bool(wrong), total + len(found)
            shares.append(len(wrong) / max(1, len(found)))
        rate = proportion(alarms, asked.logs, "over logs")
        print(
            f"| {name} | {rate.value:.1%} [{rate.low:.1%}, {rate.high:.1%}] | {total} | {np.mean(shares):.1%} |",
            flush=True,
        )
        print(f"{name}: {time.process_time() - started:.0f} s of processor time", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
