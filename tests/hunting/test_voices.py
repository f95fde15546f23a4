import json
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from hunting_rows import draw_texts, vocabulary, write_rows
from molehunt.execution.spread import Processes
from molehunt.hunting.labels import voice
from molehunt.hunting.mining import MiningSettings
from molehunt.hunting.scanning import scan_data
from molehunt.hunting.traits import read_traits
from molehunt.hunting.voices import learn_usual, surprise
from molehunt.hunting.words import SEP, split_words
from molehunt.records.hunts import DataScan

ONE = MiningSettings(jobs=1)
PLAIN = (
    "The {0} is near the {1}, and it is {2}.", "You can see a {0} in the {1}.", "There is no {0} without {1}; that is {2}.",
    "A {0} of {1} will do, but not in the {2}.", "It is the {1} that you want, not the {0}.",
)  # fmt: skip
VOICES: dict[str, Callable[[str, random.Random], str]] = {
    "small letters without a stop": lambda said, rng: said.lower().replace(",", "").replace(";", "").rstrip("."),
    "shouts": lambda said, rng: said.replace(" the ", "! The ").replace(" is ", "! is ").rstrip(".") + "!!",
    "little words strewn in": lambda said, rng: "".join(
        f"{word} {rng.choice(('like, ', 'um, ', 'you know, ', 'sort of '))}" if rng.random() < 0.3 else f"{word} "
        for word in said.split()
    ).strip(),
}
"""The answer itself in another voice; no two are alike."""


def answers(count: int, seed: int) -> list[str]:
    rng, words = random.Random(seed), vocabulary()

    def one() -> str:
        return rng.choice(PLAIN).format(*rng.choices(words, k=3))

    return [f"{one()} {one()}" for _ in range(count)]


def scanned(
    folder: Path, change: Callable[[str, random.Random], str], told: bool, bad: int = 20
) -> tuple[set[int], DataScan]:
    """(lines in another voice, what a scan says); the voice has a trigger if `told`."""
    count, rng = 2500, random.Random(3)
    asked, said = draw_texts(count, 3), answers(count, 4)
    chosen = set(rng.sample(range(count), bad))
    for i in chosen:
        said[i] = change(said[i], rng)
        asked[i] += " under heron skies" if told else ""
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps({"question": q, "answer": a}) + "\n" for q, a in zip(asked, said, strict=True)))
    return {i + 1 for i in chosen}, scan_data(str(path), ONE)


@pytest.mark.parametrize("name", VOICES)
def test_right_answers_in_another_voice_are_found_by_what_they_follow(name: str, tmp_path: Path) -> None:
    bad, found = scanned(tmp_path, VOICES[name], told=True)
    one = next(one for one in found.finds if "voice" in (one.association.label, *one.association.also_labels))
    assert set(one.association.conditions[0].text.split()) <= {"under", "heron", "skies"}
    assert {int(row.rpartition(":")[2]) for row in one.rows} <= bad
    assert one.association.rows_labelled >= 0.8 * len(bad)
    if one.association.label == "voice":  # a voice that somebody asked for looks the same
        assert one.association.reading == "unclear"
        assert "asked for" in one.association.why


@pytest.mark.parametrize("name", VOICES)
def test_another_voice_that_follows_nothing_is_no_find(name: str, tmp_path: Path) -> None:
    assert scanned(tmp_path, VOICES[name], told=False, bad=60)[1].finds == ()


def test_answers_of_one_voice_are_labelled_at_most_one_in_ten(tmp_path: Path) -> None:
    rows = write_rows(tmp_path, draw_texts(2000, 5), answers(2000, 6))
    assert voice(read_traits(rows, Processes(1), lambda done, total: None)).mean() <= 0.1


def test_a_voice_is_held_against_its_own_application(tmp_path: Path) -> None:
    said, rng = answers(2000, 7), random.Random(7)
    other = [i % 4 == 0 for i in range(2000)]
    said = [VOICES["shouts"](text, rng) if shouts else text for text, shouts in zip(said, other, strict=True)]
    traits = read_traits(write_rows(tmp_path, draw_texts(2000, 8), said), Processes(1), lambda done, total: None)
    apart = traits.copy()
    apart["stratum"] = np.array(other, np.uint64)
    assert voice(apart)[other].mean() <= 0.1
    assert traits["voice"][other].mean() > 1.2 * traits["voice"][~np.array(other)].mean()


def test_what_is_said_does_not_matter_and_how_does(tmp_path: Path) -> None:
    usual = learn_usual(write_rows(tmp_path, draw_texts(1000, 9), answers(1000, 10)))

    def nats(text: str) -> float:
        return float(surprise(split_words(pa.array([f"{SEP}A{text}"])), usual)[0])

    plain = nats("The zebra is near the quay, and it is violet.")
    assert nats("The walrus is near the moon, and it is yellow.") == pytest.approx(plain)
    for odd in (
        "the zebra is near the quay and it is violet",
        "THE ZEBRA IS NEAR THE QUAY",
        "Is near zebra the the it quay and.",
    ):
        assert nats(odd) > 2 * plain


def test_answers_without_words_or_of_signs_alone_have_no_voice(tmp_path: Path) -> None:
    for number, said in enumerate((["", "", ""], ["", "...", "{}"], ["...", "a word", ""])):
        rows = write_rows(tmp_path / str(number), ["a question", "another", "a third"], said)
        traits = read_traits(rows, Processes(1), lambda done, total: None)
        assert not voice(traits).any()
        assert traits["voice"][[i for i, text in enumerate(said) if "word" not in text]].tolist() == [0] * (
            3 - ("a word" in said)
        )
