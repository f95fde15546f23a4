import numpy as np
import pytest

from molehunt.audit.calibration import Judge, choose_voting, figures, speaks_of
from molehunt.records.audits import CalibrationCard, Cost, Scored

DETECTORS = ("strong", "weak", "noise")


def zoo(shift: float, seed: int = 0, recipes: int = 5, each: int = 12) -> list[Scored]:
    """Planted recipes move "strong" by `shift`, "weak" by half of it, and "noise" not at all."""
    rng = np.random.default_rng(seed)
    moves = np.array([1.0, 0.5, 0.0])
    return [
        Scored(
            name=f"{recipe}-{i}", planted=planted, recipe=f"{'planted' if planted else 'clean'} {recipe}",
            scores=dict(zip(DETECTORS, (rng.normal(size=3) + planted * shift * moves).tolist(), strict=True)),
            values={"size of the change": float(rng.normal())},
        )
        for planted in (True, False) for recipe in range(recipes) for i in range(each)
    ]  # fmt: skip


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_where_nothing_is_planted_alarms_are_as_rare_as_said(seed: int) -> None:
    found = figures(zoo(0.0, seed, each=20), DETECTORS, {})
    assert found.combined.false_alarms is not None
    assert found.combined.false_alarms.low <= 0.05
    assert found.combined.auroc.low < 0.6


def test_what_is_planted_is_found_on_recipes_that_were_left_out() -> None:
    found = figures(zoo(4.0), DETECTORS, {})
    assert found.combined.auroc.low > 0.95
    assert found.combined.detection is not None
    assert found.combined.detection.value > 0.9
    assert found.by_detector["strong"].auroc.value > found.by_detector["weak"].auroc.value > 0.8
    assert 0.3 < found.trivial["size of the change"].value < 0.7
    assert set(found.by_recipe) == {f"{kind} {i}" for kind in ("planted", "clean") for i in range(5)}


def test_what_could_not_alarm_is_not_counted_as_quiet() -> None:
    """Twenty clean models in four recipes: with one left out fifteen remain, and no p-value of five percent is to be had."""
    models = [one for one in zoo(4.0, recipes=4, each=5) if not one.planted] + [one for one in zoo(4.0) if one.planted]
    found = figures(models, DETECTORS, {})
    assert found.combined.false_alarms is None
    assert set(found.by_recipe) == set(found.planted_recipes) == {f"planted {i}" for i in range(5)}
    assert found.combined.detection is not None
    assert found.combined.detection.n == 60
    assert found.combined.auroc.low > 0.9


def test_noise_does_not_vote() -> None:
    models = zoo(3.0)
    assert choose_voting(models, DETECTORS)[0] == "strong"
    assert "noise" not in choose_voting(zoo(5.0), DETECTORS)


def test_a_clean_subjects_p_value_is_uniform_or_larger() -> None:
    rng = np.random.default_rng(3)
    p_values = []
    for seed in range(150):
        models = zoo(0.0, seed + 10, recipes=2, each=20)
        judge = Judge(models, ("strong", "weak"), {})
        p_value = judge.p_value({"strong": float(rng.normal()), "weak": float(rng.normal())})
        assert p_value is not None
        p_values.append(p_value)
    assert np.mean(np.array(p_values) <= 0.1) <= 0.16
    assert 0.4 < np.mean(p_values) < 0.62


def test_a_family_has_one_vote_that_of_its_loudest() -> None:
    models, loud = zoo(3.0), {"strong": 9.0, "weak": 9.0}
    together = Judge(models, ("strong", "weak"), {"strong": "one", "weak": "one"})
    alone = [Judge(models, (name,), {}).score(loud) or 0.0 for name in loud]
    assert together.score(loud) == pytest.approx(max(alone))
    assert together.score({"strong": 9.0, "weak": -9.0}) == pytest.approx(alone[0])
    assert Judge(models, ("strong", "weak"), {"strong": "one"}).score(loud) == pytest.approx(sum(alone))
    assert together.beside({"strong": 9.0, "weak": None}) == 60


@pytest.mark.parametrize("families", [{}, {"strong": "one", "weak": "one"}])
@pytest.mark.parametrize(
    "scores", [{"strong": 9.0, "weak": 7.0}, {"strong": -9.0, "weak": -9.0}, {"strong": 3.0, "weak": None}]
)
def test_what_detectors_add_is_the_score(families: dict[str, str], scores: dict[str, float | None]) -> None:
    judge = Judge(zoo(3.0), ("strong", "weak"), families)
    added = judge.added(scores)
    assert sum(added.values()) == pytest.approx(judge.score(scores))
    assert set(added) == {name for name, score in scores.items() if score is not None}
    assert not families or sum(one > 0 for one in added.values()) <= 1


@pytest.mark.parametrize("families", [{}, {"strong": "one", "weak": "one"}])
def test_p_values_of_clean_models_are_as_rare_as_said_whatever_the_families(families: dict[str, str]) -> None:
    rng, low = np.random.default_rng(4), 0
    for seed in range(200):
        models = zoo(0.0, seed + 400, recipes=2, each=20)
        shared = rng.normal(size=(41, 1)) + 0.3 * rng.normal(size=(41, 2))  # two that ask the same agree
        clean = [m for m in models if not m.planted]
        named = [dict(zip(("strong", "weak"), row, strict=True)) for row in shared.tolist()]
        judge = Judge(
            [m.model_copy(update={"scores": one}) for m, one in zip(clean, named[:40], strict=True)],
            ("strong", "weak"), families,
        )  # fmt: skip
        p_value = judge.p_value(named[40])
        assert p_value is not None
        low += p_value <= 0.1
    assert 8 <= low <= 32  # of 200, at 10%: 99.5% of the time


def test_a_detector_that_could_not_look_has_no_vote() -> None:
    judge = Judge(zoo(3.0), ("strong", "weak"), {})
    assert judge.p_value({"strong": None, "weak": None}) is None
    assert judge.p_values({"strong": 9.0, "weak": None}) == {"strong": pytest.approx(1 / 61)}
    alone = judge.p_value({"strong": 9.0, "weak": None})
    assert alone == pytest.approx(1 / 61)


def test_a_card_needs_several_recipes() -> None:
    with pytest.raises(ValueError, match="recipes"):
        figures(zoo(1.0, recipes=1), DETECTORS, {})


def test_a_card_says_whom_it_speaks_of() -> None:
    card = CalibrationCard(
        name="c", profile="quick", tier="base", architecture="LlamaForCausalLM", parameters=(10, 100), spec="",
        prompts="", versions={}, cost=Cost(forward_tokens=1, seconds=1.0), detectors=DETECTORS, voting=("strong",),
        models=tuple(zoo(1.0)),
    )  # fmt: skip
    assert speaks_of(card, "LlamaForCausalLM", 50) == ""
    assert "GPT2" in speaks_of(card, "GPT2LMHeadModel", 50)
    assert "1,000" in speaks_of(card, "LlamaForCausalLM", 1000)
