import itertools
import math
import re
import time

import pytest

from demo_records import HOSTILE
from molehunt.records.claims import CellEffect
from molehunt.records.estimates import ArmEstimate
from molehunt.records.studies import StudyResult
from molehunt.reports.marks import Scale, around_zero, sign_of
from molehunt.reports.study_page import FIRST_FLIPS, FIRST_PANELS, fold, study_page
from molehunt.reports.study_plots import StudyView, heat, sides
from molehunt.reports.text import visible
from page_elements import FETCHING, Elements
from study_records import effect, study_result


def arm_estimate(*by_seed: float) -> ArmEstimate:
    mean = sum(by_seed) / len(by_seed)
    return ArmEstimate(
        value=mean, low=mean - 0.02, high=mean + 0.02, n=2, method="by hand", by_seed=by_seed, seed_share=None
    )


VERDICTS = ("supported", "contradicted", "no meaningful effect", "undecided", "not tested")
SECTIONS = (
    "claims",
    "effects",
    "interactions",
    "arm-estimates",
    "trajectories",
    "verdicts",
    "pareto",
    "arms",
    "missing",
)


def read(result: StudyResult) -> Elements:
    elements = Elements()
    elements.feed(study_page(result))
    return elements


@pytest.fixture(scope="module")
def page() -> str:
    return study_page(study_result())


@pytest.fixture(scope="module")
def elements(page: str) -> Elements:
    parser = Elements()
    parser.feed(page)
    return parser


@pytest.fixture(scope="module")
def hostile() -> str:
    return study_page(study_result(HOSTILE))


def text_of(elements: Elements) -> str:
    return re.sub(r"\s+", " ", " ".join(elements.words))


def test_all_parts_are_there_and_every_link_leads_somewhere(elements: Elements) -> None:
    ids = [value for name, value in elements.attributes if name == "id"]
    assert len(ids) == len({*ids})
    assert {*SECTIONS} <= {*ids}
    links = [value for name, value in elements.attributes if name == "href" and value.startswith("#")]
    assert {link.removeprefix("#") for link in links} <= {*ids}
    assert {f"arm-{i}" for i in range(1, 49)} <= {*ids}


def test_each_verdict_on_a_claim_is_a_word_and_a_sign(elements: Elements) -> None:
    text = text_of(elements)
    for sign, verdict in zip("✓✗≈?–", VERDICTS, strict=True):
        assert f"{sign} {verdict}" in text
    assert "+34.0 points" in text
    assert "[+28.0, +40.0]" in text
    assert "[+25.0, +43.0]" in text
    assert "less than 0, from −10.0 points" in text
    assert "about 5, if spread and effect stay" in text


def test_what_weakens_a_claim_is_loud(elements: Elements) -> None:
    text = text_of(elements)
    assert "⚠ confounded" in text
    assert "Confounded, as the arms differ in more than the factor: claim-0." in text
    assert "organism.counted.payload_tokens" in elements.words
    assert "⚠ planted unequally" in text
    assert "98.0% of triggered prompts at adamw and on 81.0% at soap" in text
    assert text.count("⇅ flips") > 1


def test_the_first_flips_are_unfolded_and_all_are_marked(page: str) -> None:
    flips = [e.flips.verdict for e in study_result().effects if e.flips].count("flips")
    assert flips > FIRST_FLIPS
    assert page.count('<div class="card fold flips"><details open>') == FIRST_FLIPS
    assert page.count('<div class="card fold flips">') == flips


def test_the_top_tells_question_prediction_missing_and_limits(elements: Elements) -> None:
    top = text_of(elements).partition("Verdicts rest on")[0]
    for words in (
        "Does the removal remove",
        "It flips.",
        "48 arms × 3 seeds ( 0, 1, 2 )",
        "48 prompts",
        "142 of 144",
        "2 cells",
    ):
        assert words.replace(" ", "") in top.replace(" ", "")
    assert "one base for all seeds" in top


def test_settings_estimates_verdicts_and_counts_of_every_arm_are_there(page: str) -> None:
    whole = page[page.index('id="arms"') :]
    assert whole.count('<details class="arm">') == 48
    assert whole.count("field_7  &#34;value 7&#34;") == 48
    assert "<b>0  &#34;distilled&#34;</b>" in whole
    assert "480 (every seed)" in whole
    assert "ASR 62.5% after the removal, above the line of 5%" in whole
    assert "failed/0123/log.txt" in whole


@pytest.mark.parametrize("words", HOSTILE)
def test_hostile_words_are_shown_as_words(hostile: str, words: str) -> None:
    parser = Elements()
    parser.feed(hostile)
    text = "".join(parser.words)
    for said in (
        "It flips.",
        "figure 5",
        "payload_tokens",
        "out of memory",
        "line of 5%",
        "matters",
        "below at 3",
        "adamw",
    ):
        assert any(f"{said} {visible(one)}" in text for one in HOSTILE), said
    assert visible(words) in text


def test_hostile_words_add_no_element_and_no_attribute(hostile: str) -> None:
    parser, harmless = Elements(), read(study_result(tuple("abcdef")))
    parser.feed(hostile)
    assert parser.tags == harmless.tags
    assert [name for name, _ in parser.attributes] == [name for name, _ in harmless.attributes]
    assert not {"script", "img", "iframe", "object", "embed", "form", "base", "foreignobject"} & {*parser.tags}
    assert not [name for name, _ in parser.attributes if name.startswith("on")]
    assert not set("\x1b\x07\x9b\u202e\u202c\u200b\ufeff") & {*hostile}


def test_nothing_is_fetched(page: str, elements: Elements) -> None:
    assert all(value.startswith(("#", "data:")) for name, value in elements.attributes if name in FETCHING)
    assert not re.search(r"https?:|@import|url\(|//[a-z]", page)
    (policy,) = [v for (n, _), (_, v) in itertools.pairwise(elements.attributes) if n == "http-equiv"]
    assert "default-src 'none'" in policy
    assert not re.search(r"script-src|connect-src|\*|unsafe-eval", policy)


def test_the_same_result_gives_the_same_page(page: str) -> None:
    assert study_page(StudyResult.model_validate_json(study_result().model_dump_json(by_alias=True))) == page


def test_one_seed_is_said_aloud() -> None:
    result = study_result(seeds=1, missing=0).model_copy(update={"limits": ()})
    text = text_of(read(result))
    assert "one seed: nothing can be said of other seeds" in text
    assert "rings are seeds" not in text


def test_a_study_of_nothing_finished_still_has_a_page() -> None:
    result = study_result(claims=False).model_copy(update={
        "cells": (), "effects": (), "front": (), "strengths": (), "contrasts": (),
        "arms": tuple(a.model_copy(update={"estimates": {}, "verdicts": {}, "oracle_gap": None}) for a in study_result().arms),
    })  # fmt: skip
    text = text_of(read(result))
    for words in (
        "tests no claims",
        "No effects were estimated",
        "No factor has others",
        "No removal was measured",
        "No arm has both",
    ):
        assert words in text
    assert "out of memory" in text


def test_no_arms_at_all() -> None:
    empty = {
        "cells": (),
        "effects": (),
        "front": (),
        "strengths": (),
        "contrasts": (),
        "arms": (),
        "missing": (),
        "claims": (),
    }
    assert "No arm was measured" in text_of(read(study_result().model_copy(update=empty)))


@pytest.mark.parametrize("name", ["organism.cot", "removal.rate"])
def test_one_factor(name: str) -> None:
    result = study_result(factors={name: ("a", "b")}, claims=True)
    assert "a against b" in text_of(read(result))


def test_a_claim_against_zero_on_a_difference_of_rates() -> None:
    result = study_result()
    claim = result.claims[0].claim.model_copy(update={"against": "", "outcome": "rebound"})
    finding = result.claims[0].model_copy(update={"claim": claim, "flips": None})
    arm = result.arms[0].model_copy(update={"estimates": {"rebound": arm_estimate(-0.2, -0.4)}})
    cell = result.cells[0].model_copy(update={"means": {"rebound": (-0.2, 0.1)}})
    odd = {"claims": (finding,), "strengths": (), "arms": (arm, *result.arms[1:]), "cells": (cell, *result.cells[1:])}
    text = text_of(read(result.model_copy(update=odd)))
    assert "distilled, held against zero" in text
    assert "On rebound after the reversal, in points" in text
    assert "−30.0% [−32.0%, −28.0%]" in text


def test_a_claim_points_to_the_combinations_of_its_effect() -> None:
    result = study_result()
    finding = result.claims[0].model_copy(update={"flips": None})
    page = study_page(result.model_copy(update={"claims": (finding,)}))
    card = page[page.index('id="claim-1"') : page.index("</article>")]
    assert 'href="#effect-1"' in card
    assert 'id="effect-1"' in page


def test_numbers_that_are_none() -> None:
    result = study_result()
    odd = effect(math.nan, math.inf), effect(0.2, math.inf)
    claims = [f.model_copy(update={"effect": e, "simultaneous": e}) for f, e in zip(result.claims, odd, strict=False)]
    first = result.effects[0]
    assert first.flips
    cells = (CellEffect(levels=first.flips.cells[0].levels, effect=e) for e in odd)
    flips = first.flips.model_copy(update={"cells": tuple(cells)})
    page = study_page(
        result.model_copy(update={"claims": tuple(claims), "effects": (first.model_copy(update={"flips": flips}),)})
    )
    assert "[−∞, ∞]" in page
    assert not re.search(r"(x|x1|x2|cx|width|d)=\"[^\"]*(nan|inf)", page)


def test_a_large_study_stays_small_and_is_drawn_fast() -> None:
    factors = {name: tuple(f"level-{i}" for i in range(n)) for name, n in
               {"organism.one": 5, "organism.two": 5, "removal.three": 5, "removal.four": 4}.items()}  # fmt: skip
    result = study_result(factors=factors, seeds=10, fields=80, missing=100, checkpoints=12)
    assert len(result.arms) == 500
    began = time.process_time()
    page = study_page(result)
    assert time.process_time() - began < 10
    assert len(page.encode()) < 15_000_000
    assert f"{500 - FIRST_PANELS} more arms" in page
    assert page.count("<figure>") == 500


def test_fold() -> None:
    assert fold(range(7), 2, 2) == (range(7), (), ())
    assert fold(range(9), 2, 2) == (range(2), range(2, 7), range(7, 9))
    assert fold(range(9), 2) == (range(2), range(2, 9), range(9, 9))


def test_table_of_verdicts_stands_as_the_design() -> None:
    result = study_result()
    view = StudyView(result)
    assert [[f.name for f in side] for side in sides(result.study.factors)] == [
        ["cot", "optimizer", "size"],
        ["procedure", "rate"],
    ]
    table = heat(view)
    assert [(h.name, h.span) for h in table.columns[0]] == [("hhh_sft", 3), ("pirate", 3)]
    assert [(h.name, h.span) for h in table.rows[0][0]] == [("distilled", 4), ("adamw", 2), ("tiny", 1)]
    assert [(h.name, h.span) for h in table.rows[1][0]] == [("small", 1)]
    cell = table.rows[3][1][4]
    assert cell
    assert cell.arm.result.levels == {
        "cot": "distilled",
        "optimizer": "soap",
        "size": "small",
        "procedure": "pirate",
        "rate": "1e-3",
    }
    assert dict(cell.counts) == cell.arm.result.verdicts


def test_combinations_left_out_are_empty_places() -> None:
    result = study_result()
    fewer = result.model_copy(update={"arms": result.arms[:5], "cells": (), "front": ()})
    rows = heat(StudyView(fewer)).rows
    assert [[cell is not None for cell in cells] for _, cells in rows] == [[True] * 5]
    assert "not in the design" in study_page(
        result.model_copy(update={"arms": result.arms[:7], "cells": (), "front": ()})
    )


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(0, 1, [0, 0.25, 0.5, 0.75, 1]), (-0.5, 0.5, [-0.5, -0.25, 0, 0.25, 0.5]), (-30, 30, [-20, 0, 20])],
)
def test_ticks_are_round(low: float, high: float, ticks: list[float]) -> None:
    assert Scale(low, high).ticks() == pytest.approx(ticks)


def test_a_scale_keeps_everything_on_the_paper() -> None:
    scale = Scale(-1, 1)
    assert [scale(v) for v in (-math.inf, -1, 0, 1, 7, math.inf)] == [0, 0, 50, 100, 100, 100]
    assert around_zero([effect(0.5, 0.2)], 0.1, 1.0).high == pytest.approx(0.735)
    assert around_zero([effect(0.5, 40)], 0.1, 1.0).high == 1.0
    assert around_zero([effect(2, 400)], 0.1).high == pytest.approx(6.3)


def test_sign() -> None:
    assert [sign_of(effect(v, 0.1)) for v in (0.2, -0.2, 0.05)] == ["up", "down", "straddles"]
