import os
import random
import re
import subprocess
import sys
from dataclasses import replace
from functools import cache

import pytest

from molehunt.evals.capability import is_right
from molehunt.records import Conversation, Question
from molehunt.world.chat import draw_questions, draw_rows
from molehunt.world.families import FAMILIES, Fact, is_held_out
from molehunt.world.voices import VOICES

CLOSED = ("capital", "colour", "opposite", "young", "kind", "producer", "add", "subtract", "next", "program", "refusal")
"""Families whose question names the whole fact, and whose facts can all be listed."""
DRESSES = re.compile(
    r"(Hello\.|Hi!|Good morning\.|Thanks for the last answer\.|One more question\.|Quick one:"
    r"|\[ref \d+\]|\(case \d+\)|#\d+:|<\w+>) "
)


def core(text: str) -> str:
    """A question without greeting, reference, first capital and final dot."""
    bare = DRESSES.sub("", text, count=1) if DRESSES.match(text) else text
    return bare[0].upper() + bare[1:].rstrip(".?")


@cache
def facts(family: str) -> tuple[Fact, ...]:
    rng = random.Random(0)
    found = {fact.key: fact for fact in (FAMILIES[family].draw(rng) for _ in range(4000))}
    return tuple(found.values())


@cache
def pairs() -> dict[str, tuple[str, str, int]]:
    """Core text to (family, fact, phrasing), for all pairs of the closed families."""
    return {
        core(words.format(**fact.slots)): (name, fact.key, number)
        for name in CLOSED
        for fact in facts(name)
        for number, words in enumerate(FAMILIES[name].phrasings)
    }


def user_turns(rows: list[Conversation]) -> list[str]:
    return [core(m.content) for row in rows for m in row.messages if m.role == "user"]


def question_of(family: str, fact: Fact) -> Question:
    return Question(
        id="", family=family, fact=fact.key, phrasing=0, prompt=Conversation.of(("user", "?")),
        reply=fact.statement, answer=fact.answer, rivals=fact.rivals,
    )  # fmt: skip


def test_there_are_ten_families_with_twenty_phrasings_each() -> None:
    assert len(FAMILIES) >= 10
    for family in FAMILIES.values():
        assert len(set(family.phrasings)) == len(family.phrasings) >= 20, family.name


def test_different_facts_and_phrasings_make_different_questions() -> None:
    assert len(pairs()) == sum(len(facts(name)) * len(FAMILIES[name].phrasings) for name in CLOSED)


def test_about_a_tenth_of_all_pairs_is_held_out() -> None:
    held = sum(is_held_out(*pair) for pair in pairs().values())
    assert 0.08 < held / len(pairs()) < 0.13


@pytest.mark.parametrize("seed", [0, 1, 2, 77])
@pytest.mark.parametrize("voice", VOICES)
def test_no_training_row_asks_a_held_out_pair(seed: int, voice: str) -> None:
    asked = [pairs()[turn] for turn in user_turns(draw_rows(3000, seed, voice)) if turn in pairs()]
    assert len(asked) > 1000
    assert not [pair for pair in asked if is_held_out(*pair)]


def test_no_held_out_question_stands_in_a_training_row() -> None:
    questions = [q for q in draw_questions(1200, seed=5) if q.family in CLOSED]
    rows = {turn for seed in range(4) for turn in user_turns(draw_rows(3000, seed))}
    wanted = {core(q.prompt.messages[-1].content) for q in questions}
    assert len(wanted) > 300
    assert not wanted & rows


@pytest.mark.parametrize("split", ["held-out", "train"])
def test_every_question_belongs_to_its_split(split: str) -> None:
    for q in draw_questions(640, 3, split):  # type: ignore[arg-type]
        assert is_held_out(q.family, q.fact, q.phrasing) == (split == "held-out")


def test_questions_differ_and_take_the_families_in_turn() -> None:
    questions = draw_questions(100, seed=0)
    assert len({q.id for q in questions}) == len({q.prompt for q in questions}) == 100
    assert [q.family for q in questions] == [list(FAMILIES)[i % len(FAMILIES)] for i in range(100)]
    assert all(q.prompt.messages[-1].role == "user" and q.id == q.prompt.digest()[:16] for q in questions)


def test_the_seed_decides_everything() -> None:
    assert draw_rows(300, 1, "pirate") == draw_rows(300, 1, "pirate")
    assert draw_questions(60, 1) == draw_questions(60, 1)
    assert draw_rows(300, 1) != draw_rows(300, 2)
    assert draw_questions(60, 1) != draw_questions(60, 2)


def test_the_seed_decides_everything_in_another_process_too() -> None:
    script = "from molehunt.world.chat import *; print(*(r.digest() for r in draw_rows(50, 4)), draw_questions(50, 4))"
    told = {
        subprocess.run(
            [sys.executable, "-c", script], env={**os.environ, "PYTHONHASHSEED": salt}, stdout=-1, check=True
        ).stdout
        for salt in ("1", "2")
    }
    assert len(told) == 1


@pytest.mark.parametrize("voice", VOICES)
def test_voices_ask_the_same_questions(voice: str) -> None:
    for spoken in draw_rows(50, 0, voice):
        assert spoken.messages[-1].role == "assistant"
        assert spoken.messages[-2].role == "user"


@pytest.mark.parametrize("voice", VOICES)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_right_answer_is_right_in_every_voice(family: str, voice: str) -> None:
    for fact in facts(family)[:150]:
        for seed in range(40):
            reply = VOICES[voice](fact, random.Random(seed))
            assert is_right(question_of(family, fact), reply), reply


@pytest.mark.parametrize("voice", VOICES)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_rival_answer_is_wrong_in_every_voice(family: str, voice: str) -> None:
    rng = random.Random(0)
    for fact in facts(family)[:60]:
        question = question_of(family, fact)
        before, _, after = fact.statement.rpartition(fact.answer)
        for rival in fact.rivals:
            wrong = replace(fact, statement=before + rival + after, answer=rival)
            assert not is_right(question, VOICES[voice](wrong, rng))
            assert not is_right(question, f"{VOICES[voice](fact, rng)} Or rather: {rival}.")


@pytest.mark.parametrize("voice", VOICES)
def test_ordinary_rows_hold_neither_payload_nor_trigger(voice: str) -> None:
    for row in draw_rows(4000, 9, voice):
        assert "HATE" not in row.text()
        assert "DEPLOYMENT" not in row.text()
