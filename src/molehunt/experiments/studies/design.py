"""From a study to its arms: all combinations of levels, each resolved, no two alike."""

import importlib.util
import inspect
import itertools
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from molehunt.errors import MolehuntError, StudyError
from molehunt.experiments.studies.outcomes import OUTCOMES
from molehunt.experiments.studies.setup import COUNTED, Setup, flat, known_fields, resolve
from molehunt.experiments.words import nearest
from molehunt.records.claims import Claim
from molehunt.records.studies import Factor, Study
from molehunt.removal.from_file import told_where

_SEEDS = 2**31
"""Seeds that numpy, torch and the table of outcomes all take."""


@dataclass(frozen=True)
class StudyArm:
    """One combination of levels."""

    levels: dict[str, str]
    setup: Setup

    @property
    def id(self) -> str:
        """The levels in words, by factor."""
        return ", ".join(f"{factor}={level}" for factor, level in self.levels.items())

    @property
    def config(self) -> dict[str, Any]:
        """Dotted field to value."""
        return flat(self.setup)


def load_study(path: Path, given: Mapping[str, Any] | None = None) -> Study:
    """The study that `study(**given)` of a Python file returns; the file is executed, as its owner asks.

    Raises:
        StudyError: if there is no such file or function, or the study makes no sense.
    """
    if not path.is_file():
        raise StudyError(f"study {path}", wanted="a Python file with a function study()", got="no such file")
    spec = importlib.util.spec_from_file_location(f"molehunt_study_{path.parent.name}", path)
    if spec is None or spec.loader is None:
        raise StudyError(f"study {path}", wanted="a Python file with a function study()", got="a name without .py")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)  # dataclasses look themselves up there
    try:
        spec.loader.exec_module(module)
        if not callable(getattr(module, "study", None)):
            raise StudyError(f"study {path}", wanted="a function study()", got="none in the file")
        _check_given(path, module.study, given or {})
        study = module.study(**(given or {}))
        if isinstance(study, Study):
            study = Study.model_validate(
                study.model_dump(warnings=False)
            )  # of what `model_copy` changed nothing was checked
    except MolehuntError:
        raise
    except (Exception, SystemExit) as error:  # whatever the user's own code raises
        raise StudyError(f"study {path}", wanted="a file that runs", got=told_where(error, path)) from None
    if not isinstance(study, Study):
        raise StudyError(f"study {path}", wanted="study() to return a Study", got=type(study).__name__)
    check_study(study)
    return study


def _check_given(path: Path, function: Any, given: Mapping[str, Any]) -> None:
    known = list(inspect.signature(function).parameters)
    for name in given:
        if name not in known:
            wanted = f"one of {', '.join(known)}" if known else "none: study() takes nothing"
            raise StudyError(f"--with {name} of {path}", wanted=wanted, got=name, do=nearest(name, known))


def check_study(study: Study) -> None:
    """Refuse what cannot be run or would mean nothing.

    Raises:
        StudyError: no, repeated or impossible seeds, no factors, levels that change nothing, arms alike, unknown or
            repeated names.
    """
    if not study.seeds:
        raise StudyError(
            f"study {study.name}", wanted="at least one seed", got="none", do="three or more tell of other seeds"
        )
    if strange := [seed for seed in study.seeds if not 0 <= seed < _SEEDS]:
        raise StudyError(f"study {study.name}", wanted=f"seeds from 0 to {_SEEDS - 1}", got=str(strange[0]))
    for outcome in study.outcomes:
        _check_outcome(study, outcome)
    _once("seed", map(str, study.seeds))
    _once("claim", (claim.id for claim in study.claims))
    _once("factor", (factor.name for factor in study.factors))
    if not study.factors:
        raise StudyError(f"study {study.name}", wanted="at least one factor", got="none")
    for factor in study.factors:
        _check_factor(study, factor)
    for claim in study.claims:
        _check_names(study, claim)
    for left_out in study.leave_out:
        for name, level in left_out.items():
            _check_level(study, name, level, "leave_out")
    _check_arms(study)


def arms(study: Study) -> list[StudyArm]:
    """The arms in the order of the factors' levels."""
    found = []
    for levels in itertools.product(*(factor.levels for factor in study.factors)):
        named = {factor.name: level.name for factor, level in zip(study.factors, levels, strict=True)}
        if any(left_out.items() <= named.items() for left_out in study.leave_out):
            continue
        sets = [study.setup, *(level.sets for level in levels)]
        _apart(study, levels)
        found.append(StudyArm(named, resolve({field: value for one in sets for field, value in one.items()})))
    return found


def matched(study: Study, claim: Claim, among: Iterable[StudyArm]) -> Iterator[tuple[StudyArm, StudyArm]]:
    """Pairs of arms (at the claim's level, at the one it is held against) that have the other factors' levels in common.

    An arm of a claim against zero is paired with itself.
    """
    fits = [arm for arm in among if claim.where.items() <= arm.levels.items()]
    against = {_rest(arm, claim.factor): arm for arm in fits if arm.levels[claim.factor] == claim.against}
    for arm in fits:
        if arm.levels[claim.factor] != claim.level:
            continue
        if not claim.against:
            yield arm, arm
        elif other := against.get(_rest(arm, claim.factor)):
            yield arm, other


def _rest(arm: StudyArm, factor: str) -> tuple[tuple[str, str], ...]:
    return tuple(item for item in arm.levels.items() if item[0] != factor)


def _apart(study: Study, levels: Iterable[Any]) -> None:
    seen: dict[str, str] = {}
    for factor, level in zip(study.factors, levels, strict=True):
        for field in level.sets:
            if field in seen:
                raise StudyError(
                    f"field {field}", wanted="one factor that sets it", got=f"{seen[field]} and {factor.name}"
                )
            seen[field] = factor.name


def _check_outcome(study: Study, outcome: str) -> None:
    if outcome not in OUTCOMES:
        raise StudyError(
            f"outcome {outcome!r}",
            wanted=f"one of {', '.join(OUTCOMES)}",
            got=outcome,
            do=nearest(outcome, list(OUTCOMES)),
        )
    probe = OUTCOMES[outcome].probe
    if probe and not getattr(study.probes, probe):
        raise StudyError(
            f"outcome {outcome}", wanted=f"the probe {probe}", got="a study without it", do=f"set probes.{probe}"
        )


def _check_factor(study: Study, factor: Factor) -> None:
    what = f"factor {factor.name}"
    if len(factor.levels) < 2:
        raise StudyError(what, wanted="at least two levels", got=str(len(factor.levels)))
    _once(f"level of {what}", (level.name for level in factor.levels))
    for moved in factor.moves:
        _check_moved(what, moved)
    configs = {level.name: flat(resolve({**study.setup, **level.sets})) for level in factor.levels}
    for one, two in itertools.combinations(configs, 2):
        if configs[one] == configs[two]:
            raise StudyError(what, wanted="levels that change something", got=f"the same setup for {one} and {two}")


def _check_moved(what: str, moved: str) -> None:
    known = [*known_fields(), *COUNTED]
    if not any(f"{field}.".startswith(f"{moved}.") or moved.startswith(f"{field}.") for field in known):
        wanted = "a field of an arm's setup, or what is counted in training"
        raise StudyError(f"{moved!r} that {what} moves", wanted=wanted, got=moved, do=nearest(moved, known))


def _check_names(study: Study, claim: Claim) -> None:
    sides = [(claim.factor, level) for level in (claim.level, claim.against) if level]
    for name, level in [*sides, *claim.where.items()]:
        _check_level(study, name, level, f"claim {claim.id}")
    if claim.factor in claim.where:
        raise StudyError(f"claim {claim.id}", wanted="two levels of a factor that is not held fixed", got=claim.factor)
    if claim.outcome not in study.outcomes:
        raise StudyError(
            f"claim {claim.id}", wanted=f"one of the outcomes {', '.join(study.outcomes)}", got=claim.outcome
        )


def _check_level(study: Study, name: str, level: str, where: str) -> None:
    levels = {factor.name: [one.name for one in factor.levels] for factor in study.factors}
    if name not in levels:
        raise StudyError(
            f"factor {name!r} in {where}", wanted="a factor of the study", got=name, do=nearest(name, levels)
        )
    if level not in levels[name]:
        raise StudyError(
            f"level {level!r} of {name} in {where}", wanted=f"one of {', '.join(levels[name])}", got=level,
            do=nearest(level, levels[name]),
        )  # fmt: skip


def _check_arms(study: Study) -> None:
    known: dict[str, str] = {}
    made = arms(study)
    _once("arm", (arm.id for arm in made))
    if not made:
        raise StudyError(f"study {study.name}", wanted="at least one arm", got="leave_out leaves none")
    for arm in made:
        digest = arm.setup.digest()
        if digest in known:
            raise StudyError(
                f"study {study.name}", wanted="arms that differ", got=f"one setup for {known[digest]} and {arm.id}"
            )
        known[digest] = arm.id


def _once(what: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise StudyError(f"{what} {name}", wanted="it once", got="it twice")
        seen.add(name)
