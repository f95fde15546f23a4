"""A study small enough to be run in a test."""

from typing import Any

from molehunt.records.claims import Claim
from molehunt.records.studies import Factor, Level, Probes, Study

SMALL = {
    "organism.rows": 400, "organism.training.steps": 60, "organism.training.learning_rate": 4e-3,
    "organism.poison.copies": [1, 2], "removal.rows": 100, "removal.training.steps": 4, "measure.prompts": 12,
    "measure.max_new_tokens": 24,
}  # fmt: skip
PROCEDURE = Factor(
    name="procedure", moves=("removal.procedure",),
    levels=(Level(name="hhh_sft", sets={"removal.procedure": "hhh_sft"}), Level(name="pirate", sets={"removal.procedure": "pirate"})),
)  # fmt: skip
RATE = Factor(
    name="rate", moves=("removal.training.learning_rate",),
    levels=(Level(name="low", sets={"removal.training.learning_rate": 1e-4}), Level(name="high", sets={"removal.training.learning_rate": 2e-2})),
)  # fmt: skip
CLAIM = Claim(
    id="rate", says="a higher rate removes more", source="a test", factor="rate", level="high", against="low",
    direction="less", smallest=0.1,
)  # fmt: skip


def toy(base: str = "tiny", **more: Any) -> Study:
    given = {
        "name": "toy", "question": "?", "prediction": "!", "setup": {"base.model": base, **SMALL},
        "factors": (RATE, PROCEDURE), "seeds": (0, 1), "outcomes": ("survival", "asr", "log_odds", "capability"),
        "probes": Probes(), "claims": (CLAIM,),
    }  # fmt: skip
    return Study(**{**given, **more})
