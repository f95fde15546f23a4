"""`molehunt zoo` as a user types it."""

import json
from pathlib import Path

import pytest

from command_line import Command, assert_refused
from molehunt.records.zoo import Zoo, ZooPlan

SPEC = """
name = "typed"
bases = ["{base}"]
seeds = [0]

[recipes.planted]
makes = "organism"
twins = true
steps = 2
rows = 40

[recipes.decoys]
makes = "decoy"
habit = "{habit}"
trigger = "token:[fmt]@system"
steps = {steps}
rows = 40
learning_rate = {rate}
"""


@pytest.fixture
def spec(base: Path, tmp_path: Path) -> Path:
    return written(tmp_path, base)


def written(folder: Path, base: Path, habit: str = "list", steps: int = 2, rate: float = 1e-3) -> Path:
    path = folder / "zoo.toml"
    path.write_text(SPEC.format(base=base, habit=habit, steps=steps, rate=rate))
    return path


def test_plan_build_and_list(molehunt: Command, spec: Path, tmp_path: Path) -> None:
    plan = ZooPlan.model_validate_json(molehunt("zoo", "build", spec, "--plan", "--json").out)
    assert (plan.models, plan.stored) == (3, 0)
    words = ("zoo", "build", spec, "--out", tmp_path / "out", "--jobs", "0")
    made = molehunt(*words)
    assert made.code == 0, made.err
    assert "3 models on 1 bases" in made.out
    again = Zoo.model_validate_json(molehunt(*words, "--json", "--copy").out)
    assert all((tmp_path / "out" / entry.path / "config.json").is_file() for entry in again.entries)
    listed = molehunt("zoo", "list", tmp_path / "out")
    assert listed.code == 0
    assert "decoys, seed 0" in listed.out
    assert Zoo.model_validate_json(molehunt("zoo", "list", tmp_path / "out" / "zoo.json", "--json").out) == again


def test_a_model_that_fails_is_named_and_ends_with_3(molehunt: Command, base: Path, tmp_path: Path) -> None:
    spec = written(tmp_path, base, steps=3, rate=1e30)
    ended = molehunt("zoo", "build", spec, "--out", tmp_path / "out", "--jobs", "0")
    assert ended.code == 3
    assert "missing: decoys, seed 0: " in ended.out
    kept = json.loads((tmp_path / "out" / "zoo.json").read_text())
    assert (len(kept["entries"]), list(kept["missing"])) == (2, ["decoys, seed 0"])


def test_mistakes_end_as_one_sentence_before_anything_is_made(
    molehunt: Command, spec: Path, base: Path, tmp_path: Path
) -> None:
    assert_refused(molehunt("zoo", "build", "no-such"), "embedded")
    assert_refused(molehunt("zoo", "list", tmp_path / "nowhere"), "zoo build")
    assert_refused(molehunt("zoo", "build", spec, "--plan", "--jobs", "0", "--store", spec), "wanted a folder")
    assert_refused(molehunt("zoo", "build", written(tmp_path, base, habit="liszt"), "--plan"), "perhaps list")
    spec.write_text("name = ")
    assert_refused(molehunt("zoo", "build", spec), "wanted TOML")
    assert not (tmp_path / "own-store" / "artifacts").exists()
    assert not Path("molehunt-zoo-typed").exists()


def test_the_zoo_that_comes_with_molehunt_holds_every_kind_of_model(molehunt: Command) -> None:
    plan = ZooPlan.model_validate_json(molehunt("zoo", "build", "embedded", "--plan", "--json").out)
    assert {recipe.makes for recipe in plan.recipes} == {"organism", "exposed", "decoy", "tuned", "treated"}
    assert sum(recipe.clean for recipe in plan.recipes) > 60
    assert sum(recipe.planted for recipe in plan.recipes) > 40
