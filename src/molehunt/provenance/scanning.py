"""Scan a model folder before anything of it is loaded: what is fit to load, what pickles, code and templates would do."""

from pathlib import Path
from typing import Any

from molehunt.errors import ModelError
from molehunt.provenance.apart import Failed, answers
from molehunt.provenance.chat_templates import Template, from_file, from_gguf, from_json, template_findings
from molehunt.provenance.kinds import CHECKS, FIT, Kind, WrongContentError, kind_of
from molehunt.provenance.limits import Limits
from molehunt.provenance.listing import Listing, list_folder
from molehunt.provenance.remote_code import code_findings
from molehunt.provenance.shards import shard_findings
from molehunt.provenance.tensors import HeaderError, count_not_finite, read_header
from molehunt.records.identity import IGNORED, file_digest, is_part, root_of
from molehunt.records.scans import Finding, ScanReport, SeenFile

_ORDER = {"error": 0, "warning": 1, "note": 2}
_MOST_NAMED = 20
"""Tensors with numbers that are not finite that are named one by one."""


def scan_folder(path: Path, base: Path | None = None, limits: Limits | None = None) -> ScanReport:
    """Examine every file of a model folder; nothing is loaded, unpickled, imported or followed out of the folder.

    Chat templates are rendered, and pickles taken apart, in a process with limits on time and memory.

    Args:
        base: folder of the model that this one was made from, whose chat template is ordinary.

    Raises:
        ModelError: if there is no such folder, or it is empty.
    """
    limits = limits or Limits()
    _require_folder(path)
    scan = _Scan(list_folder(path, limits), limits)
    for name in scan.files:
        scan.look(name)
    scan.examine_suspects()
    scan.found += code_findings(scan.documents, scan.files)
    scan.found += shard_findings(scan.documents, scan.headers, scan.files)
    scan.found += template_findings(scan.templates, chat_templates(base, limits) if base else {}, limits)
    return scan.report(path)


def _require_folder(path: Path) -> None:
    if not path.is_dir() or not any(path.iterdir()):
        got = "an empty folder" if path.is_dir() else "a file" if path.exists() else "no such folder"
        raise ModelError(f"model {path}", wanted="a model folder", got=got, do="check the path")


def chat_templates(folder: Path, limits: Limits) -> dict[str, str]:
    """The chat templates of a folder by name; of several places, the one that transformers takes.

    Raises:
        ModelError: if there is no such folder, or it is empty.
    """
    _require_folder(folder)
    scan = _Scan(list_folder(folder, limits), limits)
    for name in scan.files:
        if kind_of(name) in ("json", "template", "gguf"):
            scan.look(name)
    found: dict[str, str] = {}
    for template in sorted(scan.templates, key=lambda t: (not t.place.endswith(".jinja"), t.place)):
        found.setdefault(template.name, template.text)
    return found


class _Scan:
    def __init__(self, listing: Listing, limits: Limits) -> None:
        self.files, self.limits, self.is_whole = listing.files, limits, listing.is_whole
        self.found = list(listing.findings)
        self.documents: dict[str, Any] = {}
        self.headers: dict[str, dict[str, Any]] = {}
        self.templates: list[Template] = []
        self.suspects: list[str] = []
        self.weights_left, self.unrelated_left = limits.weights_bytes, limits.unrelated_bytes

    def look(self, name: str) -> None:
        """What can be said of one file without a process apart."""
        kind, path = kind_of(name), self.files[name]
        if name.split("/")[0] in IGNORED:
            return
        if kind == "other":
            self._add("format", name, "not a kind of file that is fit to load")
            self.suspects.append(name)
        elif kind == "gguf":
            self._gguf(name, path)
        elif kind == "weights":
            self._weights(name, path)
        elif path.stat().st_size > self.limits.text_bytes and kind != "document":
            self._add("not-analysed", name, f"more than {self.limits.text_bytes >> 20} MiB")
        else:
            self._content(name, path, kind)

    def _content(self, name: str, path: Path, kind: Kind) -> None:
        try:
            value = CHECKS[kind](path)
        except WrongContentError as error:
            self._add("disguised", name, str(error))
            self.suspects.append(name)
            return
        if kind == "code":
            self._add("code", name, f"a program text, SHA-256 {file_digest(path).hex()}")
        elif kind == "document":
            self._add("document", name, "not examined further: nothing loads it")
        elif kind == "template":
            self.templates.append(from_file(name, value))
        elif kind == "json":
            self.templates += from_json(name, value)
            self.documents[name] = value

    def _gguf(self, name: str, path: Path) -> None:
        self._add("format", name, "weights that Molehunt does not load; only their chat template is looked at")
        templates, wrong = from_gguf(name, path, self.limits)
        self.templates += templates
        if wrong is not None:
            self.found.append(wrong)
            self.suspects.append(name)

    def _weights(self, name: str, path: Path) -> None:
        try:
            header = self.headers[name] = read_header(path)
        except HeaderError as error:
            self._add("tensors", name, str(error))
            self.suspects.append(name)
            return
        self.weights_left -= path.stat().st_size
        if self.weights_left < 0:
            self._add("not-analysed", name, "its numbers were not looked at: more weights than the limit")
            return
        counts = count_not_finite(path, header)
        for tensor, (nans, infinities) in list(counts.items())[:_MOST_NAMED]:
            self._add("not-finite", f"{name}:{tensor}", f"{nans} NaN, {infinities} infinite")
        if len(counts) > _MOST_NAMED:
            self._add("not-finite", name, f"so have {len(counts) - _MOST_NAMED} more of its tensors")

    def examine_suspects(self) -> None:
        """Hand what is not fit to load to the process apart."""
        bounds = {
            "bytes": self.limits.archive_bytes, "members": self.limits.archive_members, "depth": self.limits.archive_depth,
        }  # fmt: skip
        jobs = [{"do": "pickle", "path": str(self.files[name].resolve()), **bounds} for name in self.suspects]
        for name, answer in zip(self.suspects, answers(jobs, self.limits), strict=True):
            if isinstance(answer, Failed):
                self._add("not-analysed", name, f"taking it apart {answer.why}")
                continue
            for item in answer["findings"]:
                place = f"{name}:{item['part']}" if item["part"] else name
                self._add(item["rule"], place, item["message"])

    def _add(self, rule: str, file: str, message: str) -> None:
        self.found.append(Finding.of(rule, file, message))

    def report(self, path: Path) -> ScanReport:
        """Everything, graver findings first."""
        seen = tuple(self._seen(name, file) for name, file in self.files.items())
        unique = sorted(dict.fromkeys(self.found), key=lambda f: (_ORDER[f.level], f.file, f.line or 0))
        return ScanReport(
            path=str(path),
            root_digest=_root(seen) if self.is_whole else None,
            findings=tuple(f for f in unique if f.rule != "not-analysed"),
            not_analysed=tuple(f for f in unique if f.rule == "not-analysed"),
            files=seen,
        )

    def _seen(self, name: str, path: Path) -> SeenFile:
        size, kind = path.stat().st_size, kind_of(name)
        is_fit = kind == "weights" or (kind in FIT and size <= self.limits.text_bytes)
        self.unrelated_left -= 0 if is_fit else size
        is_read = is_fit or self.unrelated_left >= 0
        return SeenFile(name=name, size=size, sha256=file_digest(path).hex() if is_read else None)


def _root(seen: tuple[SeenFile, ...]) -> str | None:
    """The OpenSSF root digest, as `records.identity.root_digest`; None if a file was not read."""
    digests = {file.name: file.sha256 for file in seen if is_part(file.name)}
    if None in digests.values():
        return None
    return root_of({name: bytes.fromhex(digest or "") for name, digest in digests.items()})
