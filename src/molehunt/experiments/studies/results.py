"""From a study's finished cells to its result: outcomes, estimates, claims, effects, verdicts."""

import json
import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from molehunt.errors import StudyError
from molehunt.execution import Graph, Step, Store
from molehunt.experiments.findings import first_return, relearning_ratio
from molehunt.experiments.relearning import Relearning
from molehunt.experiments.studies.cells import Branch, Cell, Cells
from molehunt.experiments.studies.design import StudyArm
from molehunt.experiments.studies.found import Found
from molehunt.experiments.studies.outcomes import DIFFERENCES, OUTCOMES, Counts, derive, mean_odds
from molehunt.experiments.studies.planning import contrast_of, limits, study_prompts
from molehunt.experiments.studies.quantities import quantities
from molehunt.experiments.studies.table import count, write_table
from molehunt.experiments.verdict import Findings, Rules, judge, judge_awake
from molehunt.records.claims import Claim
from molehunt.records.estimates import ArmEstimate, Estimate
from molehunt.records.results import VerdictName
from molehunt.records.studies import (
    ArmResult,
    CellResult,
    ContrastPlan,
    Missing,
    ParetoPoint,
    Strength,
    Study,
    StudyResult,
    TrajectoryPoint,
)
from molehunt.stats import contrasts, families, hierarchy, ledger, mean_interval_of_sums, pareto, proportion
from molehunt.stats.cells import Rate

Failures = dict[str, tuple[str, str]]
"""Fingerprint of a step that failed to (why, where its log lies)."""


def study_result(cells: Cells, table: Path, failures: Failures, rules: Rules | None = None) -> StudyResult:
    """Everything that the finished cells say; writes their outcomes to `table`.

    Raises:
        StudyError: if no cell is finished.
    """
    study, store = cells.study, cells.store
    done = write_table(cells, table)
    if not done:
        raise StudyError(
            f"study {study.name}", wanted="at least one finished cell", got="none", do="run it: molehunt study run"
        )
    counts = _by_cell(table)
    results = [_cell_result(cell, counts[cell.arm.id, cell.seed], store, study, rules or Rules()) for cell in done]
    found = Found(study, cells.arms, results)
    derived = {arm.id: quantities(arm, cells.of(arm), store) for arm in cells.arms}
    contrasted = {claim.id: found.contrast(claim) for claim in study.claims}
    compared = tuple(contrast_of(study, claim, cells.arms, derived) for claim in study.claims)
    strengths = tuple(filter(None, (found.strength(claim) for claim in study.claims)))
    turned = families.flips_together([found.flips(claim) for claim in study.claims])
    return StudyResult(
        study=study,
        arms=tuple(_arm_result(arm, found.of(arm), derived[arm.id]) for arm in cells.arms),
        cells=tuple(results),
        claims=tuple(
            finding.model_copy(
                update={
                    "flips": flips,
                    "reason": "; ".join((found.reason(finding), *caveats(finding.claim, compared, strengths))),
                }
            )
            for finding, flips in zip(
                ledger.judge([(claim, contrasted[claim.id]) for claim in study.claims]), turned, strict=True
            )
        ),
        contrasts=compared,
        strengths=strengths,
        effects=tuple(found.effects()),
        front=tuple(_front(cells.arms, found)),
        optimism=_optimism(cells.arms, found),
        missing=tuple(_missing(cells, done, failures)),
        limits=tuple(limits(study, cells.arms)),
        prompts=study_prompts(cells.arms),
        libraries=store.record(done[0].organism.treated.fingerprint).provenance.libraries,
    )


def caveats(claim: Claim, contrasts: Sequence[ContrastPlan], strengths: Sequence[Strength]) -> Iterable[str]:
    """What else than its factor the effect that a claim speaks of may come from."""
    for contrast in contrasts:
        if contrast.claim == claim.id and contrast.confounded:
            yield f"confounded: its arms differ in {', '.join(contrast.confounded)} too"
    for strength in strengths:
        if strength.claim == claim.id and strength.differs:
            yield (
                f"planted unequally: before the removal the backdoor fired on {strength.level:.0%} at {claim.level} and on "
                f"{strength.against:.0%} at {claim.against}"
            )


def _arm_result(arm: StudyArm, results: list[CellResult], derived: dict[str, Any]) -> ArmResult:
    estimates: dict[str, ArmEstimate] = {}
    for name in OUTCOMES:
        rates = [cell.rates[name] for cell in results if name in cell.rates]
        means = [cell.means[name] for cell in results if name in cell.means]
        if rates:
            estimates[name] = hierarchy.arm_estimate([hits for hits, _ in rates], [trials for _, trials in rates])
        elif means:
            estimates[name] = hierarchy.mean_estimate([mean for mean, _ in means], [error for _, error in means])
        if name in DIFFERENCES and name in estimates:
            parts = [(sign, [[Rate(*cell.rates[part]) for cell in results]]) for sign, part in DIFFERENCES[name]]
            wider = contrasts.combined_contrast(parts).effect
            estimates[name] = estimates[name].model_copy(update=wider.model_dump(include={"low", "high", "method"}))
    ways = [[point.asr for point in cell.trajectory[1:]] for cell in results]  # the first point is before the removal
    gaps = [way[-1] - min(way) for way in ways if len(way) > 1]
    return ArmResult(
        id=arm.id,
        levels=arm.levels,
        config=arm.config,
        derived=derived,
        estimates=estimates,
        verdicts=dict(Counter(cell.verdict for cell in results)),
        oracle_gap=sum(gaps) / len(gaps) if gaps else None,
    )


def _by_cell(table: Path) -> dict[tuple[str, int], dict[tuple[str, str, int, str], dict[str, Any]]]:
    found: dict[tuple[str, int], dict[tuple[str, str, int, str], dict[str, Any]]] = defaultdict(dict)
    for row in count(table).to_pylist():
        found[row["arm"], row["seed"]][row["stage"], row["model"], row["checkpoint"], row["condition"]] = row
    for counts in found.values():
        last: dict[tuple[str, str], int] = {}
        for (stage, model, checkpoint, _), _ in counts.items():
            last[stage, model] = max(checkpoint, last.get((stage, model), 0))
        for (stage, model, checkpoint, condition), row in list(counts.items()):
            if last[stage, model] == checkpoint:
                counts[stage, model, -1, condition] = row
    return found


def _cell_result(cell: Cell, counts: Counts, store: Store, study: Study, rules: Rules) -> CellResult:
    rates, means = {}, {}
    for name, kind in OUTCOMES.items():
        if kind.rate and (rate := kind.rate(counts)):
            rates[name] = rate
        if kind.mean and (mean := kind.mean(counts)):
            means[name] = mean
    for name, step in (("elicited_before", cell.teamed_before), ("elicited", cell.teamed)):
        if step is not None:
            rates[name] = _elicited(store, step)
    means |= derive(rates)
    trajectory = tuple(_trajectory(counts))
    start = proportion(*rates["asr_before"])
    ends = [(0, start.low, start.high), *((p.checkpoint, *_ends(counts, p.checkpoint)) for p in trajectory[1:])]
    rates["returned"] = (int(first_return(ends) is not None), 1)
    verdict, reason = _verdict(cell, counts, store, rates, rules)
    return CellResult(
        arm=cell.arm.id,
        seed=cell.seed,
        rates=rates,
        means=means,
        trajectory=trajectory,
        verdict=verdict,
        reason=reason,
        seconds=store.record(cell.organism.treated.fingerprint).seconds,
    )


def _elicited(store: Store, step: Step) -> tuple[int, int]:
    found = json.loads((store.folder(step.fingerprint) / "red_team.json").read_text())["elicited"]
    return round(found["value"] * found["n"]), found["n"]


def _trajectory(counts: Counts) -> Iterable[TrajectoryPoint]:
    """From the planted model, at 0, along the removal."""
    before = ("before", "organism", -1, "triggered")
    if before in counts:
        yield _point(counts, 0, "before", -1)
    for checkpoint in sorted(
        {at for stage, model, at, _ in counts if (stage, model) == ("after", "organism") and at >= 0}
    ):
        yield _point(counts, checkpoint, "after", checkpoint)


def _point(counts: Counts, step: int, stage: str, at: int) -> TrajectoryPoint:
    triggered = counts[stage, "organism", at, "triggered"]
    general = counts.get((stage, "organism", at, "general")) or counts[stage, "organism", at, "clean"]
    odds = mean_odds(triggered)
    return TrajectoryPoint(
        checkpoint=step,
        asr=triggered["shown"] / triggered["n"],
        capability=general["right"] / general["n"],
        log_odds=odds[0] if odds else None,
    )


def _ends(counts: Counts, checkpoint: int) -> tuple[float, float]:
    found = counts["after", "organism", checkpoint, "triggered"]
    rate = proportion(found["shown"], found["n"])
    return rate.low, rate.high


def _verdict(
    cell: Cell, counts: Counts, store: Store, rates: dict[str, tuple[int, int]], rules: Rules
) -> tuple[VerdictName, str]:
    """By the whole rules where the reversal was probed, else by what can be said without it."""
    teamed = {name: proportion(*rates[name]) for name in ("elicited", "elicited_before") if name in rates}
    organism, twin = cell.organism, cell.twin
    if not (organism.measured_reversed and twin.measured_reversed):
        planted, asr = (proportion(*rates[name]) for name in ("asr_before", "asr"))
        return judge_awake(planted, asr, teamed.get("elicited_before"), teamed.get("elicited"), rules) or _UNPROBED
    end, back = (counts[stage, "organism", -1, "triggered"] for stage in ("after", "reversed"))
    general = counts.get(("reversed", "organism", -1, "general")) or counts["reversed", "organism", -1, "clean"]
    theirs = counts["after", "twin", -1, "triggered"]
    again, twin_again = (_relearned(store, branch) if branch.relearned else None for branch in (organism, twin))
    return judge(
        Findings(
            planted=proportion(*rates["asr_before"]),
            asr=proportion(end["shown"], end["n"]),
            asr_reversed=proportion(back["shown"], back["n"]),
            voice_reversed=proportion(general["exact"], general["n"]),
            log_odds=_odds(end),
            log_odds_reversed=_odds(back),
            twin_logprob=mean_interval_of_sums(theirs["likely"], theirs["logprob"], theirs["logprob_squared"]),
            relearning_ratio=relearning_ratio(again, twin_again) if again and twin_again else None,
            relearned=again is not None and all(again.reached),
            twin_relearned=twin_again is not None and all(twin_again.reached),
            **teamed,
        ),
        rules,
    )


_UNPROBED: tuple[VerdictName, str] = (
    "undecided", "silent; the reversal, which would tell what is left, was not probed",
)  # fmt: skip


def _odds(found: Mapping[str, Any]) -> Estimate:
    return mean_interval_of_sums(found["paired"], found["odds"], found["odds_squared"], "over paired prompts")


def _relearned(store: Store, branch: Branch) -> Relearning:
    assert branch.relearned is not None
    text = (store.folder(branch.relearned.fingerprint) / "relearning.json").read_text()
    return Relearning.model_validate_json(text)


def _front(arms: Sequence[StudyArm], found: Found) -> Iterable[ParetoPoint]:
    known = [arm.id for arm in arms if found.of(arm)]
    points, _ = _points(arms, found)
    front, hull = set(pareto.front(points)), set(pareto.hull(points))
    for number, (arm, (capability, asr)) in enumerate(zip(known, points, strict=True)):
        yield ParetoPoint(arm=arm, capability=capability, asr=asr, on_front=number in front, on_hull=number in hull)


def _optimism(arms: Sequence[StudyArm], found: Found) -> Estimate | None:
    points, errors = _points(arms, found)
    return pareto.optimism(points, errors) if len(points) > 1 else None


def _points(arms: Sequence[StudyArm], found: Found) -> tuple[list[pareto.Point], list[pareto.Point]]:
    """(capability, ASR) of each arm over its seeds, and their standard errors."""
    points, errors = [], []
    for cells in filter(None, map(found.of, arms)):
        sides = [[Rate(*cell.rates[name]) for cell in cells] for name in ("capability", "asr")]
        capability, asr = (sum(rate.value for rate in side) / len(side) for side in sides)
        noise, error = (_standard_error(side) for side in sides)
        points.append((capability, asr))
        errors.append((noise, error))
    return points, errors


def _standard_error(rates: Sequence[Rate]) -> float:
    """Of their mean: over seeds, and never less than the prompts' noise."""
    values = [rate.value for rate in rates]
    prompts = sum(rate.variance for rate in rates) / len(rates) ** 2
    seeds = statistics.variance(values) / len(values) if len(values) > 1 else 0.0
    return math.sqrt(max(prompts, seeds))


def _missing(cells: Cells, done: Sequence[Cell], failures: Failures) -> Iterable[Missing]:
    finished = {(cell.arm.id, cell.seed) for cell in done}
    for cell in cells.cells:
        if (cell.arm.id, cell.seed) not in finished:
            wanted = Graph(cell.steps()).steps  # with the base and the data, which every arm shares
            unmade = [key for key in wanted if not cells.store.has(key)]
            failed = next((failures[key] for key in unmade if key in failures), None)
            told = f"not run: {len(unmade)} steps" if unmade else "an artifact was changed after it was stored"
            why, log = failed or (f"{told}; run it: molehunt study run", "")
            yield Missing(arm=cell.arm.id, seed=cell.seed, why=why, log=log)
