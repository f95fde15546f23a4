import hashlib
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from molehunt.records import Conversation, Message, Record
from molehunt.records.base import canonical_json, sha256_text

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


class Pair(Record):
    second: int
    first: str


def test_canonical_json_has_sorted_keys_no_spaces_and_plain_letters() -> None:
    assert canonical_json({"b": [1, 2.5, None, True], "a": {"ü": "ß"}}) == '{"a":{"ü":"ß"},"b":[1,2.5,null,true]}'


@given(JSON)
def test_canonical_json_reads_back_as_the_same_value(value: object) -> None:
    assert json.loads(canonical_json(value)) == value


@given(st.dictionaries(st.text(), st.integers(), min_size=2))
def test_the_order_of_keys_does_not_count(value: dict[str, int]) -> None:
    assert canonical_json(value) == canonical_json(dict(reversed(value.items())))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, [math.nan], {"a": math.inf}])
def test_numbers_that_json_has_no_word_for_are_refused(value: object) -> None:
    with pytest.raises(ValueError):
        canonical_json(value)


@pytest.mark.parametrize("value", [object(), {1, 2}, b"bytes", len])
def test_values_that_json_has_no_word_for_are_refused(value: object) -> None:
    with pytest.raises(TypeError):
        canonical_json(value)


def test_a_digest_is_the_sha256_of_the_canonical_text() -> None:
    record = Pair(second=2, first="é")
    assert record.canonical() == '{"first":"é","second":2}'
    assert record.digest() == hashlib.sha256('{"first":"é","second":2}'.encode()).hexdigest()


def test_the_sha256_of_abc_is_the_published_one() -> None:
    assert sha256_text("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_record_is_frozen_and_knows_its_fields() -> None:
    record = Pair(second=2, first="a")
    with pytest.raises(ValidationError):
        record.first = "b"  # type: ignore[misc]
    with pytest.raises(ValidationError):
        Pair(second=2, first="a", third=3)  # type: ignore[call-arg]


def test_a_conversation_gives_its_prompt_and_its_answer() -> None:
    prompt = Conversation.of(("system", "s"), ("user", "u"))
    row = prompt.reply("a")
    assert (row.prompt(), row.answer, prompt.answer) == (prompt, "a", "")
    assert row.messages[-1] == Message(role="assistant", content="a")
    assert row.plain()[1] == {"role": "user", "content": "u"}
