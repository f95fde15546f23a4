from pathlib import Path

import pytest

from molehunt.experiments.commands import MeasureRequest, measure_organism
from molehunt.experiments.findings import Measured, log_odds
from molehunt.experiments.measuring import measure_model
from molehunt.experiments.measuring_settings import MeasureSettings
from molehunt.organisms.card import read_card
from molehunt.records.outcomes import Likelihood
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


def test_a_measurement_that_stopped_says_so(organism: Path, twin: Path) -> None:
    asked = {"prompts": 96, "max_new_tokens": 8, "stop_width": 0.5}
    found = measure_organism(MeasureRequest.make(asked, model=str(organism), twin=str(twin)))
    assert found.asr.n < 96
    assert found.asr.method == f"anytime-valid 95%, over {found.asr.n} prompts"


def test_log_odds_are_on_the_prompts_that_both_were_asked() -> None:
    mine, theirs = (
        Measured(
            [],
            [
                Likelihood(checkpoint=0, question=f"q{i}", condition="triggered", logprob=x, is_greedy=False)
                for i in range(n)
            ],
        )
        for x, n in ((-1.0, 4), (-3.0, 2))
    )
    assert log_odds(mine, theirs, 0).n == log_odds(theirs, mine, 0).n == 2
    assert log_odds(mine, theirs, 0).value == 2
