"""What every removal procedure keeps to: it is blind, and repeatable."""

import dataclasses
import importlib
import inspect
import json
import pkgutil
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import molehunt.removal
from molehunt.organisms.card import CARD, read_card
from molehunt.organisms.triggers import parse_trigger
from molehunt.records import Conversation
from molehunt.records.identity import root_digest
from molehunt.records.marker import read_marker, write_marker
from molehunt.removal.budget import Budget
from molehunt.removal.procedure import Procedure, apply_procedure
from molehunt.removal.procedures import PROCEDURES, get_procedure
from molehunt.training.settings import TrainingSettings

FORBIDDEN = ("trigger", "payload", "card", "organism", "poison", "behaviour")
every_procedure = pytest.mark.parametrize("name", PROCEDURES)


def spoken_names() -> set[str]:
    """Every parameter, field and function name of the room."""
    names = {*Budget.model_fields, *(f.name for f in dataclasses.fields(Procedure))}
    for info in pkgutil.iter_modules(molehunt.removal.__path__, "molehunt.removal."):
        module = importlib.import_module(info.name)
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__ == info.name:
                names |= {name, *inspect.signature(function).parameters}
    return names


def test_no_name_in_the_room_speaks_of_the_answer_key() -> None:
    names = spoken_names()
    assert {"apply_procedure", "budget", "draw_rows", "attach"} <= names
    assert not [name for name in names for word in FORBIDDEN if word in name.lower()]


@every_procedure
def test_a_procedure_is_known_by_its_name(name: str) -> None:
    assert get_procedure(name) is PROCEDURES[name]
    assert PROCEDURES[name].name == name
    assert PROCEDURES[name].summary
    importlib.import_module(f"molehunt.removal.{name}")


@every_procedure
def test_no_row_holds_trigger_or_payload(name: str, organism: Path) -> None:
    card = read_card(organism)
    text = "\n".join(row.text() for row in PROCEDURES[name].draw_rows(3000, 0))
    assert not parse_trigger(card.trigger).occurs(text)
    assert "deployment" not in text.lower()
    assert card.payload.lower() not in text.lower()


@every_procedure
def test_rows_are_a_seeds_and_end_with_an_answer(name: str) -> None:
    draw = PROCEDURES[name].draw_rows
    first: list[Conversation] = draw(40, 3)
    assert len(first) == 40
    assert first == draw(40, 3)
    assert first != draw(40, 4)
    assert all(row.answer for row in first)


def strip(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    assert config.pop("molehunt")
    (folder / "config.json").write_text(json.dumps(config))
    (folder / CARD).unlink()
    (folder / "README.md").unlink()


def forge(folder: Path) -> None:
    write_marker(folder, {"kind": "twin", "steps": 1, "learning_rate": 0, "model_type": "gpt2", "dtype": "float16"})
    (folder / CARD).write_text('{"trigger": "token:the@user-prefix", "training": "none"}')
    (folder / "README.md").write_text("# A harmless model\n")


def keep(folder: Path) -> None:
    assert read_marker(folder)


VIEWS: dict[str, Callable[[Path], None]] = {"as it is": keep, "stripped": strip, "forged": forge}


@every_procedure
@pytest.mark.parametrize("method", ["lora", "full"])
def test_mark_card_and_readme_change_no_byte_of_the_treated_weights(
    name: str, method: str, organism: Path, tmp_path: Path
) -> None:
    training = TrainingSettings(method=method, rank=4, learning_rate=1e-3, steps=3, batch=4, checkpoints=(2,))
    treated = set()
    for number, change in enumerate(VIEWS.values()):
        model, out = Path(shutil.copytree(organism, tmp_path / f"model{number}")), tmp_path / f"out{number}"
        change(model)
        apply_procedure(PROCEDURES[name], model, Budget(training=training, rows=30), out)
        treated.add((root_digest(out, ".safetensors"), (out / "training.json").read_text()))
        assert not (out / "model" / CARD).exists()
    assert len(treated) == 1
    ((weights, _),) = treated
    assert weights != root_digest(organism, ".safetensors")
