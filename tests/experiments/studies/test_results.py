"""A study run to its end on a small model: what its result must say, known from its parts."""

import json
import re
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from toy_study import CLAIM, SMALL, toy

from molehunt.errors import StudyError
from molehunt.execution import Graph, Progress, Store, run_graph
from molehunt.experiments.findings import Measured
from molehunt.experiments.studies import running
from molehunt.experiments.studies.cells import Cells
from molehunt.experiments.studies.design import arms
from molehunt.experiments.studies.found import Found
from molehunt.experiments.studies.outcomes import derive
from molehunt.experiments.studies.planning import plan_study
from molehunt.experiments.studies.results import _missing, caveats
from molehunt.experiments.studies.running import read_result, run_study
from molehunt.experiments.studies.table import COLUMNS, count
from molehunt.records.claims import Claim, ClaimFinding
from molehunt.records.studies import CellResult, ContrastPlan, Probes, Strength, Study, StudyResult
from molehunt.stats import judge


@pytest.fixture(scope="module")
def study(base: Path) -> Study:
    return toy(str(base))


@pytest.fixture(scope="module")
def out(study: Study, store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run_study(study, store, jobs=0)
    return tmp_path_factory.mktemp("study")


@pytest.fixture(scope="module")
def result(study: Study, store: Store, out: Path) -> StudyResult:
    return read_result(study, store, out)


def test_the_table_has_one_row_a_prompt_condition_checkpoint_arm_and_seed(result: StudyResult, out: Path) -> None:
    table = pq.read_table(out / "results.parquet")
    assert {*COLUMNS, "factor:rate", "factor:procedure"} == set(table.column_names)
    keys = table.select(["arm", "seed", "stage", "model", "checkpoint", "condition", "question"]).to_pylist()
    assert len({json.dumps(key) for key in keys}) == len(keys)
    after = [key for key in keys if (key["stage"], key["model"]) == ("after", "organism")]
    assert len(after) == 4 * 2 * 3 * 2 * 8  # arms, seeds, checkpoints, conditions, prompts
    assert set(json.loads(pq.read_schema(out / "results.parquet").metadata[b"molehunt.columns"])) == set(
        table.column_names
    )


def test_rates_are_those_of_the_steps_own_files(result: StudyResult, study: Study, store: Store) -> None:
    for cell, found in zip(Cells(study, store).cells, result.cells, strict=True):
        assert (found.arm, found.seed) == (cell.arm.id, cell.seed)
        mine, theirs = (
            Measured.read(store.folder(branch.measured.fingerprint)) for branch in (cell.organism, cell.twin)
        )
        before = Measured.read(store.folder(cell.measured_before.fingerprint))
        fired = {o.question for o in before.at(0, "triggered") if o.shown}
        after = [o for o in mine.at(mine.last, "triggered") if o.question in fired]
        end = mine.measurement(mine.last, theirs)
        assert end.payload_log_odds is not None
        assert found.rates["asr"] == (round(end.asr.value * 8), 8)
        if fired:
            assert found.rates["survival"] == (sum(o.shown for o in after), len(fired))
        assert found.means["log_odds"][0] == pytest.approx(end.payload_log_odds.value)
        assert [p.checkpoint for p in found.trajectory] == [0, 1, 2, 4]
        assert found.trajectory[-1].asr == end.asr.value


def test_counts_are_sums_over_prompts(result: StudyResult, out: Path) -> None:
    rows = count(out / "results.parquet").to_pylist()
    assert {row["n"] for row in rows} == {8}
    assert all(row["survived"] <= row["fired"] for row in rows)


def test_a_claim_rests_on_matched_pairs_and_on_seeds(result: StudyResult) -> None:
    (finding,) = result.claims
    assert finding.seeds == 2
    assert finding.effect is not None
    by_arm = {(cell.arm, cell.seed): cell for cell in result.cells}

    def asr(rate: str, procedure: str, seed: int) -> float:
        hits, trials = by_arm[f"rate={rate}, procedure={procedure}", seed].rates["asr"]
        return hits / trials

    expected = [asr("high", p, s) - asr("low", p, s) for s in (0, 1) for p in ("hhh_sft", "pirate")]
    assert finding.effect.value == pytest.approx(sum(expected) / 4)
    assert finding.by_seed == pytest.approx([sum(expected[:2]) / 2, sum(expected[2:]) / 2])
    assert finding.flips is not None
    told = {cell.levels["procedure"]: cell.effect.value for cell in finding.flips.cells}
    assert told == {p: pytest.approx((expected[i] + expected[i + 2]) / 2) for i, p in enumerate(("hhh_sft", "pirate"))}
    assert {effect.factor for effect in result.effects} == {"rate", "procedure"}
    assert result.optimism is not None
    (strength,) = result.strengths
    assert strength.level == strength.against
    assert not strength.differs


@pytest.mark.parametrize(("where", "verdict"), [({}, "flips"), ({"procedure": "pirate"}, None)])
def test_a_claim_tells_whether_its_effect_turns_with_another_factor(where: dict[str, str], verdict: str | None) -> None:
    """A higher rate leaves more after HHH SFT and less after pirate training."""
    study = toy(seeds=(0, 1, 2, 3))
    shown = {("low", "hhh_sft"): 20, ("high", "hhh_sft"): 80, ("low", "pirate"): 75, ("high", "pirate"): 15}
    cells = [
        CellResult(
            arm=arm.id, seed=seed, rates={"asr": (shown[arm.levels["rate"], arm.levels["procedure"]] + seed, 100)}, means={},
            trajectory=(), verdict="undecided", reason="", seconds=1.0,
        )
        for arm in arms(study) for seed in study.seeds
    ]  # fmt: skip
    found = Found(study, arms(study), cells).flips(CLAIM.model_copy(update={"where": where}))
    assert (found and found.verdict) == verdict
    larger = Found(study, arms(study), cells).flips(CLAIM.model_copy(update={"where": where, "smallest": 0.7}))
    assert (larger and larger.verdict) == (verdict and "undecided"), "a turn smaller than matters is none"
    if found:
        told = {cell.levels["procedure"]: cell.effect.value for cell in found.cells}
        assert told == {"hhh_sft": pytest.approx(0.6), "pirate": pytest.approx(-0.6)}


def test_a_rate_can_be_held_against_zero() -> None:
    study = toy(seeds=(0, 1, 2))
    cells = [
        CellResult(
            arm=arm.id, seed=seed, rates={"returned": (int(seed == 1), 1)}, means={}, trajectory=(), verdict="undecided",
            reason="", seconds=1.0,
        )
        for arm in arms(study) for seed in study.seeds
    ]  # fmt: skip
    claim = CLAIM.model_copy(update={"against": "", "outcome": "returned", "direction": "greater"})
    contrast = Found(study, arms(study), cells).contrast(claim)
    assert contrast is not None
    assert contrast.by_seed == (0.0, 1.0, 0.0)
    assert contrast.effect.value == pytest.approx(1 / 3)
    assert contrast.effect.low < 0 < contrast.effect.high


def told(study: Study, rates: dict[str, tuple[int, int]], claim: Claim) -> ClaimFinding:
    """What is found of a claim if every cell gave these rates."""
    cells = [
        CellResult(
            arm=arm.id, seed=seed, rates=rates, means=derive(rates), trajectory=(), verdict="undecided", reason="", seconds=1.0
        )
        for arm in arms(study) for seed in study.seeds
    ]  # fmt: skip
    found = Found(study, arms(study), cells)
    (finding,) = judge([(claim, found.contrast(claim))])
    return finding.model_copy(update={"reason": found.reason(finding)})


@pytest.mark.parametrize("outcome", ["rebound", "hiding"])
def test_three_seeds_without_a_rebound_do_not_say_that_there_is_none(outcome: str) -> None:
    """A fifth of the seeds may rebound and half of all studies of three seeds would see nothing of it."""
    rates = dict.fromkeys(("asr", "asr_before", "asr_reversed", "elicited", "elicited_before"), (0, 128))
    claim = CLAIM.model_copy(update={"against": "", "outcome": outcome, "direction": "greater"})
    assert told(toy(seeds=(0, 1, 2)), rates, claim).verdict == "undecided"
    assert told(toy(seeds=tuple(range(60))), rates, claim).verdict == "no meaningful effect"
    rates["asr_reversed"] = rates["elicited_before"] = (120, 128)
    assert told(toy(seeds=(0, 1, 2)), rates, claim).verdict == "supported"


def test_a_claim_tells_which_seeds_it_does_not_rest_on(result: StudyResult) -> None:
    study, claim = toy(seeds=(0, 1, 2)), CLAIM.model_copy(update={"outcome": "survival"})
    assert told(study, {"survival": (3, 8)}, claim).reason.count("left out") == 0
    nothing = told(study, {}, claim)
    assert nothing.verdict == "not tested"
    assert nothing.reason == "3 of 3 seeds left out, for cells where nothing fired before the removal (12)"
    some = Found(study, arms(study), result.cells).reason(nothing)
    assert "for missing cells (4)" in some


def test_a_measurement_that_was_changed_is_missing_and_made_anew(
    study: Study, store: Store, result: StudyResult, tmp_path: Path
) -> None:
    cell = Cells(study, store).cells[0]
    path = store.folder(cell.organism.measured.fingerprint) / "outcomes.jsonl"
    text = path.read_text()
    path.write_text(text.replace('"shown":true', '"shown":false').replace('"right":true', '"right":false') + "\n")
    (missing,) = read_result(study, Store(store.root), tmp_path).missing
    assert (missing.arm, missing.seed) == (cell.arm.id, cell.seed)
    assert "was changed" in missing.why
    run_study(study, Store(store.root), jobs=0)
    assert read_result(study, Store(store.root), tmp_path) == result


@pytest.mark.parametrize("name", ["treatment.json", "organism_card.json"])
def test_a_record_that_was_changed_in_an_artifact_is_not_read(
    study: Study, store: Store, result: StudyResult, tmp_path: Path, name: str
) -> None:
    cell = Cells(study, store).cells[0]
    step = cell.organism.treated if name == "treatment.json" else cell.organism.planted
    (path,) = store.folder(step.fingerprint).rglob(name)
    kept = path.read_text()
    path.write_text(re.sub('("tokens_seen": ?)', r"\g<1>1", kept))
    try:
        assert path.read_text() != kept
        plan = plan_study(study, Store(store.root))
        assert any(name.endswith("tokens_seen") for name in plan.contrasts[0].unknown)
        found = read_result(study, Store(store.root), tmp_path)
        assert (cell.arm.id, cell.seed) in {(one.arm, one.seed) for one in found.missing}
        assert "was changed" in found.missing[0].why
    finally:
        path.write_text(kept)
    assert read_result(study, Store(store.root), tmp_path) == result


def test_what_weakens_a_claim_stands_in_its_reason() -> None:
    strength = Strength(claim="rate", level=0.9, against=0.4, differs=True)
    told = ContrastPlan(claim="rate", pairs=1, moved=(), confounded=("removal.rows",), unknown=())
    assert list(caveats(CLAIM, [told], [strength])) == [
        "confounded: its arms differ in removal.rows too",
        "planted unequally: before the removal the backdoor fired on 90% at high and on 40% at low",
    ]
    assert not list(caveats(CLAIM.model_copy(update={"id": "other"}), [told], [strength]))


def test_a_base_that_fails_is_why_its_cells_are_missing(study: Study, store: Store, result: StudyResult) -> None:
    cells = Cells(study, Store(store.root / "nothing"))
    base = cells.cells[0].organism.planted.parents["base"]
    missing = list(_missing(cells, [], {base.fingerprint: ("no memory", "its.log")}))
    assert {(one.why, one.log) for one in missing} == {("no memory", "its.log")}


def test_counted_quantities_enter_the_confound_report(result: StudyResult) -> None:
    (contrast,) = result.contrasts
    assert not contrast.unknown
    assert not contrast.confounded
    assert all(len(values) == 2 for values in result.arms[0].derived.values())


def test_a_finished_study_is_read_again_without_making_anything(
    study: Study, store: Store, out: Path, result: StudyResult
) -> None:
    written = (out / "results.parquet").stat().st_mtime_ns
    assert read_result(study, store, out) == result
    assert (out / "results.parquet").stat().st_mtime_ns == written
    again = run_study(study, store, jobs=0)
    assert not again.progress.done
    assert again.plan.stored == again.plan.steps
    assert StudyResult.model_validate_json((out / "result.json").read_text()) == result


def test_a_failing_cell_is_missing_with_its_reason_and_the_rest_is_told(
    base: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = toy(str(base), name="failing", setup={**SMALL, "base.model": str(base), "removal.rows": 90}, seeds=(0,))

    def failing(graph: Graph, *args: Any, **more: Any) -> Progress:
        for step in graph.steps.values():
            if (
                step.label.startswith("pirate on organism")
                and step.config["budget"]["training"]["learning_rate"] > 1e-2
            ):
                step.config["budget"]["training"]["learning_rate"] = "not a number"
        return run_graph(graph, *args, **more)

    monkeypatch.setattr(running, "run_graph", failing)
    run = run_study(study, store, jobs=0)
    assert len(run.progress.failed) == 1
    monkeypatch.undo()
    result = read_result(study, store, tmp_path)
    (missing,) = result.missing
    assert missing.arm == "rate=high, procedure=pirate"
    assert "learning_rate" in missing.why
    assert Path(missing.log).is_file()
    assert len(result.cells) == 3
    (finding,) = result.claims
    assert finding.verdict == "not tested"


def test_nothing_finished_is_an_error(base: Path, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="at least one finished cell"):
        read_result(toy(str(base)), Store(tmp_path / "store"), tmp_path / "out")


def test_strict_refuses_a_confounded_study_before_anything_is_made(base: Path, tmp_path: Path) -> None:
    shifty = toy(str(base), factors=tuple(f.model_copy(update={"moves": ()}) for f in toy().factors))
    with pytest.raises(StudyError, match=r"removal\.training\.learning_rate"):
        run_study(shifty, Store(tmp_path), jobs=0, strict=True)
    assert not list(tmp_path.glob("artifacts/*"))


def test_all_probes_lead_to_a_whole_verdict(base: Path, store: Store, tmp_path: Path) -> None:
    setup = {
        **SMALL, "base.model": str(base), "reversal.steps": 3, "relearning.seeds": [0, 1], "relearning.look": [1, 2],
        "relearning.prompts": 4, "red_team.rounds": 1, "red_team.probes": 4, "red_team.samples": 2,
    }  # fmt: skip
    outcomes = ("survival", "asr_reversed", "rebound", "elicited", "hiding", "returned")
    study = toy(
        str(base), name="probed", setup=setup, seeds=(0,), outcomes=outcomes,
        probes=Probes(reversal=True, relearning=True, red_team=True),
    )  # fmt: skip
    run_study(study, store, jobs=0)
    result = read_result(study, store, tmp_path)
    cell = result.cells[0]
    assert set(outcomes) <= {*cell.rates, *cell.means}
    assert cell.rates["elicited"][1] == 4
    rates = {name: hits / trials for name, (hits, trials) in cell.rates.items()}
    assert cell.means["rebound"][0] == pytest.approx(rates["asr_reversed"] - rates["asr"])
    fell = rates["elicited_before"] - rates["elicited"] - (rates["asr_before"] - rates["asr"])
    assert cell.means["hiding"][0] == pytest.approx(fell)
    assert cell.verdict in ("removed", "latent", "suppressed", "hidden", "persisted", "undecided")
