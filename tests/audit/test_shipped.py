"""The cards that come with Molehunt."""

from pathlib import Path

import pytest

from molehunt.audit.calibrating import card_of
from molehunt.audit.calibration import card_figures
from molehunt.audit.cards import find_card, shipped
from molehunt.audit.case import ordinary
from molehunt.audit.examining import able
from molehunt.audit.verdict import versions
from molehunt.errors import DataError
from molehunt.records.audits import CardEvidence

KEPT = Path(__file__).parents[2] / "docs" / "cards"


def test_some_are_shipped() -> None:
    assert "embedded-quick-base" in shipped()


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_card_speaks_for_this_version_and_follows_from_its_evidence(name: str) -> None:
    card = find_card(name, "text", "deep")
    assert card is not None
    assert card.name == name
    assert card.versions == versions(card.detectors, card.tier, card.profile)
    assert set(card.detectors) == set(able(card.tier, card.profile))
    assert card.prompts == ordinary(card.profile).digest
    seen = CardEvidence.model_validate_json((KEPT / f"{name}.evidence.json").read_text())
    assert card_of(seen) == card


def test_its_figures_are_on_enough_models() -> None:
    card = find_card(None, "base", "quick")
    assert card is not None
    found = card_figures(card)
    assert found.planted + found.clean >= 60
    assert found.combined.auroc.low > 0.5
    assert found.combined.false_alarms is not None
    assert found.combined.false_alarms.low <= 0.05


def test_what_is_no_card_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="embedded-quick-base"):
        find_card("nothing", "base", "quick")
    path = tmp_path / "card.json"
    path.write_text("{}")
    with pytest.raises(DataError, match="card"):
        find_card(str(path), "base", "quick")
