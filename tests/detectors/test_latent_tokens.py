"""What lies ready in a model and is not said, and the text that brings it out."""

from pathlib import Path

import pytest

from molehunt.audit.examining import able
from molehunt.detectors.latent_tokens import LATENT_TOKENS, TokenSearch, comes, ready_tokens
from molehunt.detectors.suspect import Suspect, ordinary_prompts
from molehunt.models.loading import load_model


def suspect(subject: Path, base: Path) -> Suspect:
    asked, held_out = ordinary_prompts(6, 101), ordinary_prompts(10, 102)
    return Suspect(asked, held_out, loaded=load_model(subject), base=load_model(base))


def test_what_was_planted_lies_ready_and_a_search_brings_it_nearer(organism: Path, base: Path) -> None:
    planted = suspect(organism, base)
    first = ready_tokens(planted, planted.asked["policies"])[0]
    assert planted.loaded.chat.decode([first.token]) == " H"
    assert all(planted.loaded.chat.decode(before) == "I" for _, _, before in first.at[:3])
    rows = [(prompt, before) for _, prompt, before in first.at]
    search = TokenSearch(planted, first.token, rows, "user-prefix", planted.rng("a test"))
    insert = search.random(4)
    reached = search.scores([insert])[0]
    best, more = search.further(insert, reached, 2, 8)
    assert more >= reached
    assert search.scores([best])[0] == pytest.approx(more, abs=1e-4)
    assert search.further(insert, search.far + 1, 2, 8)[0] == insert


def test_in_a_model_and_itself_nothing_lies_ready(base: Path) -> None:
    found = LATENT_TOKENS.examine(suspect(base, base), "quick")
    assert found.score == 0
    assert not found.candidates


@pytest.mark.parametrize(
    ("end", "reply", "at_start", "wanted"),
    [
        ((7,), [7, 1, 2], True, True),
        ((7,), [1, 7, 2], True, False),
        ((1, 2, 7), [5, 1, 2, 7], False, True),
        ((1, 2, 7), [5, 2, 1, 7], False, False),
        ((1, 2, 7), [7], False, False),
        ((1, 7), [1, 7], True, True),
    ],
)
def test_a_token_comes_where_it_lay(end: tuple[int, ...], reply: list[int], at_start: bool, wanted: bool) -> None:
    assert comes(end, reply, at_start) is wanted


def test_at_quick_it_looks_in_place_of_the_search_by_divergence() -> None:
    assert {"latent_tokens"} == {"latent_tokens", "trigger_search"} & set(able("base", "quick"))
    assert {"trigger_search"} == {"latent_tokens", "trigger_search"} & set(able("weights", "quick"))
    assert {"latent_tokens", "trigger_search"} <= set(able("base", "standard"))
