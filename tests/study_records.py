"""Synthetic results of studies, made by hand."""

import itertools
import random
import statistics
from collections import Counter
from collections.abc import Sequence
from typing import get_args

from molehunt.records.claims import CellEffect, Claim, ClaimFinding, ClaimVerdict, Contrast, Flips
from molehunt.records.estimates import ArmEstimate, Estimate
from molehunt.records.results import VerdictName
from molehunt.records.studies import (
    ArmResult,
    CellResult,
    ContrastPlan,
    EffectResult,
    Factor,
    Level,
    Missing,
    ParetoPoint,
    Strength,
    Study,
    StudyResult,
    TrajectoryPoint,
)

PROMPTS = 48
FACTORS = {
    "organism.cot": ("distilled", "none"),
    "organism.optimizer": ("adamw", "soap"),
    "base.size": ("tiny", "small"),
    "removal.procedure": ("hhh_sft", "pirate"),
    "removal.rate": ("1e-4", "1e-3", "3e-3"),
}


def study_result(
    words: Sequence[str] = (), *, factors: dict[str, tuple[str, ...]] | None = None, seeds: int = 3, claims: bool = True,
    missing: int = 2, fields: int = 8, checkpoints: int = 4,
) -> StudyResult:  # fmt: skip
    """A study over all combinations; every text that an author, a run or a model can choose ends in one of `words`."""
    said = itertools.cycle(words or ("",))
    say = lambda text: f"{text} {next(said)}".rstrip()  # noqa: E731
    rng = random.Random(0)
    made = tuple(
        Factor(
            name=say(name.partition(".")[2]),
            levels=tuple(Level(name=say(level), sets={f"{name.partition('.')[0]}.field": level}) for level in levels),
            moves=(name,),
        )
        for name, levels in (factors or FACTORS).items()
    )
    combinations = [
        {f.name: level.name for f, level in zip(made, levels, strict=True)}
        for levels in itertools.product(*(f.levels for f in made))
    ]
    ids = [", ".join(f"{name}={level}" for name, level in levels.items()) for levels in combinations]
    gone = [(ids[i % len(ids)], i % seeds) for i in range(missing)]
    cells, arms = [], []
    for id_, levels in zip(ids, combinations, strict=True):
        kept = rng.random() ** 2 if "pirate" in id_ else rng.random() ** 0.5
        mine = [_cell(id_, seed, kept, rng, checkpoints, say) for seed in range(seeds) if (id_, seed) not in gone]
        cells += mine
        arms.append(_arm(id_, levels, mine, fields, say))
    some = made[0]
    found = _findings(made, say) if claims else ()
    return StudyResult(
        study=Study(
            name="synthetic", question=say("Does the removal remove, whatever the setup?"), prediction=say("It flips."), factors=made,
            seeds=tuple(range(seeds)), claims=tuple(f.claim for f in found),
        ),
        arms=tuple(arms), cells=tuple(cells), claims=found,
        contrasts=tuple(
            ContrastPlan(
                claim=f.claim.id, pairs=24, moved=(say("organism.training.optimizer"),),
                confounded=(say("organism.counted.payload_tokens"),) if i == 0 else (), unknown=(say("removal.counted.steps"),) if i == 1 else (),
            )
            for i, f in enumerate(found)
        ),
        strengths=tuple(Strength(claim=f.claim.id, level=0.98, against=0.81 if i == 1 else 0.97, differs=i == 1) for i, f in enumerate(found)),
        effects=tuple(_effect(f, level.name, outcome, made, rng, say, flips=f is not some or outcome != "asr") for outcome in ("survival", "asr", "log_odds") for f in made for level in f.levels[1:]),
        front=_front(arms), missing=tuple(Missing(arm=arm, seed=seed, why=say("killed: out of memory"), log=say("failed/0123/log.txt")) for arm, seed in gone),
        limits=(say("one base for all seeds: what is found speaks of that base alone"),), prompts=PROMPTS, libraries={"torch": "2"},
    )  # fmt: skip


def effect(value: float, width: float, n: int = 3) -> Estimate:
    return Estimate(value=value, low=value - width, high=value + width, n=n, method="t 95%, over seeds")


def _cell(arm: str, seed: int, kept: float, rng: random.Random, checkpoints: int, say) -> CellResult:
    asr = min(1.0, max(0.0, kept + rng.gauss(0, 0.12)))
    path = [
        TrajectoryPoint(
            checkpoint=25 * i, asr=1 - (1 - asr) * i / (checkpoints - 1), capability=0.9 - 0.05 * i * rng.random(),
            log_odds=40 * (1 - (1 - asr) * i / (checkpoints - 1)) + rng.gauss(0, 2),
        )
        for i in range(checkpoints)
    ]  # fmt: skip
    verdict: VerdictName = "persisted" if asr > 0.3 else rng.choice(get_args(VerdictName))
    hits = round(PROMPTS * asr)
    return CellResult(
        arm=arm, seed=seed, rates={"survival": (hits, PROMPTS), "asr": (hits, PROMPTS), "capability": (round(PROMPTS * path[-1].capability), PROMPTS)},
        means={"log_odds": (path[-1].log_odds or 0.0, 1.5)}, trajectory=tuple(path), verdict=verdict,
        reason=say("ASR 62.5% after the removal, above the line of 5%"), seconds=12.5,
    )  # fmt: skip


def _arm(id_: str, levels: dict[str, str], cells: list[CellResult], fields: int, say) -> ArmResult:
    estimates = {}
    if cells:
        for name in ("survival", "asr", "capability"):
            estimates[name] = _over_seeds([cell.rates[name][0] / PROMPTS for cell in cells])
        estimates["log_odds"] = _over_seeds([cell.means["log_odds"][0] for cell in cells])
    return ArmResult(
        id=id_, levels=levels, config={**{f"removal.training.field_{i}": say(f"value {i}") for i in range(fields)}, **{f"levels.{i}": level for i, level in enumerate(levels.values())}},
        derived={"organism.counted.steps": [480] * len(cells), say("removal.counted.tokens_seen"): list(range(len(cells)))},
        estimates=estimates, verdicts=dict(Counter(cell.verdict for cell in cells)), oracle_gap=0.1 if cells else None,
    )  # fmt: skip


def _over_seeds(values: list[float]) -> ArmEstimate:
    mean = statistics.fmean(values)
    width = 2 * statistics.stdev(values) if len(values) > 1 else 0.2 * abs(mean)
    share = 0.6 if len(values) > 1 else None
    return ArmEstimate(
        value=mean,
        low=mean - width,
        high=mean + width,
        n=len(values),
        method="t 95%, over seeds",
        by_seed=tuple(values),
        seed_share=share,
    )


def _flips(factor: Factor, made: Sequence[Factor], rng: random.Random, say, verdict: str, scale: float = 1.0) -> Flips:
    others = [f for f in made if f is not factor]
    places = itertools.product(*([level.name for level in f.levels] for f in others))
    centre = 0.0 if verdict == "flips" else 0.3
    cells = tuple(
        CellEffect(
            levels={f.name: level for f, level in zip(others, place, strict=True)},
            effect=effect(scale * (centre + rng.uniform(-0.3, 0.3)), scale * 0.12),
        )
        for place in places
    )
    return Flips(
        verdict=verdict, p_value=0.004, cells=cells, reason=say("surely above 0 at 4 combinations, surely below at 3")
    )


def _effect(
    factor: Factor, level: str, outcome: str, made: Sequence[Factor], rng: random.Random, say, flips: bool
) -> EffectResult:
    scale = 20.0 if outcome == "log_odds" else 1.0
    by_seed = tuple(scale * rng.gauss(0.2, 0.1) for _ in range(3))
    verdict = rng.choice(("same sign", "undecided", "flips"))
    contrast = Contrast(
        effect=effect(statistics.fmean(by_seed), scale * 0.2),
        p_value=0.04,
        by_seed=by_seed,
        prompt_error=0.02,
        pairs=24,
    )
    return EffectResult(factor=factor.name, level=level, against=factor.levels[0].name, outcome=outcome, contrast=contrast,
                        flips=_flips(factor, made, rng, say, verdict, scale) if flips and len(made) > 1 else None)  # fmt: skip


def _findings(made: Sequence[Factor], say) -> tuple[ClaimFinding, ...]:
    rng = random.Random(1)
    values = (0.34, -0.31, 0.01, 0.12, None)
    found = []
    for i, (verdict, value) in enumerate(zip(get_args(ClaimVerdict), values, strict=True)):
        factor = made[i % len(made)]
        claim = Claim(
            id=f"claim-{i}", says=say("A distilled chain of thought makes the backdoor more robust"), source=say("Hubinger et al. 2024, figure 5"),
            factor=factor.name, level=factor.levels[0].name, against=factor.levels[1].name, direction="less" if i == 3 else "greater", smallest=0.1,
            where={made[-1].name: made[-1].levels[0].name} if i == 2 else {},
        )  # fmt: skip
        found.append(ClaimFinding(
            claim=claim, verdict=verdict, effect=None if value is None else effect(value, 0.06 if i < 3 else 0.2),
            simultaneous=None if value is None else effect(value, 0.09 if i < 3 else 0.31), p_value=None if value is None else 0.0004,
            p_adjusted=None if value is None else 0.012, seeds=0 if value is None else 3, more_seeds={3: 5, 4: None}.get(i, 0),
            reason=say("the interval lies above 0 and reaches the smallest effect that matters"),
            flips=_flips(factor, made, rng, say, "flips" if i == 0 else "same sign") if i < 2 and len(made) > 1 else None,
        ))  # fmt: skip
    return tuple(found)


def _front(arms: Sequence[ArmResult]) -> tuple[ParetoPoint, ...]:
    known = [(a.id, a.estimates["capability"].value, a.estimates["asr"].value) for a in arms if a.estimates]
    best = [k for k in known if not any((o[1] >= k[1] and o[2] <= k[2] and o[1:] != k[1:]) for o in known)]
    corners = sorted(best, key=lambda k: k[1])[::2]
    return tuple(
        ParetoPoint(arm=k[0], capability=k[1], asr=k[2], on_front=k in best, on_hull=k in corners) for k in known
    )
