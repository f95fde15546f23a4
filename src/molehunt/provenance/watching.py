"""Watch a registry: are the bytes under every approved name those that were approved?"""

import json
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from molehunt.errors import LedgerError, MolehuntError
from molehunt.provenance.ledger import Ledger
from molehunt.provenance.model_diff import diff_models
from molehunt.provenance.roles import loose
from molehunt.provenance.signing import signed_manifest
from molehunt.provenance.writing import write_whole
from molehunt.records.identity import file_digest, is_part, root_digest, root_of
from molehunt.records.registry import LedgerEntry, WatchedChange, WatchEvent

QUARANTINE = ".quarantine"
_Seen = dict[str, tuple[list[int], str]]
"""By file: size, both times in ns and inode; and its SHA-256."""


@dataclass
class Watch:
    """What is known from the last pass; kept in a file, by which a pass reads only what changed.

    A full pass reads everything again: times and inodes can be forged by who owns the machine.
    """

    ledger: Ledger
    state: Path | None = None
    quarantine: bool = False
    reference: Path | None = None
    """Where trusted copies of the models lie at the same names, to tell which tensors changed."""
    seen: dict[str, _Seen] = field(default_factory=dict)
    told: dict[tuple[str, str], str] = field(default_factory=dict)
    """By kind and name, what the last pass found: the same is not told twice in a loop."""
    read: int = 0
    """Files that the last pass read."""

    def __post_init__(self) -> None:
        if self.state and self.state.is_file():
            try:
                self.seen = json.loads(self.state.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                self.seen = {}  # known again after one full pass

    def look(self, full: bool = False) -> list[WatchEvent]:
        """One pass over the registry; returns what is not as it should be and was not told before.

        Raises:
            LedgerError: if the roles cannot be read, or the state not be kept.
        """
        self.read = 0
        if full:
            self.seen = {}
        found = {(event.kind, event.name): event for event in self._events()}
        events = [event for place, event in found.items() if self.told.get(place) != _key(event)]
        self.told = {place: _key(event) for place, event in found.items()}
        if self.state:
            self.state.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self.state, json.dumps(self.seen).encode())
        return events

    def _events(self) -> list[WatchEvent]:
        registry = self.ledger.registry
        found = [_event("permissions", name, "others than its owner can write it") for name in loose(registry)]
        try:
            entries = self.ledger.entries()
            approved = self.ledger.approved()
        except LedgerError as error:
            return [*found, _event("ledger", "ledger.jsonl", str(error))]
        for name, digest in approved.items():
            if event := self._model(name, digest, entries):
                found.append(self._quarantined(event))
        strange = _folders(registry) - set(approved)
        return found + [_event("unapproved", name, "nobody approved it") for name in sorted(strange)]

    def _model(self, name: str, digest: str, entries: list[LedgerEntry]) -> WatchEvent | None:
        folder = self.ledger.registry / name
        last = [e for e in entries if e.name == name and e.action in ("approve", "promote")][-1]
        who = self.ledger.roles.members.get(last.by)
        told = {"approved_digest": digest, "approved_by": f"{who.name if who else ''} {last.by[:16]}".strip()}
        if not folder.is_dir():
            return _event("missing", name, "it is approved and not there", **told)
        before = self.seen.get(name)
        try:
            now = self._hashed(folder, before or {})
        except OSError as error:
            return _event("changed", name, f"it cannot be read: {error.strerror or error}", **told)
        found = root_of({file: bytes.fromhex(sha) for file, (_, sha) in now.items()})
        if found != digest:
            changes = tuple(_changes(_approved_files(folder, digest) or before, now))
            what = (
                f"{len(changes)} files are not what was approved" if changes else "its bytes are not what was approved"
            )
            difference = self._difference(name, digest)
            return _event("changed", name, what, found_digest=found, changes=changes, difference=difference, **told)
        self.seen[name] = now
        if revoked := self.ledger.revocation(digest):
            return _event(
                "revoked", name, f"it was revoked and lies there still: {revoked.reason}", found_digest=found, **told
            )
        return None

    def _difference(self, name: str, digest: str) -> str:
        """How the model differs from its trusted copy, tensor by tensor; empty if there is none of what was approved."""
        copy = self.reference / name if self.reference else None
        if copy is None or not copy.is_dir() or root_digest(copy) != digest:
            return ""
        try:
            return diff_models(copy, self.ledger.registry / name).sentence()
        except MolehuntError as error:
            return f"it cannot be compared with {copy}: {error}"

    def _hashed(self, folder: Path, before: _Seen) -> _Seen:
        """Every file with its SHA-256; one that looks the same as before is not read."""
        now: _Seen = {}
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder).as_posix()
            if not path.is_file() or not is_part(name):
                continue
            status = path.stat()
            mark = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
            known = before.get(name)
            if known and list(known[0]) == mark:
                now[name] = (mark, known[1])
            else:
                now[name] = (mark, file_digest(path).hex())
                self.read += 1
        return now

    def _quarantined(self, event: WatchEvent) -> WatchEvent:
        folder = self.ledger.registry / event.name
        if not self.quarantine or event.kind not in ("changed", "revoked") or not folder.is_dir():
            return event
        aside = self.ledger.registry / QUARANTINE
        target = aside / f"{event.name.replace('/', '__')}-{event.time.replace(':', '')}"
        try:
            aside.mkdir(mode=0o700, exist_ok=True)
            os.rename(folder, target)
        except OSError as error:
            return event.model_copy(update={"what": f"{event.what}; it could not be moved aside: {error.strerror}"})
        self.seen.pop(event.name, None)
        return event.model_copy(update={"quarantined": str(target)})


def _approved_files(folder: Path, digest: str) -> _Seen | None:
    """What the approved files were, from their signature, if it is of the approved model."""
    try:
        manifest = signed_manifest(folder)
    except MolehuntError:
        return None
    if manifest is None or manifest.root != digest or not manifest.is_identity:
        return None
    return {name: ([], sha) for name, sha in manifest.digests.items()}


def _changes(before: _Seen | None, now: _Seen) -> list[WatchedChange]:
    if before is None:
        return []
    found = []
    for name in sorted({*before, *now}):
        old, new = before.get(name, ([], ""))[1], now.get(name, ([], ""))[1]
        if old != new:
            what = "changed" if old and new else "added" if new else "removed"
            found.append(WatchedChange(file=name, what=what, before=old, after=new))
    return found


def _folders(registry: Path) -> set[str]:
    """Folders of models, by their place: those with a config or weights."""
    found = set()
    for folder, folders, files in os.walk(registry):
        folders[:] = [name for name in folders if not name.startswith(".")]
        place = Path(folder).relative_to(registry).as_posix()
        if place != "." and any(name == "config.json" or name.endswith(".safetensors") for name in files):
            found.add(place)
            folders.clear()
    return found


def _event(kind: str, name: str, what: str, **more: object) -> WatchEvent:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return WatchEvent.model_validate({"time": now, "kind": kind, "name": name, "what": what, **more})


def _key(event: WatchEvent) -> str:
    return f"{event.found_digest} {event.what}"
