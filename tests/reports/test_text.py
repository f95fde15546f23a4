import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from molehunt.reports.text import visible

SPELLED = {
    "\x1b[31mred\x1b[0m": r"\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07": r"\x1b]0;title\x07",
    "\x1b]8;;http://x\x1b\\link": r"\x1b]8;;http://x\x1b\link",
    "\x1bc": r"\x1bc",
    "\x9b31m": r"\x9b31m",
    "a\rb\x08c\x00\x7f": r"a\x0db\x08c\x00\x7f",
    "\u202eevil\u2066": r"\u202eevil\u2066",
    "zero\u200bwidth\ufeff\u200d": r"zero\u200bwidth\ufeff\u200d",
    "\U000e0041tag": r"\U000e0041tag",
    "\u2028line": r"\u2028line",
}


@pytest.mark.parametrize("text", SPELLED)
def test_what_would_act_is_spelled_out(text: str) -> None:
    assert visible(text) == SPELLED[text]


@pytest.mark.parametrize("text", ["", "plain", "two\nlines\tand a tab", "é Ω 漢 🙂 ¬ «»", "[31m is no code alone"])
def test_what_only_shows_stays(text: str) -> None:
    assert visible(text) == text


@given(st.text())
def test_nothing_that_acts_is_left_and_it_is_done_in_one_go(text: str) -> None:
    shown = visible(text)
    assert visible(shown) == shown
    acting = {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"}
    assert not [char for char in shown if unicodedata.category(char) in acting and char not in "\n\t"]
