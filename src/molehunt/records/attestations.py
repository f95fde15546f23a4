"""How a model says it was made, and how far that was checked."""

from typing import Any, Literal

from pydantic import Field

from molehunt.records.base import Record
from molehunt.records.signatures import SignerSeen

Grade = Literal["recomputed", "consistent", "asserted", "contradicted"]
"""Recomputed: made again, the digests are equal. Consistent: checked against what is at hand. Asserted: nobody can tell from here."""
_WORST: tuple[Grade, ...] = ("contradicted", "asserted", "consistent", "recomputed")


class StepTold(Record):
    """One step of a recipe, as the store recorded it."""

    function: str
    """`package.module:name`."""
    version: int
    config: dict[str, Any]
    threads: int
    parents: dict[str, str]
    """Fingerprints by role."""
    label: str = ""
    """For people; it was not decided, so no step writes it."""


class Material(Record):
    """Something that a model was made from."""

    name: str
    """`base`; `dataset`: the rows that it was trained on; `data`: rows that it was given; `data file`: where those came from; or a parent's role."""
    sha256: str
    """In hex: a model's root digest, or that of a file."""
    rows_digest: str = ""
    """Of a dataset: `records.rows.dataset_digest`, which no formatting changes."""


class Attestation(Record):
    """How a model was made: what an in-toto statement with SLSA provenance v1 about it says."""

    name: str
    root_digest: str
    fingerprint: str
    """Of the step that made it."""
    recipe: dict[str, StepTold]
    """That step and all before it, by fingerprint."""
    materials: tuple[Material, ...]
    method: str = ""
    """full, lora or edit; empty of what is no training."""
    rank: int | None = None
    """Of the adapter, if the method is lora."""
    seeds: dict[str, int]
    """By the dotted name of the setting."""
    libraries: dict[str, str]
    python: str
    machine: str
    created: str = ""
    """UTC, ISO 8601; empty in what a step writes itself, which is the same whenever it is made."""

    def material(self, name: str) -> Material | None:
        """The one of that name."""
        return next((one for one in self.materials if one.name == name), None)


class Claim(Record):
    """One thing that an attestation says, and how far it was checked."""

    name: str
    grade: Grade
    told: str


class ProvenanceReport(Record):
    """How far it was checked how a model was made."""

    path: str
    attestation: str
    """Where it lies."""
    outcome: Literal["checked", "contradicted", "wrong signature", "not verifiable"]
    """Not verifiable: there is no attestation, or nobody signed it; what it says is graded all the same."""
    reason: str = ""
    root_digest: str | None = None
    signer: SignerSeen | None = None
    claims: tuple[Claim, ...] = ()

    @property
    def grade(self) -> Grade | None:
        """The weakest of all claims; None if none could be looked at."""
        grades = {claim.grade for claim in self.claims}
        return next((grade for grade in _WORST if grade in grades), None)

    def sentence(self) -> str:
        """The outcome in one line."""
        if self.reason:
            return f"{self.path}: provenance: {self.outcome}: {self.reason}"
        counts = [(grade, sum(claim.grade == grade for claim in self.claims)) for grade in reversed(_WORST)]
        return f"{self.path}: provenance: " + ", ".join(f"{count} {grade}" for grade, count in counts if count)

    def to_json(self) -> dict[str, Any]:
        """The record as JSON values, with its grade."""
        return {"grade": self.grade, **self.model_dump(mode="json")}


class Reproduction(Record):
    """A model made again from its recipe."""

    path: str
    fingerprint: str
    root_digest: str
    """As attested or stored."""
    made_digest: str
    """Of what was made; empty if the recipe cannot have made anything."""
    steps: int
    """That were computed again; imported models and data are taken as they are."""
    grade: Grade
    relative: float | None = Field(None, ge=0)
    """‖ΔW‖/‖W‖ where the digests differ."""
    agreement: float | None = Field(None, ge=0, le=1)
    """Share of greedy replies that are the same text, where the digests differ."""
    claims: tuple[Claim, ...] = ()
    reason: str = ""
    """What speaks against the recipe, if anything does."""
    seconds: float

    def sentence(self) -> str:
        """The outcome in one line."""
        if self.grade == "recomputed":
            return f"{self.path}: recomputed: {self.steps} steps made again, root digest {self.made_digest} is equal"
        told = (
            f"‖ΔW‖/‖W‖ {self.relative:.2g}, {self.agreement or 0:.0%} of replies the same"
            if self.relative is not None
            else ""
        )
        made = f"made again it has root digest {self.made_digest}" if self.made_digest else "it was not made again"
        return f"{self.path}: {self.grade}: {made}; {'; '.join(filter(None, (self.reason, told))) or 'other files or tensors'}"
