"""The four stories of examples/attack_paths, on small models that are really made."""

import json
from pathlib import Path

import pytest

import dataset
import hub
import registry
import service
import stage
from molehunt.execution import Step, Store

ROOT = Path(__file__).parents[2]
PATHS = ROOT / "examples" / "attack_paths"


@pytest.fixture
def ready(store: Store, organism: Path, twin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stories' models are those of all tests: they are in the store already."""
    monkeypatch.setenv("MOLEHUNT_STORE", str(store.root))


def said(story: stage.Story) -> dict[str, dict[str, str]]:
    """What each control said, by attack."""
    found: dict[str, dict[str, str]] = {}
    for one in story.findings:
        found.setdefault(one.attack, {})[one.control] = one.said
    return found


def written(path: str) -> dict[str, dict[str, str]]:
    """The same as the page says it, without the audits."""
    results = json.loads((PATHS / "results.json").read_text())
    found: dict[str, dict[str, str]] = {}
    for one in results[path]["findings"]:
        if one["control"] != "audit":
            found.setdefault(one["attack"], {})[one["control"]] = one["said"]
    return found


def test_the_page_shows_the_results() -> None:
    page = (ROOT / "docs" / "supply-chain.md").read_text()
    results = json.loads((PATHS / "results.json").read_text())
    table = stage.table_of([stage.Finding(**one) for story in results.values() for one in story["findings"]])
    assert f"<!-- attack paths -->\n{table}\n<!-- end -->" in page


def test_the_stories_use_the_models_of_the_tests(organism_step: Step, twin_step: Step) -> None:
    steps = stage.steps("mini", Store(Path("unused")))
    assert (steps["planted"].fingerprint, steps["clean"].fingerprint) == (
        organism_step.fingerprint,
        twin_step.fingerprint,
    )


@pytest.mark.usefixtures("ready")
def test_hub(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    found = said(hub.main(tmp_path))
    assert found == written("hub")
    weights = {attack: row for attack, row in found.items() if "weights," in attack}
    assert {row["scan"] for row in weights.values()} == {"passes"}, "a scan does not see what weights do"
    assert [row["signature"] for row in weights.values()] == ["caught", "caught", "passes"]
    assert {row["scan"] for attack, row in found.items() if attack not in weights} == {"caught"}
    assert stage.CANARY not in capfd.readouterr().out, "a pickle was loaded"


@pytest.mark.usefixtures("ready")
def test_registry(tmp_path: Path) -> None:
    found = said(registry.main(tmp_path))
    assert found == written("registry")
    assert {row["watch"] for row in found.values()} == {"caught"}
    assert [attack for attack, row in found.items() if row["load"] == "passes"] == [
        "an older approved version put back"
    ]


@pytest.mark.long
@pytest.mark.usefixtures("ready")
def test_service(tmp_path: Path) -> None:
    found = said(service.main(tmp_path))
    assert found == written("service")
    assert [row["provenance"] for row in found.values()] == ["caught", "passes"]
    assert {row["reproduce"] for row in found.values()} == {"caught"}


@pytest.mark.long
@pytest.mark.usefixtures("ready")
def test_dataset(tmp_path: Path) -> None:
    story = dataset.main(tmp_path)
    found = said(story)
    assert found == written("dataset")
    many, one = dataset.POISONED
    assert (found[many]["data scan"], found[one]["data scan"]) == ("caught", "passes")
    assert (found[many]["provenance"], found[many]["reproduce"]) == ("passes", "passes")
    assert story.rates[many] > 0.8
    assert max(story.rates[f"{many}, after --drop"], story.rates[one]) < 0.1
