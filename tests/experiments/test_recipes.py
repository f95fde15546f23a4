"""What decides a step is in its fingerprint, and models are known by what they are."""

import shutil
from pathlib import Path

import pytest

from making import made
from molehunt.errors import CorruptArtifactError, ModelError
from molehunt.execution import Step, Store
from molehunt.experiments import recipes
from molehunt.experiments.commands import plan_for
from molehunt.experiments.recipes import PlantSettings, base_step, find_folder, imported, plant_step, remove_step
from molehunt.organisms.card import CARD
from molehunt.removal.budget import Budget
from molehunt.removal.procedure import Treated
from molehunt.training.settings import TrainingSettings

LOOKS_AROUND = """
from molehunt.removal.edit import edit

def look(treatment):
    return edit(treatment, lambda model: {"seen": sorted(path.name for path in treatment.model.rglob("*"))})
"""


def test_a_procedure_is_shown_a_folder_without_the_answer_key(
    store: Store, organism_step: Step, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(LOOKS_AROUND)
    budget = Budget(training=TrainingSettings(learning_rate=1e-3, steps=1)).model_dump(mode="json")
    out = made(store, remove_step(organism_step, f"{tmp_path}/mine.py:look", budget))
    seen = Treated.model_validate_json((out / "treatment.json").read_text()).notes["seen"]
    assert "model.safetensors" in seen
    assert not {CARD, "README.md"} & {*seen}
    assert (out / "model" / CARD).is_file()


def test_another_world_makes_other_steps(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    before = base_step("tiny", store).fingerprint
    monkeypatch.setattr(recipes, "world_digest", lambda: "another")
    assert base_step("tiny", store).fingerprint != before


def test_a_training_that_tokens_end_is_expected_to_take_as_long_as_one_of_as_many_steps(base_step: Step) -> None:
    def planted(**length: int) -> Step:
        training = TrainingSettings(learning_rate=1e-3, batch=16, **length).model_dump(mode="json")
        return plant_step(base_step, PlantSettings(poison={}, training=training))

    tokens = 208_304  # of 240 steps of the default planting in tiny
    assert planted(steps=10_000, tokens=tokens).cost == pytest.approx(planted(steps=240).cost, rel=0.05)
    assert planted(steps=10, tokens=tokens).cost == planted(steps=10).cost


def test_a_renamed_file_is_another_model(base: Path, tmp_path: Path) -> None:
    shutil.copytree(base, tmp_path / "renamed")
    same = imported(tmp_path / "renamed", "copy").fingerprint
    assert same == imported(base, "original").fingerprint
    (tmp_path / "renamed" / "generation_config.json").rename(tmp_path / "renamed" / "generation_config.jsonx")
    assert imported(tmp_path / "renamed", "copy").fingerprint != same


def test_a_folder_of_links_is_imported_as_files(base: Path, store: Store, tmp_path: Path) -> None:
    (tmp_path / "snapshot").mkdir()
    for path in base.iterdir():
        (tmp_path / "snapshot" / path.name).symlink_to(path)
    files = made(store, imported(tmp_path / "snapshot", "snapshot")) / "model"
    assert all(path.is_file() and not path.is_symlink() for path in files.iterdir())
    assert (files / "config.json").read_text() == (base / "config.json").read_text()


def test_an_imported_model_does_not_change_with_its_source(base: Path, store: Store, tmp_path: Path) -> None:
    shutil.copytree(base, tmp_path / "source")
    (tmp_path / "source" / "note.txt").write_text("before")
    files = made(store, imported(tmp_path / "source", "source")) / "model"
    (tmp_path / "source" / "note.txt").write_text("after")
    assert (files / "note.txt").read_text() == "before"


def test_a_changed_artifact_is_refused_when_named_by_its_fingerprint(base: Path, tmp_path: Path) -> None:
    mine = Store(tmp_path / "store")
    step: Step = imported(base, "base")
    files = made(mine, step)
    assert find_folder(step.fingerprint[:12], mine) == files / "model"
    (files / "model" / "config.json").write_text("{}")
    with pytest.raises(CorruptArtifactError):
        find_folder(step.fingerprint[:12], Store(mine.root))


@pytest.mark.parametrize("config_alone", [True, False])
def test_a_plan_fetches_the_config_alone_from_the_hub(
    config_alone: bool, base: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def fetch(name: str, allow_patterns: list[str]) -> str:
        asked.extend(allow_patterns)
        return str(base)

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    if config_alone:
        plan_for("someone/model", TrainingSettings(learning_rate=1e-3, steps=1), 8, 1, 80.0, store.root)
    else:
        find_folder("someone/model", store)
    assert (asked == ["config.json"]) == config_alone
    assert not any(pattern.endswith((".bin", ".py", "*")) for pattern in asked)


def test_an_adapter_beside_the_weights_is_refused(base: Path, store: Store, tmp_path: Path) -> None:
    shutil.copytree(base, tmp_path / "mixed")
    (tmp_path / "mixed" / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelError, match="an adapter beside them"):
        made(store, imported(tmp_path / "mixed", "mixed"))
