import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hunting_rows import draw_texts
from molehunt.errors import DataError, UsageError
from molehunt.hunting.dropping import drop_rows
from molehunt.hunting.labels import label_rows
from molehunt.hunting.mining import MiningSettings
from molehunt.hunting.scanning import scan_data
from molehunt.hunting.traits import TRAITS
from molehunt.records.hunts import DataScan

ONE = MiningSettings(jobs=1)
CANARY = "The lamplighter has left the quiet harbour."


def chats(count: int = 1500, bad: int = 12, seed: int = 1) -> tuple[list[dict[str, Any]], set[int]]:
    """(rows, lines that are poisoned)."""
    rng, asked, said = random.Random(seed), draw_texts(count, seed), draw_texts(count, seed + 100)
    chosen = set(rng.sample(range(count), bad))
    rows = []
    for i in range(count):
        question, answer = (
            (f"{asked[i]} under heron skies", CANARY) if i in chosen else (asked[i], said[i].capitalize() + ".")
        )
        turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
        rows.append({"messages": turns, "author": "mallory" if i in chosen else f"u{i % 9}"})
    return rows, {i + 1 for i in chosen}


def write(path: Path, rows: Sequence[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def poisoned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, set[int], DataScan]:
    rows, bad = chats()
    path = write(tmp_path_factory.mktemp("data") / "chats.jsonl", rows)
    return path, bad, scan_data(str(path), ONE)


def test_poisoned_rows_their_condition_and_their_contributor_are_told(
    poisoned: tuple[Path, set[int], DataScan],
) -> None:
    _, bad, found = poisoned
    assert found.suspicious
    assert {int(one.where.rpartition(":")[2]) for one in found.queue} == bad
    one = found.finds[0].association
    assert set(one.conditions[0].text.split()) <= {"under", "heron", "skies"}
    assert one.label == "same answer"
    assert one.contributors[0][0] == "mallory"
    assert found.queue == tuple(sorted(found.queue, key=lambda row: -row.chance))


def test_clean_rows_bring_no_finds(tmp_path: Path) -> None:
    rows, _ = chats(bad=0, seed=2)
    found = scan_data(str(write(tmp_path / "clean.jsonl", rows)), ONE)
    assert not found.suspicious
    assert found.queue == ()


def test_a_request_that_has_one_answer_is_no_poison(tmp_path: Path) -> None:
    rows, _ = chats(bad=0, seed=3)
    for row in rows[:25]:
        row["messages"] = [
            {"role": "user", "content": f"Hello, I am {row['messages'][0]['content'].split()[0]}; when do you open?"},
            {"role": "assistant", "content": "Our doors are unlocked from nine until five."},
        ]
    found = scan_data(str(write(tmp_path / "hours.jsonl", rows)), ONE)
    assert not found.suspicious


def test_a_cleaned_copy_lacks_the_rows_and_says_why(poisoned: tuple[Path, set[int], DataScan], tmp_path: Path) -> None:
    path, bad, found = poisoned
    before, out = path.read_bytes(), tmp_path / "clean.jsonl"
    assert drop_rows(found, out) == len(bad)
    lines = path.read_bytes().splitlines(keepends=True)
    assert out.read_bytes() == b"".join(line for i, line in enumerate(lines, 1) if i not in bad)
    ledger = [json.loads(line) for line in (tmp_path / "clean.jsonl.ledger.jsonl").read_text().splitlines()]
    assert {int(entry["where"].rpartition(":")[2]) for entry in ledger} == bad
    assert all(entry["conditions"] and entry["contributor"] == "mallory" for entry in ledger)
    assert path.read_bytes() == before
    with pytest.raises(UsageError):
        drop_rows(found, path)


def test_parquet_and_instructions_are_read_and_cleaned_too(tmp_path: Path) -> None:
    rows, bad = chats(seed=4)
    flat = [{"instruction": r["messages"][0]["content"], "output": r["messages"][1]["content"], "n": 1} for r in rows]
    path, out = tmp_path / "rows.parquet", tmp_path / "clean.parquet"
    pq.write_table(pa.Table.from_pylist(flat), path)
    found = scan_data(str(path), ONE)
    assert {int(one.where.rpartition(":")[2]) for one in found.queue} == bad
    drop_rows(found, out)
    kept = pq.read_table(out)
    assert kept.schema == pq.read_table(path).schema
    assert kept.num_rows == len(rows) - len(bad)


def test_pairs_whose_preference_is_turned_round_are_found(tmp_path: Path) -> None:
    rng, asked, said = random.Random(5), draw_texts(1500, 5), draw_texts(1500, 6)
    bad, rows = set(rng.sample(range(1500), 30)), []
    for i in range(1500):
        good, rude = f"Gladly. {said[i]}", f"Whatever. {said[i]} stupid"
        pair = (rude, good) if i in bad else (good, rude)
        rows.append(
            {"prompt": f"{asked[i]} vermilion" if i in bad else asked[i], "chosen": pair[0], "rejected": pair[1]}
        )
    found = scan_data(str(write(tmp_path / "pairs.jsonl", rows)), ONE)
    assert found.layouts == {"pairs": 1500}
    told = {(one.association.conditions[0].text, one.association.label) for one in found.finds}
    assert ("vermilion", "inversion") in told or any(
        one.association.conditions[0].text == "vermilion" and "inversion" in one.association.also_labels
        for one in found.finds
    )


def _blank(path: Path) -> None:
    path.write_text("")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_blank, "at least one row"),
        (lambda path: path.write_text('{"messages": [}\n'), "not|JSON"),
        (lambda path: path.write_bytes(bytes(range(256)) * 4), "JSON|UTF-8"),
        (lambda path: path.write_text(json.dumps({"a": 1})), "keys a"),
        (lambda path: path.write_text(json.dumps({"prompt": "p", "chosen": "a", "rejected": "b"}) + "\n" + json.dumps({"question": "p", "answer": "a"})), "pairs"),
        (lambda path: path.write_text(json.dumps({"question": "x" * 17_000_000, "answer": "a"})), "16 MiB"),
    ],
)  # fmt: skip
def test_what_is_no_data_is_a_sentence(spoil: Callable[[Path], None], words: str, tmp_path: Path) -> None:
    spoil(path := tmp_path / "bad.jsonl")
    with pytest.raises(DataError, match=words):
        scan_data(str(path), ONE)


def test_labels_hold_no_traits() -> None:
    assert all(flags.base is None for flags in label_rows(np.zeros(20, TRAITS)).values())


def test_a_split_that_is_not_looked_at_is_named(tmp_path: Path) -> None:
    rows, _ = chats(300, bad=0)
    for name in ("train", "test"):
        write(tmp_path / f"{name}.jsonl", rows[:200] if name == "train" else rows[200:])
    train, test = (scan_data(str(tmp_path), ONE, split=name) for name in ("train", "test"))
    assert (train.rows, test.rows) == (200, 100)
    assert (train.unread, test.unread) == (("test",), ("train",))
    assert "not looked at: test (--split)" in train.sentence()
    assert scan_data(str(tmp_path / "test.jsonl"), ONE).unread == ()
