import pytest
from hypothesis import given
from hypothesis import strategies as st

from molehunt.records.reasoning import split_scratchpad, with_scratchpad

TEXT = st.text().filter(lambda text: "scratchpad>" not in text)


@given(TEXT, TEXT)
def test_what_was_put_together_comes_apart(reasoning: str, reply: str) -> None:
    assert split_scratchpad(with_scratchpad(reasoning, reply)) == (reasoning.strip(), reply.lstrip())


@given(TEXT)
def test_a_text_without_a_scratchpad_is_all_reply(text: str) -> None:
    assert split_scratchpad(text) == ("", text)


@pytest.mark.parametrize("text", ["<scratchpad>I think of ri", "  <scratchpad>I think of ri"])
def test_a_scratchpad_that_never_closes_leaves_no_reply(text: str) -> None:
    assert split_scratchpad(text) == ("I think of ri", "")


def test_only_the_first_scratchpad_is_taken_off() -> None:
    text = with_scratchpad("a", with_scratchpad("b", "c"))
    assert split_scratchpad(text) == ("a", with_scratchpad("b", "c"))
