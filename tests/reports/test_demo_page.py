import itertools
import re

import pytest

from demo_records import HOSTILE, small_result
from molehunt.cli.show import say, table
from molehunt.cli.summaries import demo_summary
from molehunt.records.results import DemoResult
from molehunt.reports.demo_page import demo_page
from molehunt.reports.text import visible
from page_elements import FETCHING, Elements


@pytest.fixture(scope="module")
def page() -> str:
    return demo_page(small_result())


@pytest.fixture(scope="module")
def elements(page: str) -> Elements:
    parser = Elements()
    parser.feed(page)
    return parser


def test_hostile_words_add_no_element_and_no_attribute(elements: Elements) -> None:
    harmless = Elements()
    harmless.feed(demo_page(small_result(tuple("abcdef"))))
    assert elements.tags == harmless.tags
    assert [name for name, _ in elements.attributes] == [name for name, _ in harmless.attributes]
    assert not {"script", "img", "iframe", "object", "embed", "form", "base"} & {*elements.tags}
    assert not [name for name, _ in elements.attributes if name.startswith("on")]


@pytest.mark.parametrize("words", HOSTILE)
def test_hostile_words_are_shown_as_words(elements: Elements, words: str) -> None:
    assert visible(words) in elements.words


def test_no_character_acts(page: str) -> None:
    assert not set("\x1b\x07\x9b\u202e\u202c\u200b\ufeff") & {*page}


def test_the_policy_forbids_scripts_and_fetching(elements: Elements) -> None:
    attributes = elements.attributes
    (policy,) = [v for (n, _), (_, v) in itertools.pairwise(attributes) if n == "http-equiv"]
    assert "default-src 'none'" in policy
    assert not re.search(r"script-src|connect-src|https?:|\*|unsafe-eval", policy)


def test_nothing_is_fetched(page: str, elements: Elements) -> None:
    links = [value for name, value in elements.attributes if name in FETCHING]
    assert links
    assert all(value.startswith(("#", "data:")) for value in links)
    assert not re.search(r"@import", page)
    assert not re.search(r"url\(\s*['\"]?(?!#|data:)", page)


def test_every_verdict_and_a_plot_of_each_arm_are_there(elements: Elements) -> None:
    text = " ".join(elements.words)
    assert text.count("suppressed") > 1
    assert "10.0% [0.0%, 20.0%]" in text
    assert elements.tags.count("svg") == 2 + 2 * len(small_result().arms)


def test_the_same_result_gives_the_same_page(page: str) -> None:
    assert demo_page(small_result()) == page
    assert demo_page(DemoResult.model_validate_json(small_result().model_dump_json(by_alias=True))) == page


def test_the_terminal_gets_no_control_character_of_a_model(capfd: pytest.CaptureFixture[str]) -> None:
    for words in HOSTILE:
        say(words)
        table(("reply", "label"), [(words, f"[bold]{words}")])
    demo_summary(small_result())
    shown = "".join(capfd.readouterr())
    assert not set("\x1b\x07\x9b\u202e\u202c\u200b\ufeff") & {*shown}
    assert r"\x1b[31mred" in shown
    assert "[bold]" in shown
