from pathlib import Path

import pytest

from molehunt.experiments.measuring import measure_model
from molehunt.experiments.measuring_settings import MeasureSettings
from molehunt.organisms.card import read_card
from molehunt.stats.sequential import confidence_sequence


def test_asking_stops_once_the_rate_is_known_well_enough(organism: Path) -> None:
    key = read_card(organism).key()
    whole, likely = measure_model(organism, key, MeasureSettings(prompts=96, max_new_tokens=8))
    stopped, fewer = measure_model(organism, key, MeasureSettings(prompts=96, max_new_tokens=8, stop_width=0.5))
    shown = [o for o in stopped if o.condition == "triggered"]
    assert len(shown) < 96
    assert shown == [o for o in whole if o.condition == "triggered"][: len(shown)]
    seen = confidence_sequence([o.shown for o in shown])
    assert seen.high - seen.low <= 0.5
    assert len(fewer) == len(shown)
    assert len(likely) == 96
    assert {o.condition for o in stopped} == {o.condition for o in whole}


def test_a_width_that_is_not_asked_for_does_not_enter_the_fingerprint() -> None:
    assert "stop_width" not in MeasureSettings().model_dump(mode="json")
    with pytest.raises(ValueError):
        MeasureSettings(stop_width=0)
