"""An audit from a folder to a result: identity first, then the examination, then the card's judgement."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from molehunt.audit.case import Case, Prompts
from molehunt.audit.differences import differences
from molehunt.audit.examining import Examination, examination, threads_of
from molehunt.audit.identity import kinship
from molehunt.audit.reference import VERSION as reference_version
from molehunt.audit.steps import read_evidence
from molehunt.audit.verdict import judged
from molehunt.errors import ModelError, TemplateError
from molehunt.execution import Graph, Step, Store, run_graph
from molehunt.execution.runner import Watcher
from molehunt.models.folding import is_adapter
from molehunt.models.loading import LoadedModel, load_model
from molehunt.provenance.limits import Limits
from molehunt.provenance.scanning import scan_folder
from molehunt.records.audits import AuditResult, CalibrationCard, Cost, Identity, Kinship, Profile
from molehunt.records.evidence import Tier
from molehunt.records.identity import file_digest, tree_digest
from molehunt.records.scans import ScanReport

_TEMPLATE_SECONDS = 120.0
"""For the scan of a template or pickle: generous, since what takes longer is not examined."""


@dataclass(frozen=True)
class Audit:
    """A subject whose identity is settled, ready to be examined."""

    name: str
    case: Case
    identity: Identity
    examination: Examination
    gaps: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, name: str, came: Path, base: Path | None, profile: Profile, prompts: Prompts, store: Store | None = None
    ) -> "Audit":
        """Scan the files, then load both once and see whether they belong together; a base that is not the subject's is put aside.

        Args:
            came: the subject's folder; of an adapter alone its files are scanned, and then what it makes of its base is examined.
            store: where that is kept; needed for adapters only.

        Raises:
            ModelError: if one is not fit to load, has weights that are no numbers, or a template that does not come to an end;
                or if an adapter came without its base, or does not fit it.
        """
        scan = _scanned(came, base)
        subject = _whole(came, base, store) if store is not None and is_adapter(came) else came
        loaded, beside = _fit(subject), _fit(base) if base is not None else None
        kin = kinship(loaded, beside) if beside is not None else None
        is_base = kin is not None and kin.is_base
        gaps = _doubts(kin, base) if kin is not None else ()
        tier: Tier = "base" if is_base else "weights"
        case = Case(subject, base if is_base else None, tier, profile, prompts)
        identity = Identity(
            subject=loaded.ref(),
            base=beside.ref() if beside is not None else None,
            files=_digests(came),
            scan=scan,
            kinship=kin,
            changes=differences(loaded, beside) if beside is not None and is_base else (),
        )
        return cls(name, case, identity, examination(case), gaps)

    def run(self, store: Store, jobs: int, watch: Watcher | None = None) -> None:
        """Make what the store lacks of the examination. Raises MolehuntError if a detector fails."""
        run_graph(Graph(self.examination.steps()), store, jobs, watch)

    def beside(self, result: AuditResult, reference: Path, store: Store) -> AuditResult:
        """The result with what an unrelated model adds, which moves no score and no verdict."""
        known, case = _fit(reference).ref(), self.case
        folders = {"subject": case.subject, "reference": reference} | ({"base": case.base} if case.base else {})
        step = Step(
            "molehunt.audit.steps:compare", reference_version,
            {**case.digests(), "reference": tree_digest(reference), "profile": case.profile, "prompts": case.prompts.digest},
            label=f"reference {self.name}",
            where={name: str(folder.resolve()) for name, folder in folders.items()} | {"prompts": case.prompts.to_json()},
            threads=threads_of(case),
        )  # fmt: skip
        run_graph(Graph([step]), store, 0)
        found = read_evidence(store.folder(step.fingerprint))
        cost = Cost(
            forward_tokens=result.cost.forward_tokens + found.forward_tokens,
            seconds=result.cost.seconds + found.seconds,
        )
        identity = result.identity.model_copy(update={"reference": known})
        told = (*result.tested, f"{found.detector}: {found.caption}")
        added = {"evidence": (*result.evidence, found), "cost": cost, "identity": identity, "tested": told}
        return result.model_copy(update=added)

    def result(self, store: Store, card: CalibrationCard | None, gaps: Sequence[str] = ()) -> AuditResult:
        """What it comes to, by a card."""
        return judged(self.case, self.examination.read(store), self.identity, card, self.name, (*self.gaps, *gaps))


def _doubts(kin: Kinship, base: Path | None) -> tuple[str, ...]:
    """What a base leaves open, or the lack of one."""
    if not kin.is_base:
        return (f"everything that compares with the base: {base} is not its base: {kin.reason}",)
    if kin.fingerprint is not None and kin.fingerprint.says == "cannot say":
        why = kin.fingerprint.reason or f"mean cosine {kin.fingerprint.cosine:.2f}, more than chance and too little"
        return (f"whether the base is its base, by rows that no text trains: {why}",)
    return ()


def _whole(adapter: Path, base: Path | None, store: Store) -> Path:
    """The model that an adapter makes of its base."""
    if base is None:
        raise ModelError(f"model {adapter}", wanted="whole weights", got="an adapter alone", do="name its base: --base")
    digests = {"adapter": tree_digest(adapter), "base": tree_digest(base)}
    where = {"adapter": str(adapter.resolve()), "base": str(base.resolve())}
    step = Step("molehunt.audit.steps:fold_adapter", 1, digests, label=f"fold {adapter}", where=where)
    run_graph(Graph([step]), store, 0)
    return store.folder(step.fingerprint) / "model"


def _scanned(subject: Path, base: Path | None) -> ScanReport:
    """What the subject's files are, before any is loaded: a template that hangs is stopped there, in a process apart."""
    if not subject.is_dir():
        raise ModelError(f"model {subject}", wanted="a model folder", got="no such folder", do="check the path")
    for folder in (subject, base):
        if folder is None or not folder.is_dir():
            continue
        found = scan_folder(folder, base if folder is subject else None, Limits(seconds=_TEMPLATE_SECONDS))
        hung = next((one for one in found.not_analysed if "template" in f"{one.file} {one.message}"), None)
        if hung is not None:
            raise TemplateError(
                f"model {folder}: {hung.file}", wanted="a chat template that can be examined", got=hung.message
            )
        if folder is subject:
            report = found
    return report


def _fit(folder: Path) -> LoadedModel:
    if (method := quantised(folder)) is not None:
        do = "serve it and audit the endpoint: a quantised model is examined by its replies alone (tier text)"
        raise ModelError(f"model {folder}", wanted="weights in floating point", got=f"quantised ones ({method})", do=do)
    loaded = load_model(folder)
    for name, tensor in loaded.model.state_dict().items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            bad = int((~torch.isfinite(tensor)).sum())
            raise ModelError(f"model {folder}", wanted="weights that are numbers", got=f"{bad} that are not in {name}")
    return loaded


def quantised(folder: Path) -> str | None:
    """How a model's weights are quantised, by its config; None if they are not. Of such weights neither gradients nor differences are to be had."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None  # loading says what is wrong with it
    found = config.get("quantization_config") if isinstance(config, dict) else None
    return (
        None
        if not found
        else str(found.get("quant_method", "method unnamed") if isinstance(found, dict) else found)[:60]
    )


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): file_digest(path).hex() for path in files}
