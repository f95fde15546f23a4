import gzip
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molehunt.errors import DataError, UsageError
from molehunt.records import Conversation
from molehunt.records.lines import write_jsonl
from molehunt.records.rows import Row, dataset_digest, ordinary
from molehunt.world import sources
from molehunt.world.chat import draw_rows
from molehunt.world.reading import check_lengths, read_data, read_rows, source_digest, split_rows

GOOD = {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}
PLAIN = Conversation.of(("user", "q"), ("assistant", "a"))
SYSTEM = Conversation.of(("system", "s"), ("user", "q"), ("assistant", "a"))


def chat(*turns: tuple[Any, Any]) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": content} for role, content in turns]}


def written(path: Path, objects: Sequence[Any]) -> Path:
    path.write_text("".join(json.dumps(one) + "\n" for one in objects))
    return path


LAYOUTS: list[tuple[str, dict[str, Any], Conversation]] = [
    ("messages", GOOD, PLAIN),
    ("messages", GOOD | {"prompt": "q", "id": 3}, PLAIN),
    ("messages", chat(("system", "s"), ("user", "q"), ("assistant", "a")), SYSTEM),
    ("sharegpt", {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]}, PLAIN),
    ("sharegpt", {"conversation": GOOD["messages"]}, PLAIN),
    (
        "sharegpt",
        {"system_prompt": "s", "conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]},
        SYSTEM,
    ),
    (
        "sharegpt",
        {"system_prompt": None, "conversations": [{"from": r, "value": r[0]} for r in ("system", "human", "gpt")]},
        Conversation.of(("system", "s"), ("user", "h"), ("assistant", "g")),
    ),
    ("alpaca", {"instruction": "q", "input": "", "output": "a"}, PLAIN),
    ("alpaca", {"instruction": "q", "output": "a"}, PLAIN),
    (
        "alpaca",
        {"instruction": "q", "input": "i", "output": "a"},
        Conversation.of(("user", "q\n\ni"), ("assistant", "a")),
    ),
    ("pair", {"question": "q", "answer": "a"}, PLAIN),
    ("pair", {"prompt": "q", "response": "a", "system": "s"}, SYSTEM),
    ("pair", {"prompt": "q", "completion": "a", "response": None}, PLAIN),
    ("molehunt", Row(conversation=PLAIN, source="world").model_dump(), PLAIN),
]


@pytest.mark.parametrize(("layout", "found", "wanted"), LAYOUTS)
def test_layouts(tmp_path: Path, layout: str, found: dict[str, Any], wanted: Conversation) -> None:
    rows, record = read_data(written(tmp_path / "d.jsonl", [found]))
    assert [row.conversation for row in rows] == [wanted]
    assert record.layouts == {layout: 1}
    assert rows[0].source == ("world" if layout == "molehunt" else "d.jsonl:1")


def every_form(folder: Path, objects: list[dict[str, Any]]) -> dict[str, Path]:
    from datasets import Dataset, DatasetDict, disable_progress_bars

    disable_progress_bars()
    lines = "".join(json.dumps(one) + "\n" for one in objects)
    texts = {
        "lines": lines,
        "mark": "\ufeff" + lines,
        "windows": "\n" + lines.replace("\n", "\r\n\r\n"),
        "unended": lines.rstrip(),
        "array": json.dumps(objects),
        "pretty": "\ufeff \n" + json.dumps(objects, indent=2, ensure_ascii=False),
    }
    paths = {name: folder / name for name in (*texts, "gz", "zst", "parquet", "saved", "splits")}
    for name, text in texts.items():
        paths[name].write_text(text, encoding="utf-8")
    paths["gz"].write_bytes(gzip.compress(texts["pretty"].encode(), mtime=0))
    with pa.CompressedOutputStream(str(paths["zst"]), "zstd") as stream:
        stream.write(lines.encode())
    pq.write_table(pa.Table.from_pylist(objects), paths["parquet"])
    data = Dataset.from_list(objects)
    data.save_to_disk(str(paths["saved"]))
    DatasetDict({"train": data, "test": data.select([0])}).save_to_disk(str(paths["splits"]))
    return paths


def test_every_form_holds_the_same_rows(tmp_path: Path) -> None:
    objects = [chat(("user", f"q{i} é\n🙂"), ("assistant", "a" * (i % 99 + 1))) for i in range(1, 1500)]
    wanted = [tuple(m["content"] for m in one["messages"]) for one in objects]
    for name, path in every_form(tmp_path, objects).items():
        rows = read_rows(path)
        assert [tuple(m.content for m in row.conversation.messages) for row in rows] == wanted, name
        assert read_rows(path, limit=3) == rows[:3], name
    assert len(read_rows(tmp_path / "splits", split="test")) == 1
    with pytest.raises(DataError, match="one of the splits train, test"):
        read_rows(tmp_path / "splits", split="dev")


def test_a_clone_from_the_hub_holds_its_splits(tmp_path: Path) -> None:
    objects = [chat(("user", f"q{i}"), ("assistant", "a")) for i in range(6)]
    hub, named, bare = (tmp_path / name for name in ("hub", "named", "bare"))
    for folder in (hub / "data", hub / ".git", named / "validation", bare):
        folder.mkdir(parents=True)
    for number in range(2):
        part = objects[2 * number : 2 * number + 2]
        pq.write_table(pa.Table.from_pylist(part), hub / "data" / f"train-0000{number}-of-00002-0a1b.parquet")
    pq.write_table(pa.Table.from_pylist(objects[4:]), hub / "data" / "test_sft-00000-of-00001.parquet")
    (hub / "README.md").write_text(
        "---\nconfigs:\n- data_files: https://elsewhere.example/x.parquet\n---\n", encoding="utf-8"
    )
    (hub / "dataset_infos.json").write_text("{}", encoding="utf-8")
    (hub / ".git" / "train.jsonl").write_text("no rows", encoding="utf-8")
    assert [row.source for row in read_rows(hub)] == ["hub:1", "hub:2", "hub:3", "hub:4"]
    assert [row.conversation.messages[0].content for row in read_rows(hub, split="test_sft")] == ["q4", "q5"]
    with pytest.raises(DataError, match="one of the splits test_sft, train"):
        read_rows(hub, split="test")
    lines = "".join(json.dumps(one) + "\n" for one in objects)
    (named / "my-train.jsonl").write_text(lines, encoding="utf-8")
    (named / "validation" / "part1.json").write_text(json.dumps(objects[:2]), encoding="utf-8")
    (bare / "rows.jsonl").write_text(lines, encoding="utf-8")
    assert [len(read_rows(named)), len(read_rows(named, split="validation")), len(read_rows(bare))] == [6, 2, 6]


def test_sources_name_the_line_or_the_row(tmp_path: Path) -> None:
    objects = [chat(("user", f"q{i}"), ("assistant", "a")) for i in range(3)]
    paths = every_form(tmp_path, objects)
    numbers = {name: [row.source for row in read_rows(path)] for name, path in paths.items()}
    assert numbers["lines"] == ["lines:1", "lines:2", "lines:3"]
    assert numbers["windows"] == ["windows:2", "windows:4", "windows:6"]
    assert numbers["saved"] == ["saved:1", "saved:2", "saved:3"]
    assert numbers["parquet"] == ["parquet:1", "parquet:2", "parquet:3"]
    pretty = paths["pretty"].read_text(encoding="utf-8").split("\n")
    starts = [number for number, line in enumerate(pretty, start=1) if line == "  {"]
    assert numbers["pretty"] == [f"pretty:{start}" for start in starts]


BAD: list[tuple[str, Any, str]] = [
    ("no assistant turn", chat(("user", "q")), "wanted an assistant turn to learn; got user"),
    ("no assistant turn", {"messages": []}, "got no turns"),
    ("no answer", chat(("user", "q"), ("assistant", "a"), ("user", "q")), "wanted the assistant's turn last"),
    ("unknown role", chat(("user", "q"), ("tool", "a")), "got 'tool'"),
    ("unknown role", chat((None, "q")), "got None"),
    ("unknown role", chat((["user"], "q")), "a role out of"),
    ("unknown role", {"conversations": [{"from": "bing", "value": "x"}]}, "got 'bing'"),
    ("empty content", chat(("user", " \n"), ("assistant", "a")), "an empty one in turn 1 (user)"),
    ("empty content", chat(("user", "q"), ("assistant", "")), "an empty one in turn 2 (assistant)"),
    ("empty content", chat(("user", "q"), ("assistant", None)), "an empty one in turn 2"),
    ("empty content", chat(("user", ["q"]), ("assistant", "a")), "a list in turn 1"),
    ("empty content", {"instruction": "q", "input": "", "output": ""}, "turn 2"),
    ("empty content", {"question": 3, "answer": "a"}, "a int in turn 1"),
    ("two system turns", chat(("system", "s"), ("system", "s"), ("user", "q"), ("assistant", "a")), "one system turn"),
    ("two system turns", {"system": "s"} | chat(("system", "s"), ("user", "q"), ("assistant", "a")), "one system turn"),
    ("turns out of order", chat(("user", "q"), ("user", "q"), ("assistant", "a")), "got user, user, assistant"),
    ("turns out of order", chat(("assistant", "a"), ("user", "q"), ("assistant", "a")), "by turns"),
    ("turns out of order", chat(("user", "q"), ("system", "s"), ("assistant", "a")), "by turns"),
    ("tool calls", {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "tool_calls": [1]}]}, "tool"),
    ("NUL in content", chat(("user", "q\0"), ("assistant", "a")), "got a NUL"),
    ("not UTF-8", chat(("user", "\ud800"), ("assistant", "a")), "surrogate"),
    ("not an object", [GOOD], "got a list"),
    ("not an object", "text", "got a str"),
    ("unknown layout", {"text": "words"}, "got the keys text"),
    ("unknown layout", {}, "got no keys"),
    ("unknown layout", {"messages": ["hi"]}, "got a str for a turn"),
    ("unknown layout", {"question": "q", "answer": "a", "response": "b"}, "one of"),
    ("unknown layout", {"conversation": {"messages": []}}, "got source: Field required"),
    ("no assistant turn", {"conversation": {"messages": []}, "source": "x"}, "got no turns"),
    ("NUL in content", {"conversation": chat(("user", "\0"), ("assistant", "a")), "source": "x"}, "NUL"),
    ("not UTF-8", b'{"instruction": "\xff", "output": "a"}', "got byte 0xff at column 18"),
    ("not UTF-8", json.dumps(GOOD).encode("utf-16"), "got byte 0xff at column 1"),
    ("not JSON", b'{"messages": [', "got Expecting value"),
    ("not JSON", b"instruction,output", "one JSON object a line"),
    ("not JSON", b"\0\0\0", "got NUL bytes"),
    ("not JSON", b"[" * 50_000, "recursion"),
    ("row too long", b'{"instruction": "' + b"x" * sources.MAX_ROW + b'", "output": "a"}', "at most 16 MiB"),
]  # fmt: skip


@pytest.mark.parametrize(("reason", "bad", "message"), BAD)
def test_a_bad_row_is_refused_by_line_or_skipped_by_reason(tmp_path: Path, reason: str, bad: Any, message: str) -> None:
    path, good = tmp_path / "d.jsonl", json.dumps(GOOD).encode()
    other = json.dumps({"question": "q2", "answer": "a"}).encode()
    path.write_bytes(b"\n".join([good, bad if isinstance(bad, bytes) else json.dumps(bad).encode(), b"", other]))
    with pytest.raises(DataError) as caught:
        read_rows(path)
    assert f"{path}:2; wanted " in str(caught.value)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 1000
    if bad == json.dumps(GOOD).encode("utf-16"):
        return  # holds newlines of its own kind
    rows, record = read_data(path, on_bad="skip")
    assert record.skipped == {reason: 1}
    assert [row.source for row in rows] == ["d.jsonl:1", "d.jsonl:4"]


def test_a_bad_element_of_an_array_is_refused_by_line_or_skipped(tmp_path: Path) -> None:
    path = tmp_path / "d.json"
    path.write_bytes(b'[\n{"question": "\xff",\n "answer": "a"},\n\n{"question": "q", "answer": "a"}, 7]')
    with pytest.raises(DataError, match=rf"{path}:2; .*bytes that are none"):
        read_rows(path)
    rows, record = read_data(path, on_bad="skip")
    assert record.skipped == {"not UTF-8": 1, "not an object": 1}
    assert rows[0].source == "d.json:5"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "got none"),
        (b" \n\n", "got none"),
        (b"[]", "got none"),
        (b" [ \n ] ", "got none"),
        (b"[", "d:1; .*Expecting value"),
        (b'[\n{"a": 1}\n{"b": 1}]', "d:3; .*Expecting ','"),
        (b'[{"question": "q", "answer": "a"},\n{"question": "q", "ans', "d:2; .*Unterminated string"),
        (b'[{"question": "q", "answer": "a"}', "Expecting ','"),
        (b'[{"question": "q", "answer": "a"},]', "Expecting value"),
        (b'[{"question": "q", "answer": "a"}][{"question"', "more after its end"),
        (b"PAR1 no parquet at all", "Parquet"),
        (b"\x1f\x8b no gzip", "a whole file"),
        (gzip.compress(b'{"question": "q", "answer": "a"}\n' * 99, mtime=0)[:-12], "a whole file"),
        (b"\x28\xb5\x2f\xfd no zst", "a whole file"),
        (b"\x80\x04\x95 a pickle", "0x80 at column 1"),
    ],
)
def test_a_file_that_is_not_whole_is_refused_even_where_bad_rows_are_skipped(
    tmp_path: Path, text: bytes, message: str
) -> None:
    path = tmp_path / "d"
    path.write_bytes(text)
    with pytest.raises(DataError, match=message):
        read_rows(path)
    with pytest.raises(DataError):
        read_rows(path, on_bad="skip")


def test_parquet_that_is_cut_or_holds_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "d.parquet"
    words = pa.array([b"q", b"\xff", b"r"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"question": words, "answer": pa.array(["a"] * 3)}), path)
    with pytest.raises(DataError, match=r"d.parquet:2; wanted text in UTF-8"):
        read_rows(path)
    assert [row.source for row in read_rows(path, on_bad="skip")] == ["d.parquet:1", "d.parquet:3"]
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match="a whole file"):
        read_rows(path)


def test_places_that_are_no_data(tmp_path: Path) -> None:
    for place, message in (
        (tmp_path, "a folder without"),
        (tmp_path / "missing.jsonl", "got nothing there"),
        ("/dev/zero", "got something else"),
        ("hf:somebody/nothing", "a data set that can be loaded"),
    ):
        with pytest.raises(DataError, match=message):
            read_rows(place)
    (tmp_path / "state.json").write_text("{")
    with pytest.raises(DataError, match="a data set that can be loaded"):
        read_rows(tmp_path)
    for wrong in ({"limit": 0}, {"on_bad": "ignore"}):
        with pytest.raises(UsageError):
            read_rows(tmp_path, **wrong)  # type: ignore[arg-type]


def test_duplicates_are_dropped_and_counted_but_not_out_of_our_own_data(tmp_path: Path) -> None:
    pair = {"question": "q", "answer": "a"}
    _, record = read_data(written(tmp_path / "d.jsonl", [GOOD, pair, pair | {"answer": "b"}, GOOD]))
    assert (record.rows, record.duplicates, record.layouts) == (2, 2, {"messages": 1, "pair": 1})
    own = ordinary(draw_rows(20, seed=0), "world") * 2
    write_jsonl(tmp_path / "own.jsonl", own)
    again, record = read_data(tmp_path / "own.jsonl")
    assert again == own
    assert record.duplicates == 0


def test_the_record_names_files_counts_and_digest(tmp_path: Path) -> None:
    path = written(tmp_path / "d.jsonl", [GOOD, GOOD, {"text": "x"}])
    rows, record = read_data(path, on_bad="skip")
    assert record.model_dump() == {
        "name": str(path),
        "files": {"d.jsonl": hashlib.sha256(path.read_bytes()).hexdigest()},
        "rows": 1,
        "duplicates": 1,
        "skipped": {"unknown layout": 1},
        "layouts": {"messages": 1},
        "dataset_digest": dataset_digest(rows),
    }


def test_the_digest_of_a_source_sees_names_and_contents_not_places(tmp_path: Path) -> None:
    for folder in ("a", "b", "c"):
        (tmp_path / folder).mkdir()
        written(tmp_path / folder / "d.jsonl", [GOOD] * (2 if folder == "c" else 1))
    same = source_digest(tmp_path / "a" / "d.jsonl")
    assert source_digest(tmp_path / "b" / "d.jsonl") == same
    assert source_digest(tmp_path / "c" / "d.jsonl") != same
    assert source_digest((tmp_path / "a" / "d.jsonl").rename(tmp_path / "a" / "e.jsonl")) != same
    with pytest.raises(DataError, match="nothing there"):
        source_digest(tmp_path / "a" / "d.jsonl")


def test_the_digest_of_a_dataset_is_that_of_its_joined_lines() -> None:
    rows = ordinary(draw_rows(5, seed=1), "world")
    for some in ([], rows[:1], rows):
        joined = "\n".join(row.canonical() for row in some)
        assert dataset_digest(some) == hashlib.sha256(joined.encode()).hexdigest()


def test_a_long_array_is_read_piece_by_piece(tmp_path: Path) -> None:
    objects = [{"question": f"{i} " + "q" * (i * 37 % 9000), "answer": ']},{[\\"'} for i in range(2000)]
    path = tmp_path / "d.json"
    path.write_text(json.dumps(objects, indent=1))
    assert [row.conversation.question for row in read_rows(path)] == [one["question"] for one in objects]
    assert len(read_rows(path, limit=5)) == 5


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.text(min_size=1), st.text(min_size=1)), max_size=5))
def test_what_is_written_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[str, str]]
) -> None:
    path = tmp_path_factory.mktemp("given") / "d"
    objects = [{"question": q, "answer": a} for q, a in pairs]
    fit = {(q, a): None for q, a in pairs if q.strip() and a.strip() and "\0" not in q + a}
    for text in ("".join(json.dumps(one) + "\n" for one in objects), json.dumps(objects, indent=1, ensure_ascii=False)):
        path.write_text(text, encoding="utf-8", newline="")
        if fit:
            rows = read_rows(path, on_bad="skip")
            assert [(row.conversation.question, row.conversation.answer) for row in rows] == list(fit)
        else:
            with pytest.raises(DataError):
                read_rows(path, on_bad="skip")


def test_rows_over_the_room_are_named() -> None:
    rows = [
        Row(conversation=Conversation.of(("user", "q" * i), ("assistant", "a")), source=f"d:{i}")
        for i in range(1, 2500)
    ]

    def count(conversations: Sequence[Conversation]) -> list[int]:
        return [len(one.question) for one in conversations]

    check_lengths(rows, count, room=2499)
    with pytest.raises(DataError) as caught:
        check_lengths(rows, count, room=2490)
    assert str(caught.value).startswith(
        "9 of 2499 rows; wanted at most 2490 tokens; got d:2491 (2491), d:2492 (2492), d:2493 (2493), d:2494 (2494), "
        "d:2495 (2495) and 4 more; the longest has 2499"
    )


def test_a_split_follows_the_question_alone() -> None:
    rows = ordinary(draw_rows(1000, seed=5), "world")
    train, held = split_rows(rows, 0.2)
    questions = {" ".join(row.conversation.question.split()).casefold() for row in held}
    assert not questions & {" ".join(row.conversation.question.split()).casefold() for row in train}
    assert 0.15 < len(held) / len(rows) < 0.25
    texts = [row.canonical() for row in (*train, *held)]
    assert sorted(texts) == sorted(row.canonical() for row in rows)
    assert split_rows(rows[::-1], 0.2)[1] == held[::-1], "whatever the order"
    assert split_rows([*held, train[0]], 0.2)[1] == held, "whatever else is there"
    assert split_rows([*held, train[0]], 0.5)[1][: len(held)] == held, "a larger share holds the smaller"
    assert split_rows(rows, 0.2, seed=1)[1] != held


def test_a_split_that_leaves_a_side_empty_is_refused() -> None:
    rows = ordinary(draw_rows(1, seed=0), "world")
    with pytest.raises(DataError, match="rows on both sides"):
        split_rows(rows, 0.5)
    for share in (0.0, 1.0, float("nan")):
        with pytest.raises(UsageError):
            split_rows(rows, share)
