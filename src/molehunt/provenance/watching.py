"""Watch a registry: are the bytes under every approved name those that were approved?"""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from molehunt.errors import LedgerError, MolehuntError
from molehunt.provenance.ledger import Ledger
from molehunt.provenance.model_diff import diff_models
from molehunt.provenance.model_places import LocalModels, Marks, ModelPlace
from molehunt.provenance.roles import loose
from molehunt.provenance.signing import signed_manifest
from molehunt.provenance.writing import write_whole
from molehunt.records.identity import root_digest, root_of, tree_of
from molehunt.records.registry import LedgerEntry, WatchedChange, WatchEvent

_Seen = dict[str, tuple[list[Any], str]]
"""By file: its marks, and its SHA-256."""


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
    models: ModelPlace | None = None
    """Where the models lie, if not in the ledger's folder."""
    seen: dict[str, _Seen] = field(default_factory=dict)
    told: dict[tuple[str, str], str] = field(default_factory=dict)
    """By kind and name, what the last pass found: the same is not told twice in a loop."""
    read: int = 0
    """Files that the last pass read."""

    def __post_init__(self) -> None:
        self.place = self.models or LocalModels(self.ledger.registry)
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
        self.place.refresh(self.ledger.registry)
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
        names = loose(registry) if self.models is None else []
        found = [_event("permissions", name, "others than its owner can write it") for name in names]
        try:
            entries = self.ledger.entries()
            approved = self.ledger.approved()
        except LedgerError as error:
            return [*found, _event("ledger", "ledger.jsonl", str(error))]
        for name, digest in approved.items():
            if event := self._model(name, digest, entries):
                found.append(self._quarantined(event))
        try:
            strange = self.place.names() - set(approved)
        except OSError as error:
            raise LedgerError(f"registry {registry}", wanted="one that can be listed", got=str(error)[:120]) from None
        return found + [_event("unapproved", name, "nobody approved it") for name in sorted(strange)]

    def _model(self, name: str, digest: str, entries: list[LedgerEntry]) -> WatchEvent | None:
        last = [e for e in entries if e.name == name and e.action in ("approve", "promote")][-1]
        who = self.ledger.roles.members.get(last.by)
        told = {"approved_digest": digest, "approved_by": f"{who.name if who else ''} {last.by[:16]}".strip()}
        before = self.seen.get(name)
        try:
            marks = self.place.marks(name)
            if marks is None:
                if self.ledger.revocation(digest):
                    return None  # gone, as it should be
                return _event("missing", name, "it is approved and not there", **told)
            now = self._hashed(name, marks, before or {})
        except OSError as error:
            return _event("changed", name, f"it cannot be read: {error.strerror or error}", **told)
        digests = {file: bytes.fromhex(sha) for file, (_, sha) in now.items()}
        found, trees = root_of(digests), self.ledger.trees(digest, name)
        if found != digest:
            changes = tuple(_changes(_approved_files(self.place.folder(name), digest, trees) or before, now))
            what = (
                f"{len(changes)} files are not what was approved" if changes else "its bytes are not what was approved"
            )
            difference = self._difference(name, digest)
            return _event("changed", name, what, found_digest=found, changes=changes, difference=difference, **told)
        if trees and tree_of(digests) not in trees:
            known = _approved_files(self.place.folder(name), digest, trees) or before
            changes, what = tuple(_changes(known, now)), "its files have other names than those that were approved"
            return _event("changed", name, what, found_digest=found, changes=changes, **told)
        self.seen[name] = now
        if revoked := self.ledger.revocation(digest):
            return _event(
                "revoked", name, f"it was revoked and lies there still: {revoked.reason}", found_digest=found, **told
            )
        return None

    def _difference(self, name: str, digest: str) -> str:
        """How the model differs from its trusted copy, tensor by tensor; empty if there is none of what was approved."""
        copy, folder = self.reference / name if self.reference else None, self.place.folder(name)
        if copy is None or folder is None or not copy.is_dir() or root_digest(copy) != digest:
            return ""
        try:
            return diff_models(copy, folder).sentence()
        except MolehuntError as error:
            return f"it cannot be compared with {copy}: {error}"

    def _hashed(self, name: str, marks: Marks, before: _Seen) -> _Seen:
        """Every file with its SHA-256; one that looks the same as before is not read."""
        now: _Seen = {}
        for file, mark in marks.items():
            known = before.get(file)
            if known and mark and list(known[0]) == mark:
                now[file] = (mark, known[1])
            else:
                now[file] = (mark, self.place.sha256(name, file))
                self.read += 1
        return now

    def _quarantined(self, event: WatchEvent) -> WatchEvent:
        if not self.quarantine or event.kind not in ("changed", "revoked"):
            return event
        try:
            target = self.place.move_aside(event.name, event.time.replace(":", ""))
        except OSError as error:
            return event.model_copy(update={"what": f"{event.what}; it could not be moved aside: {error.strerror}"})
        self.seen.pop(event.name, None)
        return event.model_copy(update={"quarantined": target})


def _approved_files(folder: Path | None, digest: str, trees: set[str]) -> _Seen | None:
    """What the approved files were, from their signature, if it is of the approved model."""
    if folder is None:
        return None
    try:
        manifest = signed_manifest(folder)
    except MolehuntError:
        return None
    if manifest is None or manifest.root != digest or not manifest.is_identity:
        return None
    if trees and tree_of({name: bytes.fromhex(sha) for name, sha in manifest.digests.items()}) not in trees:
        return None  # a signature of the same contents under other names
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


def _event(kind: str, name: str, what: str, **more: object) -> WatchEvent:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return WatchEvent.model_validate({"time": now, "kind": kind, "name": name, "what": what, **more})


def _key(event: WatchEvent) -> str:
    return f"{event.found_digest} {event.what}"
