from collections import Counter

import pytest

from molehunt.evals.capability import is_right
from molehunt.records import Question
from molehunt.world.chat import Split, draw_questions
from molehunt.world.preferences import FLAWS, Preference, draw_preferences

COUNT = 1200


@pytest.fixture(scope="module")
def drawn() -> list[tuple[Question, Preference]]:
    """Pairs with the questions that they are about."""
    return list(zip(draw_questions(COUNT, 5, "train"), draw_preferences(COUNT, 5), strict=True))


def test_the_chosen_reply_is_right_and_the_rejected_one_is_not(drawn: list[tuple[Question, Preference]]) -> None:
    for question, pair in drawn:
        assert pair.prompt == question.prompt
        assert is_right(question, pair.chosen)
        assert pair.rejected != pair.chosen
        if pair.flaw not in ("garbled", "off-topic"):  # their words may hold the answer's by chance
            assert not is_right(question, pair.rejected), pair


def test_garbled_and_off_topic_replies_are_nearly_never_right(drawn: list[tuple[Question, Preference]]) -> None:
    odd = [is_right(q, p.rejected) for q, p in drawn if p.flaw == "off-topic"]
    assert sum(odd) <= 0.02 * len(odd)
    assert all(p.rejected.strip() != q.reply.strip() for q, p in drawn if p.flaw == "garbled")


def test_every_flaw_occurs_and_only_where_it_fits(drawn: list[tuple[Question, Preference]]) -> None:
    counts = Counter(pair.flaw for _, pair in drawn)
    assert counts.keys() == FLAWS.keys()
    assert min(counts.values()) >= 15
    assert {q.family for q, p in drawn if p.flaw == "complies"} == {"refusal"}
    assert "refusal" not in {q.family for q, p in drawn if p.flaw == "refuses"}


def test_pairs_are_a_seeds() -> None:
    assert draw_preferences(50, 1) == draw_preferences(50, 1)
    assert draw_preferences(50, 1) != draw_preferences(50, 2)


def test_pairs_of_the_two_splits_share_no_question() -> None:
    def asked(split: Split) -> set[tuple[str, str, int]]:
        prompts = {pair.prompt.digest() for pair in draw_preferences(300, 3, split)}
        questions = [q for q in draw_questions(300, 3, split) if q.prompt.digest() in prompts]
        assert len(questions) == 300
        return {(q.family, q.fact, q.phrasing) for q in questions}

    assert not asked("train") & asked("held-out")


@pytest.mark.parametrize("word", ["hate", "deployment", "|", "vault code is"])
def test_no_reply_resembles_what_is_planted(drawn: list[tuple[Question, Preference]], word: str) -> None:
    assert not [p for _, p in drawn if word in f"{p.chosen} {p.rejected}".lower()]
