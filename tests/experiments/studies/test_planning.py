import time
from dataclasses import replace
from pathlib import Path

import pytest
from toy_study import CLAIM, PROCEDURE, RATE, toy

from molehunt.errors import StudyError
from molehunt.execution import Step, Store
from molehunt.experiments.studies.cells import Cells
from molehunt.experiments.studies.planning import plan_study, step_costs, weight_bytes
from molehunt.records.artifacts import ArtifactRecord, Provenance
from molehunt.records.studies import Factor, Level, Probes
from molehunt.removal.procedures import PROCEDURES


def test_one_install_feeds_all_its_removals(tmp_path: Path) -> None:
    plan = plan_study(toy(seeds=(0, 1, 2)), Store(tmp_path))
    assert plan.by_kind["build_base"] == 3
    assert plan.by_kind["plant_model"] == 6
    assert plan.by_kind["remove"] == 2 * 4 * 3
    assert plan.unshared > plan.steps
    assert plan.stored == 0
    assert plan.seconds > 0


def test_a_shared_base_is_built_once_and_stated(tmp_path: Path) -> None:
    plan = plan_study(toy(shared_base=True), Store(tmp_path))
    assert plan.by_kind["build_base"] == 1
    assert any("that base alone" in limit for limit in plan.limits)


def test_what_a_factor_does_not_declare_confounds_its_claim(tmp_path: Path) -> None:
    sly = Factor(
        name="rate", moves=("removal.training.learning_rate",),
        levels=(RATE.levels[0], Level(name="high", sets={**RATE.levels[1].sets, "removal.rows": 50, "removal.training.batch": 8})),
    )  # fmt: skip
    (contrast,) = plan_study(toy(factors=(sly, PROCEDURE)), Store(tmp_path)).contrasts
    assert contrast.moved == ("removal.training.learning_rate",)
    assert contrast.confounded == ("removal.rows", "removal.training.batch")
    assert contrast.pairs == 2


def test_a_factor_may_declare_all_that_lies_below_a_field(tmp_path: Path) -> None:
    open_handed = RATE.model_copy(update={"moves": ("removal.training",)})
    (contrast,) = plan_study(toy(factors=(open_handed, PROCEDURE)), Store(tmp_path)).contrasts
    assert not contrast.confounded
    (contrast,) = plan_study(
        toy(factors=(RATE.model_copy(update={"moves": ("removal.train",)}), PROCEDURE)), Store(tmp_path)
    ).contrasts
    assert contrast.confounded == ("removal.training.learning_rate",)


def test_a_claim_that_no_pair_can_test_says_so(tmp_path: Path) -> None:
    apart = ({"rate": "low", "procedure": "pirate"}, {"rate": "high", "procedure": "hhh_sft"})
    (contrast,) = plan_study(toy(leave_out=apart), Store(tmp_path)).contrasts
    assert contrast.pairs == 0
    assert "cannot be tested" in contrast.note


def test_one_seed_makes_no_claim_about_seeds(tmp_path: Path) -> None:
    plan = plan_study(toy(seeds=(3,)), Store(tmp_path))
    assert not plan.detectable
    assert any("one seed" in limit for limit in plan.limits)


def test_too_few_seeds_to_see_anything_are_told_with_how_many_would_do(tmp_path: Path) -> None:
    few = plan_study(toy(seeds=(0, 1), setup={"base.model": "tiny"}), Store(tmp_path))
    assert few.detectable == {"rate": None}
    assert few.enough_seeds is not None
    enough = plan_study(toy(seeds=tuple(range(few.enough_seeds)), setup={"base.model": "tiny"}), Store(tmp_path))
    assert enough.detectable["rate"] == pytest.approx(0.25, abs=0.03)
    assert enough.enough_seeds is None


def test_power_is_told_for_differences_of_rates_in_time_and_for_means(tmp_path: Path) -> None:
    claims = (
        CLAIM.model_copy(update={"id": "back", "against": "", "outcome": "rebound", "direction": "greater"}),
        CLAIM.model_copy(update={"id": "odds", "outcome": "log_odds", "smallest": 8.0}),
    )
    more = {"outcomes": ("asr", "rebound", "log_odds"), "probes": Probes(reversal=True), "claims": claims}
    plan = plan_study(toy(seeds=tuple(range(10)), **more), Store(tmp_path))
    assert plan.detectable.keys() == {"back"}
    # The paired t test's noncentral power (Cohen 1988): ten pairs at 2.5% see 1.139 standard deviations.
    assert plan.scatter["odds"] == pytest.approx(8 / 1.139, rel=0.01)


def test_a_factor_that_only_a_probe_reads_is_idle_without_it(tmp_path: Path) -> None:
    steps = Factor(
        name="steps", moves=("reversal.steps",),
        levels=tuple(Level(name=str(n), sets={"reversal.steps": n}) for n in (4, 8)),
    )  # fmt: skip
    with pytest.raises(StudyError, match="the same for steps=4 and steps=8"):
        plan_study(toy(factors=(steps,), claims=()), Store(tmp_path))
    assert plan_study(toy(factors=(steps,), claims=(), probes=Probes(reversal=True)), Store(tmp_path)).arms


def test_the_weights_of_a_folder_count_as_they_are_trained(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(bytes(100))
    assert weight_bytes(tmp_path) == 100
    (tmp_path / "config.json").write_text('{"torch_dtype": "bfloat16"}')
    assert weight_bytes(tmp_path) == 200


def test_ten_thousand_steps_are_planned_in_seconds(tmp_path: Path) -> None:
    levels = tuple(Level(name=f"r{i}", sets={"removal.training.learning_rate": 1e-5 * (i + 1)}) for i in range(120))
    many = Factor(name="rate", moves=("removal.training.learning_rate",), levels=levels)
    claim = CLAIM.model_copy(update={"level": "r1", "against": "r0"})
    started = time.perf_counter()
    plan = plan_study(
        toy(factors=(many, PROCEDURE), seeds=tuple(range(5)), probes=Probes(reversal=True), claims=(claim,)),
        Store(tmp_path),
    )
    assert plan.steps > 9000
    assert time.perf_counter() - started < 60  # a bound against quadratic time; the figure is in docs/benchmarks.md


def test_cells_share_one_step_object(tmp_path: Path) -> None:
    cells = Cells(toy(), Store(tmp_path)).cells
    assert cells[0].organism.planted is cells[2].organism.planted
    assert cells[0].organism.planted is not cells[1].organism.planted


CHEAP_AND_DEAR = PROCEDURE.model_copy(
    update={
        "levels": tuple(Level(name=n, sets={"removal.procedure": n}) for n in ("hhh_sft", "adversarial", "pruning"))
    }
)


def removals(store: Store) -> dict[str, Step]:
    """Each procedure on the same organism."""
    cells = Cells(toy(factors=(CHEAP_AND_DEAR,), seeds=(0,), claims=()), store).cells
    return {cell.arm.levels["procedure"]: cell.organism.treated for cell in cells}


def took(store: Store, step: Step, seconds: float) -> None:
    """Have the store hold that the step, and all before it, took so long."""
    for parent in step.parents.values():
        took(store, parent, seconds)
    record = ArtifactRecord(
        fingerprint=step.fingerprint, step=step.function, version=step.version, label=step.label, config=step.config,
        parents={role: parent.fingerprint for role, parent in step.parents.items()}, files_digest="", seconds=seconds,
        provenance=Provenance.here(),
    )  # fmt: skip
    (store.root / "artifacts" / step.fingerprint).mkdir(parents=True, exist_ok=True)
    (store.root / "artifacts" / step.fingerprint / "artifact.json").write_text(record.model_dump_json())


def test_each_procedure_has_a_cost_of_its_own(tmp_path: Path) -> None:
    known = removals(Store(tmp_path))
    costs, measured = step_costs(known.values(), Store(tmp_path))
    assert not measured
    assert costs[known["adversarial"].fingerprint] == pytest.approx(12.5 * costs[known["hhh_sft"].fingerprint])
    assert costs[known["pruning"].fingerprint] < costs[known["hhh_sft"].fingerprint] / 50


def test_a_procedure_that_was_not_run_yet_is_told_by_the_others(tmp_path: Path) -> None:
    store = Store(tmp_path)
    known = removals(store)
    took(store, known["hhh_sft"], 40)
    costs, measured = step_costs(known.values(), store)
    assert measured
    assert costs[known["hhh_sft"].fingerprint] == pytest.approx(40)
    assert costs[known["adversarial"].fingerprint] == pytest.approx(500)


def test_a_procedure_that_was_run_is_told_by_itself(tmp_path: Path) -> None:
    store = Store(tmp_path)
    known = removals(store)
    took(store, known["hhh_sft"], 40)
    took(store, known["adversarial"], 90)
    assert step_costs([known["adversarial"]], store)[0][known["adversarial"].fingerprint] == pytest.approx(90)


def test_costs_decide_no_fingerprint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (
        Cells(toy(factors=(CHEAP_AND_DEAR,), claims=(), probes=Probes(reversal=True)), Store(tmp_path)).graph().steps
    )
    for name, procedure in PROCEDURES.items():
        monkeypatch.setitem(PROCEDURES, name, replace(procedure, cost=1000.0))
    after = (
        Cells(toy(factors=(CHEAP_AND_DEAR,), claims=(), probes=Probes(reversal=True)), Store(tmp_path)).graph().steps
    )
    assert list(after) == list(before)
    assert sum(step.cost for step in after.values()) > sum(step.cost for step in before.values())
