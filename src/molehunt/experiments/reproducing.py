"""Make a model again from its recipe, in a store of its own, and compare: the one claim of a recipe that needs no trust."""

import shutil
import time
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from molehunt.errors import StoreError, UsageError
from molehunt.execution import Graph, Step, Store, run_graph
from molehunt.execution.runner import Watcher
from molehunt.experiments.recipes import VERSIONS, step_version
from molehunt.organisms.settings import PoisonSettings
from molehunt.provenance.grading import grade as graded
from molehunt.provenance.model_diff import diff_models
from molehunt.records.attestations import Attestation, Claim, Grade, Reproduction, StepTold
from molehunt.records.base import Record
from molehunt.records.diffs import Change, DiffReport
from molehunt.records.identity import root_digest
from molehunt.records.marker import MARKER, read_marker
from molehunt.removal.budget import Budget
from molehunt.removal.procedures import PROCEDURES
from molehunt.training.settings import TrainingSettings
from molehunt.world.version import world_digest

_ROOM = "molehunt.experiments.steps:"
_IMPORTS = ("import_model", "import_data")
_MOST_STEPS = 200
"""Of a recipe: those of the lab have under ten."""
_ASKED, _LENGTH = 64, 48
"""Questions on which two models are compared that are not equal to the bit, and tokens of a reply."""
CLOSE, ALIKE = 0.05, 0.95
"""‖ΔW‖/‖W‖ at most, and share of equal replies at least, at which floating point explains the difference."""


_CANNOT = "a recipe that cannot be run again"


class ContradictedError(UsageError):
    """A recipe that cannot have made anything."""


def reproduce(
    folder: Path, told: Attestation, store: Store, work: Store, jobs: int = 2, watch: Watcher | None = None
) -> Reproduction:  # fmt: skip
    """Run the recipe of an attestation again and compare what comes out with the model in `folder`.

    Only steps of this lab's own table are run, with the version that this Molehunt has: an attestation is text from elsewhere.

    Args:
        store: where imported models and data lie; nothing is written there.
        work: an empty store to work in.

    Raises:
        UsageError: if the recipe cannot be run here, with why; one that contradicts itself is graded so.
        StoreError: if something that was imported is not in `store`.
    """
    started = time.monotonic()
    try:
        steps = steps_of(told)
    except ContradictedError as error:
        return _unmade(folder, told, f"{error.what}: it wants {error.wanted}, there is {error.got}", started)
    copied = [key for key, step in steps.items() if _name(step.function) in _IMPORTS]
    for key in copied:
        _copy(key, store, work)
    run_graph(Graph([steps[told.fingerprint]]), work, jobs, watch)
    made = work.folder(told.fingerprint) / "model"
    root, found = root_digest(folder), root_digest(made)
    grade, reason, relative, agreement = _compared(folder, made, root == found)
    claims = graded(folder, told, root, None, None)
    again = "contradicted" if grade == "contradicted" else "recomputed" if grade == "recomputed" else "consistent"
    return Reproduction(
        path=str(folder), fingerprint=told.fingerprint, root_digest=root, made_digest=found, steps=len(steps) - len(copied),
        grade=grade, reason=reason, relative=relative, agreement=agreement, seconds=round(time.monotonic() - started, 1),
        claims=tuple(one if one.grade == "contradicted" else Claim(name=one.name, grade=again, told=one.told) for one in claims),
    )  # fmt: skip


def steps_of(told: Attestation) -> dict[str, Step]:
    """The recipe as steps that can be run.

    Raises:
        UsageError: if a step is not one of ours, is of another version or world, asks an endpoint, or runs a user's own file.
        ContradictedError: if the recipe lacks a step, has settings that there cannot be, or does not lead to the fingerprints that it names.
    """
    found: dict[str, Step] = {}

    def make(key: str, path: tuple[str, ...]) -> Step:
        if key not in told.recipe or key in path:
            raise _contradicted("every step that it needs", f"{key[:12]} is missing or needs itself")
        one = told.recipe[key]
        _check(one)
        parents = {role: found.get(parent) or make(parent, (*path, key)) for role, parent in one.parents.items()}
        found[key] = Step(one.function, one.version, one.config, parents, one.label, threads=one.threads)
        if found[key].fingerprint != key:
            wanted = f"steps of the fingerprints that it names, such as {key[:12]}"
            raise _contradicted(wanted, found[key].fingerprint[:12])
        return found[key]

    if len(told.recipe) > _MOST_STEPS:
        raise _refused(f"a recipe of at most {_MOST_STEPS} steps", str(len(told.recipe)))
    make(told.fingerprint, ())
    return found


def _check(one: StepTold) -> None:
    name, config = _name(one.function), one.config
    if not one.function.startswith(_ROOM) or name not in VERSIONS:
        raise _refused("steps of this lab", one.function)
    version = step_version(name, config)
    if one.version != version:
        raise _refused(f"{name} of version {version}", f"version {one.version}", "use the Molehunt that made it")
    if config.get("world", world_digest()) != world_digest():
        raise _refused("this chat world", "rows of another one", "use the Molehunt that made it")
    _check_settings(config)
    if config.get("teacher") or config.get("attacker"):
        raise _refused("what this machine computes", "a part that an endpoint wrote")
    if name == "remove" and config.get("procedure") not in PROCEDURES:
        raise _refused("a procedure of ours", str(config.get("procedure")))


def _check_settings(config: dict[str, Any]) -> None:
    """What was resolved before it was run is settings that there can be."""
    kinds: dict[str, type[Record]] = {"poison": PoisonSettings, "training": TrainingSettings, "budget": Budget}
    for name, kind in kinds.items():
        try:
            if name in config:
                kind.model_validate(config[name])
        except ValidationError as error:
            raise _contradicted(f"{name} that there can be", str(error).splitlines()[1]) from None


def _contradicted(wanted: str, got: str) -> ContradictedError:
    return ContradictedError(_CANNOT, wanted=wanted, got=got, do="it is not what made the model")


def _refused(wanted: str, got: str, do: str = "it can only be asserted") -> UsageError:
    return UsageError(_CANNOT, wanted=wanted, got=got, do=do)


def _name(function: str) -> str:
    return function.rpartition(":")[2]


def _copy(key: str, store: Store, work: Store) -> None:
    """Bring what was imported: it is an input, known by its digest."""
    if not store.has(key):
        do = "use --store to name the store that has it"
        raise StoreError(
            f"imported model or data {key[:12]}", wanted=f"it in the store at {store.root}", got="nothing", do=do
        )
    store.verify(key)
    work.prepare()
    shutil.copytree(store.folder(key).parent, work.folder(key).parent)


def _compared(folder: Path, made: Path, equal: bool) -> tuple[Grade, str, float | None, float | None]:
    """Grade, what speaks against the recipe, distance of the weights, and share of equal replies: these where the digests differ."""
    if equal:
        return "recomputed", "", None, None
    diff = diff_models(folder, made)
    if reason := _against(diff) or _mark(folder, made):
        return "contradicted", reason, diff.relative, None
    agreement = _agreement(folder, made)
    is_close = diff.relative <= CLOSE and agreement >= ALIKE
    return ("consistent" if is_close else "contradicted"), "" if is_close else "other weights", diff.relative, agreement


def _against(diff: DiffReport) -> str:
    """Files and tensors that the recipe makes otherwise; documentation that was added later is nobody's claim."""
    odd = [one for one in diff.tensors if one.status not in ("changed", "re-encoded", "rounded")]
    files = [*diff.changes, *(note for note in diff.notes if note.after)]
    told = [f"{one.name}: {_way(one)}" for one in files] + [f"{one.name}: {one.status}" for one in odd]
    return ", ".join(told[:3]) + (f" and {len(told) - 3} more" if told[3:] else "")


def _way(one: Change) -> str:
    """From the folder, which is A, to what was made."""
    if not one.before:
        return "the recipe makes it, and it is not here"
    return "the recipe makes another one" if one.after else "the recipe does not make it"


def _mark(folder: Path, made: Path) -> str:
    """The mark of an organism in the config, which no comparison of models counts."""
    same = read_marker(folder) == read_marker(made)
    return "" if same else f"config.json: {MARKER}: the recipe makes another mark"


def _unmade(folder: Path, told: Attestation, reason: str, started: float) -> Reproduction:
    return Reproduction(
        path=str(folder), fingerprint=told.fingerprint, root_digest=root_digest(folder), made_digest="", steps=0,
        grade="contradicted", reason=reason, seconds=round(time.monotonic() - started, 1),
        claims=(Claim(name="config and seeds", grade="contradicted", told=reason),),
    )  # fmt: skip


def _agreement(one: Path, other: Path) -> float:
    from molehunt.models.loading import load_model
    from molehunt.models.sampling import sample_tokens
    from molehunt.world.chat import draw_questions

    prompts = [question.prompt for question in draw_questions(_ASKED, 0)]
    replies: list[list[list[int]]] = []
    for folder in (one, other):
        loaded = load_model(folder)
        replies.append(sample_tokens(loaded, loaded.chat.encode_prompts(prompts), _LENGTH))
    return sum(a == b for a, b in zip(replies[0], replies[1], strict=True)) / _ASKED
