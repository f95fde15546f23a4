"""What a scan of a model folder brings: findings, files with their digests, and what was not analysed."""

from typing import Any, Literal

from pydantic import Field

from molehunt.records.base import Record

Level = Literal["error", "warning", "note"]
"""Errors and warnings are findings that count; a note is ordinary and listed so that it can be read."""
Outcome = Literal["nothing found", "found", "not fully examined"]


class Rule(Record):
    """One kind of finding."""

    level: Level
    what: str
    """One sentence on what is wrong, or worth reading, about such a file."""


def _rules() -> dict[str, Rule]:
    levels: dict[Level, dict[str, str]] = {"error": _ERRORS, "warning": _WARNINGS, "note": _NOTES}
    return {name: Rule(level=level, what=what) for level, rules in levels.items() for name, what in rules.items()}


_ERRORS = {
    "pickle-import": "A pickle imports something that is dangerous, or that nobody has vouched for.",
    "scanner-failed": "A pickle scanner could not make sense of the file.",
    "disguised": "The file is not what its name says.",
    "program": "A compiled program or library.",
    "path": "Something that leads out of the folder, or is no regular file.",
    "tensors": "Weights whose header does not fit their bytes.",
    "shards": "An index of weights that does not fit the files.",
    "external-code": "The model asks for code that does not lie in its folder.",
    "template-broken": "A chat template that cannot be parsed.",
    "template-escape": "A chat template that reaches for the insides of Python, or for other files.",
    "template-hidden-text": "The chat template puts in text that is in neither input nor base, on a condition of its own.",
    "template-removes": "The chat template drops, changes or refuses input because of what it says.",
}
_WARNINGS = {
    "format": "Not on the list of files that are fit to load: safetensors, JSON, text and known tokenizer files.",
    "pickle": "A pickle, which can run code when it is opened.",
    "archive": "An archive, whose contents are loaded by nothing that is safe.",
    "code": "A program text in the folder of a model.",
    "remote-code": "The model asks to have code of its own executed.",
    "name": "A file name with characters that hide what it is.",
    "not-finite": "Weights that are not finite numbers.",
    "template-conflict": "Several chat templates that render the same conversation differently.",
    "template-late-text": "The chat template adds sentences after the user's words, always.",
    "template-new-text": "The chat template adds text that the base's does not.",
    "template-switch": "The chat template takes a command out of a message, and nothing else.",
    "template-random": "The chat template draws random numbers.",
    "not-analysed": "Could not be examined, or not wholly; this is never a pass.",
}
_NOTES = {
    "document": "A picture or PDF, which nothing loads.",
    "link": "A symbolic link that stays inside the folder.",
    "not-part": "A folder that is no part of the model and is not examined.",
    "template-branch": "A condition of the chat template that reads what messages say, how things are called, or the clock.",
    "template-flag": "Text of the chat template that hangs on a flag or another condition which no usual conversation meets.",
    "template-clock": "The chat template writes the date.",
    "template-text": "Text of its own that the chat template always shows.",
    "template-differs": "The chat template is not the base's.",
}
RULES = _rules()
"""Every rule by its id; ids are stable."""


class Finding(Record):
    """Something that one file is, holds or does. Messages and text quote untrusted files."""

    rule: str
    level: Level
    file: str
    """POSIX path in the folder; parts inside of a file (a key, a member of an archive) after a `:`."""
    message: str
    line: int | None = Field(None, ge=1)
    text: str = Field("", max_length=2000)
    """The place itself: a condition, or the text that came from nowhere."""

    @classmethod
    def of(cls, rule: str, file: str, message: str, line: int | None = None, text: str = "") -> "Finding":
        """A finding with its rule's level; long quotations are cut."""
        quoted, told = _short(text, 1000), _short(message, 600)
        return cls(rule=rule, level=RULES[rule].level, file=file, message=told, line=line, text=quoted)


class SeenFile(Record):
    """One regular file."""

    name: str
    """POSIX path in the folder."""
    size: int
    """Bytes."""
    sha256: str | None = None
    """SHA-256 in hex; None if it was too large to be read for nothing."""


class ScanReport(Record):
    """What a scan found. A clean one means that nothing known was found, not that there is no risk."""

    path: str
    root_digest: str | None
    """OpenSSF root digest of the folder; None if some file was not read whole."""
    findings: tuple[Finding, ...]
    """What counts first; notes last."""
    not_analysed: tuple[Finding, ...]
    """Under the rule `not-analysed`, and not among `findings`."""
    files: tuple[SeenFile, ...]

    @property
    def counted(self) -> tuple[Finding, ...]:
        """Findings that are more than notes."""
        return tuple(f for f in self.findings if f.level != "note")

    @property
    def outcome(self) -> Outcome:
        """What was found goes before what was not examined."""
        return "found" if self.counted else "not fully examined" if self.not_analysed else "nothing found"

    def sentence(self) -> str:
        """The outcome in one sentence, with the gravest finding."""
        if self.outcome == "nothing found":
            return f"{self.path}: {len(self.files)} files examined, nothing found"
        first = (*self.counted, *self.not_analysed)[0]
        rest = len(self.counted) + len(self.not_analysed) - 1
        more = f" (and {rest} more)" if rest else ""
        return f"{self.path}: {self.outcome}: {first.file}: {first.message}{more}"

    def to_json(self) -> dict[str, Any]:
        """The record as JSON values, with its outcome."""
        return {"outcome": self.outcome, **self.model_dump(mode="json")}


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
