"""How two model folders differ: tensor by tensor, and in what decides how they are run."""

from typing import Any, Literal

from pydantic import Field

from molehunt.records.base import Record

TensorStatus = Literal["re-encoded", "rounded", "changed", "added", "removed", "renamed"]
"""Re-encoded: the same values in another type of number. Rounded: what the values become in a narrower type, to the bit."""
TensorForm = Literal["", "few rows", "few columns", "low rank", "full"]
DiffShape = Literal["none", "few rows", "low rank", "some tensors", "all tensors", "other weights"]
DiffOutcome = Literal["same model", "differs", "not fully examined"]


class Change(Record):
    """One thing that differs between two models, read from their files."""

    what: str
    """config, generation config, tokenizer, added tokens, chat template, tensors, rows or file."""
    name: str
    """The key, token, tensor or file."""
    before: str
    """As text, cut to a line; empty if the first has none."""
    after: str


class TensorDiff(Record):
    """One tensor that is not the same bytes in both."""

    name: str
    status: TensorStatus
    told: str = ""
    """Types and shapes, or where it went, in words."""
    norm: float | None = None
    """Frobenius norm of the difference; None where it was not computed."""
    relative: float | None = None
    """The same over the norm of the tensor before."""
    cosine: float | None = None
    """Between before and after, as vectors."""
    rows: int | None = None
    """Rows that differ anywhere; None for vectors."""
    of_rows: int = 0
    columns: int | None = None
    of_columns: int = 0
    which: tuple[int, ...] = ()
    """The first rows, or columns where they are fewer, that differ."""
    rank: int | None = None
    """Of the difference, above the rounding of its type; None if it is more than was looked for."""
    spectrum: tuple[float, ...] = ()
    """Its largest singular values; of a full difference close from below (a randomized sketch)."""
    form: TensorForm = ""


class DiffReport(Record):
    """How B differs from A."""

    a: str
    b: str
    shape: DiffShape
    """What the difference of the weights looks like as a whole."""
    identical: int
    """Tensors of the same bytes, wherever they lie."""
    tensors: tuple[TensorDiff, ...]
    """All others."""
    relative: float
    """‖ΔW‖/‖W‖ over the tensors that changed."""
    cosine: float | None
    """Median over the changed matrices; None if there are none."""
    changes: tuple[Change, ...]
    """Config, tokenizer, template and other files that decide what is run."""
    notes: tuple[Change, ...] = ()
    """Other files; they are no part of what is compared."""
    not_examined: dict[str, str] = Field(default_factory=dict)
    """File to why it could not be compared."""

    @property
    def outcome(self) -> DiffOutcome:
        """What differs goes before what was not examined."""
        if self.changes or any(one.status not in ("re-encoded", "rounded", "renamed") for one in self.tensors):
            return "differs"
        return "not fully examined" if self.not_examined else "same model"

    @property
    def low_rank(self) -> int | None:
        """The largest rank of a changed matrix if the difference is low-rank everywhere; what a merged adapter looks like."""
        changed = [one for one in self.tensors if one.status == "changed"]
        if self.shape not in ("low rank", "few rows") or not changed:
            return None
        return max(one.rank or 0 for one in changed)

    def count(self, status: TensorStatus) -> int:
        """Tensors of that status."""
        return sum(one.status == status for one in self.tensors)

    def sentence(self) -> str:
        """The outcome in one line."""
        counts = [f"{self.count(s)} {s}" for s in ("changed", "added", "removed", "renamed", "rounded", "re-encoded")]
        told = ", ".join(one for one in counts if not one.startswith("0 ")) or "none differs"
        head = f"{self.b} against {self.a}: {self.outcome}; tensors: {self.identical} identical, {told}"
        if self.shape == "other weights":
            head += f"; other weights altogether (median cosine {self.cosine or 0:.2f})"
        elif self.shape != "none":
            head += f"; the difference has the shape of: {self.shape}, ‖ΔW‖/‖W‖ {self.relative:.2g}"
        files = f"; {len(self.changes)} other differences" if self.changes else ""
        return head + files + (f"; not examined: {', '.join(self.not_examined)}" if self.not_examined else "")

    def to_json(self) -> dict[str, Any]:
        """The record as JSON values, with its outcome."""
        return {"outcome": self.outcome, **self.model_dump(mode="json")}
