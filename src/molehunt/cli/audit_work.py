"""What the audit commands do between their options and what they show."""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from molehunt.audit.calibrating import Calibration
from molehunt.audit.cards import find_card
from molehunt.audit.case import Prompts
from molehunt.audit.examining import able
from molehunt.audit.planning import plan_of
from molehunt.audit.remote import audit_endpoint
from molehunt.audit.running import Audit
from molehunt.audit.verdict import unfit
from molehunt.cli.audit import PAGE, RESULT, SARIF, TRANSCRIPT
from molehunt.cli.show import counting, watching
from molehunt.cli.study_shown import time_words
from molehunt.detectors.table import DETECTORS
from molehunt.errors import DataError, UsageError
from molehunt.execution import Store, open_store
from molehunt.execution.folders import require_writable_folder, write_text
from molehunt.experiments.recipes import base_step, find_folder
from molehunt.experiments.zoo.building import build_zoo, plan_zoo
from molehunt.experiments.zoo.own import own_spec
from molehunt.models.loading import outline
from molehunt.records.audits import AuditPlan, AuditResult, CalibrationCard, CardEvidence, PlannedDetector, Profile
from molehunt.records.base import Record, first_wrong
from molehunt.records.evidence import Tier
from molehunt.records.zoo import ZOO, Zoo, ZooEntry, ZooPlan
from molehunt.reports.audit_page import audit_page
from molehunt.reports.audit_sarif import audit_sarif
from molehunt.training.sizes import SIZES
from molehunt.world.endpoint import Endpoint, EndpointSettings


def found_folders(
    subject: str, base: str | None, reference: str | None, store: str | None
) -> tuple[Path, Path | None, Path | None]:
    """Where they lie.

    Raises:
        ModelError: if there is nothing by such a name.
        UsageError: if the reference is the subject or its base, to which nothing is unrelated.
    """
    kept = open_store(store)
    beside, unrelated = (find_folder(one, kept) if one is not None else None for one in (base, reference))
    found = find_folder(subject, kept)
    for name, folder in (("the subject", found), ("its base", beside)):
        if unrelated is not None and folder is not None and unrelated.resolve() == folder.resolve():
            raise UsageError("--reference", wanted="an unrelated model", got=name, do="name another, or leave it out")
    return found, beside, unrelated


def audit_folder(
    name: str, subject: Path, base: Path | None, reference: Path | None, profile: Profile, prompts: Prompts, card: str | None,
    store: str | None, jobs: int | None,
) -> AuditResult:  # fmt: skip
    """Examine a model here; without `jobs`, with as many workers as memory holds, two at most."""
    kept = open_store(store)
    audit = Audit.of(name, subject, base, profile, prompts, kept)
    found = find_card(card, audit.case.tier, profile)
    beside = outline(reference) if reference is not None else None
    plan = plan_of(outline(audit.case.subject), audit.case.tier, profile, prompts, name, beside)
    cost = f"{plan.forward_tokens:,} tokens, {time_words(plan.seconds_core)} of one core"
    print(f"audit: tier {plan.tier}, profile {profile}: about {cost}, less what is in the store", file=sys.stderr)
    workers = _workers(plan) if jobs is None else jobs
    with watching("audit") as watch:
        audit.run(kept, workers, watch)
    result = audit.result(kept, found)
    return result if reference is None else audit.beside(result, reference, kept)


def _workers(plan: AuditPlan) -> int:
    """As many worker processes as memory holds, which is told where it holds no two."""
    if plan.jobs == 0:
        held = f"{plan.memory / 2**30:.1f} GiB of weights"
        print(f"{held}: memory does not hold them twice, so one detector looks after another (--jobs)", file=sys.stderr)
    return plan.jobs or 0


def audit_remote(
    settings: EndpointSettings, transcript: Path, profile: Profile, prompts: Prompts, card: CalibrationCard | None
) -> AuditResult:
    """Examine what answers at an endpoint; only a card that the examiner names is taken to speak of it."""
    plan = planned_audit(None, None, settings.url, profile, prompts, None)
    cost = f"{plan.requests:,} requests, {plan.forward_tokens:,} tokens"
    print(f"audit: profile {profile}: about {cost}, less what is in the transcript", file=sys.stderr)
    with counting("audit") as count, Endpoint(settings, transcript) as endpoint:
        return audit_endpoint(endpoint, profile, prompts, card, lambda what, done, total: count(done, total))


REQUESTS = {"quick": 2800, "standard": 9000, "deep": 25000}
"""About what the detectors ask of an endpoint, whose clean and changed prompts are asked once each."""


def planned_audit(
    subject: str | None, base: str | None, endpoint: str | None, profile: Profile, prompts: Prompts, store: str | None,
    reference: str | None = None,
) -> AuditPlan:  # fmt: skip
    """What an audit would take; reads a model's config and tokenizer alone."""
    tier: Tier = "text" if endpoint else "base" if base else "weights"
    if subject is None:
        names = tuple(
            PlannedDetector(name=n, caption=DETECTORS[n].caption, forward_tokens=0) for n in able("text", profile)
        )
        tokens = REQUESTS[profile] * 80
        return AuditPlan(
            name=str(endpoint), tier=tier, profile=profile, parameters=0, detectors=names, forward_tokens=tokens,
            operations=0.0, seconds_core=0.0, seconds_gpu=0.0, memory=0, requests=REQUESTS[profile],
        )  # fmt: skip
    folder, origin, unrelated = found_folders(subject, base, reference, store)
    if origin is not None and origin.resolve() == folder.resolve():
        tier = "weights"  # a subject is no base of its own
    beside = outline(unrelated) if unrelated is not None else None
    return plan_of(outline(folder), tier, profile, prompts, subject, beside)


def judged_plan(plan: AuditPlan, card: CalibrationCard | None, prompts: Prompts) -> AuditPlan:
    """The plan with the card that would judge, or why none would."""
    tier = (
        card.tier if card is not None and plan.requests is not None and card.tier in ("text", "logprobs") else plan.tier
    )
    why = unfit(tier, plan.profile, prompts.digest, card, plan.architecture, plan.parameters)
    return plan.model_copy(update={"card": "" if why or card is None else card.name, "uncalibrated": why})


def require_audit_folder(out: Path) -> None:
    """Make `out` if it is missing. Raises UsageError unless it is empty, or holds an earlier audit and nothing else."""
    require_writable_folder(out)
    strange = sorted({path.name for path in out.iterdir()} - {RESULT, PAGE, SARIF, TRANSCRIPT, f"{TRANSCRIPT}.lock"})
    if strange:
        wanted = "a new or empty folder, or one with an earlier audit alone"
        raise UsageError(f"output folder {out}", wanted=wanted, got=strange[0], do="choose another --out")


def write_result(result: AuditResult, out: Path) -> None:
    """result.json, report.html and result.sarif."""
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / RESULT, result.model_dump_json(by_alias=True, indent=1) + "\n")
    write_text(out / PAGE, audit_page(result))
    write_text(out / SARIF, json.dumps(audit_sarif(result), indent=1) + "\n")


def now_text() -> str:
    """UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def read_result(path: Path) -> AuditResult:
    """Of an earlier audit. Raises DataError if there is none, or it cannot be read."""
    return _read(path, AuditResult, "an audit's result.json")


def read_evidence(place: Path) -> CardEvidence | None:
    """A card's evidence in a file; None if it is a zoo's, or a folder."""
    if place.is_dir() or place.name == ZOO:
        return None
    return _read(place, CardEvidence, "a zoo, or the --evidence of a card")


def made_zoo(base: str, clean: int, planted: int, store: Store, jobs: int, plan: bool) -> tuple[Zoo | None, ZooPlan]:
    """A zoo on somebody's own base, built; with `plan` only planned."""
    spec = own_spec(base, clean, planted)
    if plan:
        return None, plan_zoo(spec, store, jobs)
    with watching("zoo") as watch:
        return build_zoo(spec, store, jobs, watch).zoo, plan_zoo(spec, store, jobs)


def planned_look(base: str, tier: Tier, profile: Profile, prompts: Prompts, store: Store) -> AuditPlan | None:
    """What the audit of one model made from a base would take; None if the base is a size that is not made yet."""
    made = base_step(base, store).fingerprint if base in SIZES else None
    if made is not None and not store.has(made):
        return None
    folder = store.folder(made) / "model" if made else find_folder(base, store)
    return plan_of(outline(folder), tier, profile, prompts, base)


def calibration(
    zoo: Zoo, place: Path | None, store: Store, tier: Tier, profile: Profile, prompts: Prompts
) -> Calibration:
    """The examinations of a zoo's models, copied beside its file or in the store.

    Raises:
        DataError: if a model is in neither.
    """
    home = place if place is None or place.is_dir() else place.parent

    def folders(entry: ZooEntry) -> tuple[Path, Path]:
        if entry.path and home is not None:
            return home / entry.path, home / entry.base_path
        for key in (entry.model, entry.base):
            if not store.has(key):
                got = f"{entry.name} is not in {store.place}"
                raise DataError(f"zoo {zoo.name}", wanted="its models", got=got, do="name the --store it was built in")
        return store.folder(entry.model) / "model", store.folder(entry.base) / "model"

    return Calibration.of(zoo, folders, tier, profile, prompts)


R = TypeVar("R", bound=Record)


def _read(path: Path, kind: type[R], wanted: str) -> R:
    try:
        return kind.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(str(path), wanted=wanted, got=error.strerror or str(error)) from None
    except (ValidationError, UnicodeDecodeError) as error:
        got = first_wrong(error) if isinstance(error, ValidationError) else str(error)
        raise DataError(str(path), wanted=wanted, got=got) from None
