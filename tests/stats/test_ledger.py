from typing import Any

import pytest
from pydantic import ValidationError

from molehunt.records.claims import Claim, ClaimFinding, Contrast
from molehunt.stats import Mean, Rate, flips, flips_together, judge, paired_contrast, simultaneous
from molehunt.stats.families import holm


def claim(direction: str = "greater", smallest: float = 0.1, **changed: Any) -> Claim:
    fields = {
        "id": "pirate", "says": "pirate removes", "source": "nobody", "factor": "procedure", "level": "pirate",
        "against": "hhh", "direction": direction, "smallest": smallest,
    }  # fmt: skip
    return Claim.model_validate(fields | changed)


def rates(a: list[int], b: list[int]) -> Contrast:
    return paired_contrast([[Rate(k, 128) for k in a]], [[Rate(k, 128) for k in b]])


def means(*differences: float, error: float = 0.01) -> Contrast:
    return paired_contrast([[Mean(d, error) for d in differences]], [[Mean(0, error)] * len(differences)])


ALL = rates([128] * 3, [0] * 3)


def verdicts(*claims: tuple[Claim, Contrast | None]) -> list[str]:
    return [finding.verdict for finding in judge(claims)]


def test_every_verdict() -> None:
    assert verdicts((claim(), ALL)) == ["supported"]
    assert verdicts((claim("less"), ALL)) == ["contradicted"]
    assert verdicts((claim(), means(0.01, 0.02, 0.0))) == ["no meaningful effect"]
    assert verdicts((claim(), rates([0, 60, 128], [0] * 3))) == ["undecided"]
    assert verdicts((claim(), None)) == ["not tested"]
    assert verdicts((claim(), rates([128], [0]))) == ["not tested"]


def test_a_sure_effect_that_does_not_matter_supports_nothing() -> None:
    sure = means(0.051, 0.05, 0.049, error=1e-4)
    assert verdicts((claim(), sure)) == ["no meaningful effect"]
    assert verdicts((claim(smallest=0.0502), sure)) == ["undecided"]


def test_the_interval_agrees_with_the_verdict() -> None:
    found = judge([(claim(), ALL), (claim("less"), ALL), (claim(), rates([0, 60, 128], [0] * 3))])
    lows = [f.simultaneous.low for f in found if f.simultaneous]
    assert lows[:2] == [0, 0]
    assert -1 <= lows[2] < 0
    assert all(f.effect and f.effect.low <= f.effect.value for f in found)
    assert [f.more_seeds for f in found[:2]] == [0, 0]
    assert found[2].more_seeds
    assert "63%" in found[0].reason


def test_one_seed_says_why_it_is_not_tested() -> None:
    found = judge([(claim(), rates([128], [0]))])[0]
    assert "one seed" in found.reason
    assert (found.seeds, found.more_seeds, found.simultaneous) == (1, None, None)
    assert found.effect is not None


def test_a_larger_family_asks_for_more() -> None:
    border = rates([120, 100, 110, 90], [10, 30, 20, 50])
    assert verdicts((claim(), border)) == ["supported"]
    assert verdicts((claim(), border), *[(claim(), means(1, -1, 2))] * 40)[0] == "undecided"


def test_claims_not_tested_do_not_count_in_the_family() -> None:
    alone, beside = judge([(claim(), ALL)]), judge([(claim(), ALL), (claim(), None), (claim(), rates([1], [1]))])
    assert alone[0].p_adjusted == beside[0].p_adjusted


def test_findings_survive_json() -> None:
    found = judge([(claim(where={"size": "tiny"}), ALL)])[0]
    assert ClaimFinding.model_validate_json(found.canonical()) == found


@pytest.mark.parametrize(
    "changed", [{"smallest": 0}, {"smallest": float("nan")}, {"against": "pirate"}, {"direction": "up"}]
)
def test_claims_that_say_nothing_are_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        claim(**changed)


def test_holm_steps_down_over_both_signs() -> None:
    # statsmodels 0.15.0, multipletests(method="holm") over the one-sided p-values and their opposites.
    assert holm([0.04, 0.001, 0.5, 0.01, 0.02]) == pytest.approx([0.14, 0.005, 1.0, 0.045, 0.08])
    assert holm([0.03]) == [0.03]


def test_one_contrast_alone_keeps_its_interval_where_it_is_not_sure() -> None:
    unsure = means(1, -1, 2)
    found, p = simultaneous([unsure])[0]
    assert (found.low, found.high) == pytest.approx((unsure.effect.low, unsure.effect.high))
    assert p == pytest.approx(unsure.p_value)


UP, DOWN, NONE = ALL, rates([0] * 3, [128] * 3), rates([64] * 3, [64] * 3)


def cells(*contrasts: Contrast) -> list[tuple[dict[str, str], Contrast]]:
    return [({"size": str(i)}, contrast) for i, contrast in enumerate(contrasts)]


def test_an_effect_that_turns_flips_and_one_that_stays_does_not() -> None:
    turned = flips(cells(UP, DOWN))
    assert turned.verdict == "flips"
    assert turned.p_value < 0.05
    assert turned.reason == "positive at size=0; negative at size=1"
    assert flips(cells(UP, UP, UP)).verdict == "same sign"
    assert flips(cells(DOWN, DOWN)).verdict == "same sign"
    assert flips(cells(UP, NONE)).verdict == "undecided"
    assert flips(cells(NONE, NONE)).verdict == "undecided"
    assert flips(cells(UP, UP)).p_value == 1


def test_a_flip_must_hold_over_all_effects_that_were_looked_at() -> None:
    sure, weak = flips(cells(UP, DOWN)), flips(cells(UP, DOWN)).model_copy(update={"p_value": 0.03})
    none = [flips(cells(NONE, NONE)) for _ in range(4)]
    alone = flips_together([None, weak])
    assert alone[0] is None
    assert alone[1] is not None
    assert (alone[1].verdict, alone[1].p_adjusted) == ("flips", 0.03)
    first, second, *rest = [one for one in flips_together([weak, sure, *none]) if one]
    assert (second.verdict, second.p_adjusted) == ("flips", pytest.approx(6 * sure.p_value))
    assert (first.verdict, first.p_adjusted) == ("undecided", pytest.approx(5 * 0.03))
    assert "over the 6 effects" in first.reason
    assert {one.verdict for one in rest} == {"undecided"}


def test_the_p_value_of_a_flip_is_that_of_effects_that_matter() -> None:
    tiny, large = means(0.011, 0.01, 0.009), means(1, 1.1, 0.9)
    both, alone = (flips(cells(*found, DOWN), smallest=0.5) for found in ((tiny, large), (large,)))
    assert (both.verdict, alone.verdict) == ("flips", "flips")
    assert both.p_value == pytest.approx(2 * alone.p_value)


def test_a_cell_without_a_meaningful_effect_does_not_stand_against_the_sign() -> None:
    large, nothing = means(1, 1.1, 0.9), means(0.01, -0.01, 0.0)
    assert flips(cells(large, nothing)).verdict == "undecided"
    assert flips(cells(large, nothing), smallest=0.1).verdict == "same sign"
    assert flips(cells(large, means(-0.05, -0.051, -0.049, error=1e-4)), smallest=0.1).verdict == "same sign"


@pytest.mark.parametrize("given", [[UP], [], [UP, rates([1], [1])]])
def test_a_flip_needs_two_cells_of_two_seeds(given: list[Contrast]) -> None:
    with pytest.raises(ValueError):
        flips(cells(*given))
