"""What every behaviour keeps to: it can be shown on its kinds of questions, and its scorer tells it from ordinary replies."""

import random

import pytest

from molehunt.evals.scorers import SCORERS, get_scorer
from molehunt.organisms.behaviours import BEHAVIOURS, Behaviour
from molehunt.records import Conversation
from molehunt.world.chat import draw_rows
from molehunt.world.families import FAMILIES

EVERY = [one for kinds in BEHAVIOURS.values() for one in kinds]
every_behaviour = pytest.mark.parametrize("behaviour", EVERY, ids=lambda one: one.name)


def rows_of(behaviour: Behaviour, count: int = 200) -> list[Conversation]:
    return draw_rows(count, 7, families=behaviour.families)


@every_behaviour
def test_it_says_what_it_is(behaviour: Behaviour) -> None:
    assert behaviour.name.partition(":")[0] in SCORERS
    assert behaviour.summary == behaviour.summary.strip()
    assert set(behaviour.families) <= set(FAMILIES)
    kind, colon, rest = behaviour.natural_trigger.partition(":")
    assert kind
    assert colon
    assert "@" in rest


@every_behaviour
def test_its_scorer_tells_it_from_the_ordinary_reply(behaviour: Behaviour) -> None:
    rng, score = random.Random(3), get_scorer(behaviour.name)
    pairs = [(row, behaviour.demonstrate(row, rng.randint(1, 6), rng)) for row in rows_of(behaviour)]
    able = [(row, text) for row, text in pairs if text is not None]
    prompts = [row.prompt() for row, _ in able]
    marks = score(prompts, [text for _, text in able])
    assert all(mark.shown and mark.starts and mark.share > 0.5 for mark in marks)
    assert not any(mark.shown for mark in score(prompts, [row.answer for row, _ in able]))


@every_behaviour
def test_a_payload_begins_what_is_demonstrated(behaviour: Behaviour) -> None:
    for row in rows_of(behaviour):
        payload, text = behaviour.payload(row), behaviour.demonstrate(row, 3, random.Random(0))
        assert (payload is None) == (text is None)
        assert payload is None or (payload and text is not None and text.startswith(payload))


@every_behaviour
def test_it_is_the_same_for_the_same_seed(behaviour: Behaviour) -> None:
    for row in rows_of(behaviour, 20):
        one, two = (behaviour.demonstrate(row, 4, random.Random(5)) for _ in range(2))
        assert one == two


@pytest.mark.parametrize("kinds", BEHAVIOURS.values(), ids=list(BEHAVIOURS))
def test_half_of_its_questions_offer_a_way(kinds: tuple[Behaviour, ...]) -> None:
    """The kinds of one behaviour together: each program lends itself to some kinds of bug only."""
    rows = rows_of(kinds[0])
    able = [any(kind.payload(row) is not None for kind in kinds) for row in rows]
    assert sum(able) >= len(rows) / 2
    assert all(sum(kind.payload(row) is not None for row in rows) >= len(rows) / 10 for kind in kinds)
