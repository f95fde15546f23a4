"""The approval ledger of a registry: signed entries, each bound to the one before it, to which lines are only ever added."""

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from molehunt.errors import LedgerError
from molehunt.provenance.keys import PrivateKey, PublicKey
from molehunt.provenance.ledger_rules import GENESIS, after, against, forbidden, parsed, unsigned, wrong
from molehunt.provenance.roles import loose, read_signed_roles
from molehunt.records.registry import (
    Action,
    Evidence,
    LedgerAnchor,
    LedgerEntry,
    LedgerProblem,
    LedgerReport,
    Roles,
    SignedEntry,
    Standing,
)
from molehunt.records.signing import sign_text

LEDGER = "ledger.jsonl"


@dataclass
class _Read:
    """A ledger as it was read."""

    roles: Roles
    owner: str
    entries: list[SignedEntry] = field(default_factory=list)
    """Up to the first that is not right."""
    problem: LedgerProblem | None = None
    revoked: dict[str, LedgerEntry] = field(default_factory=dict)
    """Every revocation that is well signed, also behind an entry that is not right."""


class Ledger:
    """A ledger that is read anew when its files change; made by `open`."""

    def __init__(self, registry: Path, owner: PublicKey | None) -> None:
        self.registry, self.owner = registry, owner
        self._mark: tuple[object, ...] = ()
        self._last: SignedEntry | None = None
        self._seen = 0
        self._found = self._fresh()

    @classmethod
    def open(cls, path: Path | str, owner: PublicKey | None = None) -> "Ledger":
        """The ledger of a registry, by its folder or by the ledger's own path.

        Args:
            owner: who must have signed the roles; None believes them as they stand there.

        Raises:
            LedgerError: if there are no roles, or they are not the owner's. An entry that was changed raises where it matters.
        """
        place = Path(path)
        return cls(place.parent if place.name == LEDGER else place, owner)

    @property
    def path(self) -> Path:
        """Where its entries are."""
        return self.registry / LEDGER

    @property
    def roles(self) -> Roles:
        """Who may do what now."""
        return self._fresh().roles

    def entries(self) -> list[LedgerEntry]:
        """All entries. Raises LedgerError if one was changed."""
        return [signed.entry for signed in self._whole().entries]

    def standing(self, digest: str) -> Standing:
        """What was last decided on a model; a revocation is for ever, and counts even in a ledger that was changed elsewhere.

        Raises:
            LedgerError: if an entry was changed, so that no approval in it can be believed.
        """
        if digest in self._fresh().revoked:
            return "revoked"
        found: Standing = "unknown"
        for signed in self._whole().entries:
            if signed.entry.model == digest:
                found = after(found, signed.entry.action)
        return found

    def last(self, digest: str, *actions: Action) -> LedgerEntry | None:
        """The last entry on a model of one of these actions. Raises LedgerError if an entry was changed."""
        found = [e for e in self.entries() if e.model == digest and e.action in actions]
        return found[-1] if found else None

    def revocation(self, digest: str) -> LedgerEntry | None:
        """The entry that revoked a model; None if none did."""
        return self._fresh().revoked.get(digest)

    def approved(self) -> dict[str, str]:
        """The root digest that is approved under each name, revoked ones too. Raises LedgerError if an entry was changed."""
        return {entry.name: entry.model for entry in self.entries() if entry.action == "approve"}

    def trees(self, digest: str, name: str = "") -> set[str]:
        """Digests over names and contents that were approved of a model, under a name or any. Raises LedgerError if an entry was changed."""
        said = [e for e in self.entries() if e.model == digest and e.action in ("approve", "promote") and e.tree]
        return {entry.tree for entry in said if name in ("", entry.name)}

    def append(
        self,
        action: Action,
        digest: str,
        key: PrivateKey,
        *,
        name: str = "",
        tree: str = "",
        reason: str = "",
        evidence: Evidence | None = None,
    ) -> SignedEntry:
        """Sign an entry and add it, on disk when this returns.

        Args:
            tree: digest over names and contents of the model's files; without it, renaming them is not seen.

        Raises:
            LedgerError: if the key may not, a rule forbids it, an entry was changed, or it cannot be written.
        """
        with self._alone():
            found = self._whole()
            now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            prev, last = (found.entries[-1].hash, found.entries[-1].entry.time) if found.entries else (GENESIS, "")
            entry = LedgerEntry(
                seq=len(found.entries), time=max(now, last), action=action, model=digest, tree=tree, name=name, by=key.public.key_id, reason=reason,
                evidence=evidence or Evidence(), prev=prev,
            )  # fmt: skip
            if why := forbidden(entry, [signed.entry for signed in found.entries], found.roles):
                raise LedgerError(f"{action} {name or digest[:16]}", wanted="what the registry's rules allow", got=why)
            signed = SignedEntry(entry=entry, hash=entry.digest(), signature=sign_text(key, entry.canonical()))
            self._write((signed.canonical() + "\n").encode())
        return signed

    def anchor(self) -> LedgerAnchor:
        """What to tell somebody else. Raises LedgerError if there is nothing yet, or an entry was changed."""
        found = self._whole()
        entries = found.entries
        if not entries:
            raise LedgerError(f"ledger {self.path}", wanted="an entry to anchor", got="none")
        last = entries[-1]
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return LedgerAnchor(
            ledger=entries[0].hash, seq=last.entry.seq, hash=last.hash, time=now, roles=found.roles.version
        )

    def verify(self, anchors: Iterable[LedgerAnchor] = ()) -> LedgerReport:
        """Look at every entry again, and compare with what was told elsewhere."""
        found = self._fresh()
        problem, told = found.problem, sorted(anchors, key=lambda anchor: anchor.seq)
        for anchor in told:
            problem = problem or against(found.entries, anchor, found.roles)
        return LedgerReport(
            registry=str(self.registry),
            entries=len(found.entries) if problem is None else min(len(found.entries), problem.seq),
            problem=problem,
            unanchored=max(0, len(found.entries) - 1 - (told[-1].seq if told else -1)),
            loose=tuple(loose(self.registry)),
            owner=found.owner,
            is_owner_named=self.owner is not None,
        )

    def _whole(self) -> _Read:
        found = self._fresh()
        if found.problem:
            what = f"ledger {self.path}, entry {found.problem.seq}"
            raise LedgerError(what, wanted="entries as they were signed", got=found.problem.what)
        return found

    def _fresh(self) -> _Read:
        """What the files say now; read only if they changed."""
        mark = (_mark(self.path), _mark(self.registry / "roles.json"))
        if mark != self._mark:
            self._found = self._read()
            self._mark = mark
        return self._found

    def _read(self) -> _Read:
        signed_roles = read_signed_roles(self.registry, self.owner)
        if signed_roles.roles.version < self._seen:
            raise LedgerError(f"roles of {self.registry}", wanted=f"version {self._seen} or later", got="an older one")
        self._seen = signed_roles.roles.version
        found = _Read(signed_roles.roles, signed_roles.signature.key_id)
        for number, line in enumerate(_lines(self.path)):
            signed = parsed(line)
            if signed and signed.entry.action == "revoke" and not unsigned(signed, found.roles):
                found.revoked[signed.entry.model] = signed.entry
            what = "" if found.problem else wrong(signed, found.entries, found.roles)
            if what:
                found.problem = LedgerProblem(seq=number, what=what)
            elif signed and not found.problem:
                found.entries.append(signed)
        self._remember(found)
        return found

    def _remember(self, found: _Read) -> None:
        """A ledger that was longer before has been cut."""
        if self._last and not found.problem:
            seq = self._last.entry.seq
            if len(found.entries) <= seq or found.entries[seq].hash != self._last.hash:
                found.problem = LedgerProblem(
                    seq=min(seq, len(found.entries)), what="an entry that was here before is gone"
                )
        if found.entries and not found.problem:
            self._last = found.entries[-1]

    def _write(self, line: bytes) -> None:
        try:
            handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            size = os.fstat(handle).st_size
            try:
                if os.write(handle, line) != len(line):
                    os.ftruncate(handle, size)
                    raise OSError(28, "No space left on device")
                os.fsync(handle)
            finally:
                os.close(handle)
        except OSError as error:
            raise LedgerError(
                f"ledger {self.path}", wanted="leave to write", got=error.strerror or str(error)
            ) from None

    @contextmanager
    def _alone(self) -> Iterator[None]:
        try:
            handle = os.open(self.registry / ".ledger.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise LedgerError(
                f"ledger {self.path}", wanted="leave to write", got=error.strerror or str(error)
            ) from None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def _lines(path: Path) -> list[bytes]:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise LedgerError(f"ledger {path}", wanted="a file that can be read", got=error.strerror or "") from None
    return data.removesuffix(b"\n").split(b"\n") if data else []


def _mark(path: Path) -> tuple[int, ...] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino
