import os
import random
from pathlib import Path

import pytest

from molehunt.errors import LedgerError
from molehunt.provenance.keys import new_private_key
from molehunt.provenance.ledger import Ledger
from molehunt.provenance.roles import member, read_roles, write_roles
from molehunt.records.registry import Roles, SignedEntry
from molehunt.records.signing import sign_text
from registries import Registry

ONE, OTHER = "a" * 64, "b" * 64


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "registry")


def test_a_model_rises_and_falls(registry: Registry) -> None:
    ledger, keys = registry.ledger, registry.keys
    assert ledger.standing(ONE) == "unknown"
    ledger.append("propose", ONE, keys["eve"], name="m")
    assert ledger.standing(ONE) == "proposed"
    ledger.append("approve", ONE, keys["ann"], name="m")
    assert ledger.standing(ONE) == "approved"
    ledger.append("promote", ONE, keys["bob"], name="m")
    assert ledger.standing(ONE) == "promoted"
    other = registry.ledger
    other.append("revoke", ONE, keys["ann"], reason="INC-1")
    assert ledger.standing(ONE) == "revoked"  # read anew, since the file is another
    entry = ledger.revocation(ONE)
    assert entry is not None
    assert entry.reason == "INC-1"
    assert [e.action for e in ledger.entries()] == ["propose", "approve", "promote", "revoke"]


@pytest.mark.parametrize(
    ("action", "who", "name", "why"),
    [
        ("approve", "bob", "m", "bob may not approve"),
        ("approve", "eve", "m", "eve may not approve"),
        ("approve", "owner", "m", "has no role"),
        ("promote", "eve", "m", "eve may not promote"),
        ("revoke", "bob", "", "bob may not revoke"),
        ("promote", "bob", "new", "not approved"),
        ("approve", "ann", "../m", "its name"),
        ("approve", "ann", "", "its name"),
        ("approve", "ann", "old", "another model's for ever"),
        ("promote", "ann", "m", "two persons"),
    ],
)
def test_rules_are_kept(registry: Registry, action: str, who: str, name: str, why: str) -> None:
    registry.ledger.append("approve", ONE, registry.keys["ann"], name="m")
    registry.ledger.append("approve", OTHER, registry.keys["ann"], name="old")
    with pytest.raises(LedgerError, match=why):
        registry.ledger.append(action, ONE, registry.keys[who], name=name)  # type: ignore[arg-type]
    assert len(registry.ledger.entries()) == 2


def test_a_revoked_model_stays_so(registry: Registry) -> None:
    registry.ledger.append("revoke", ONE, registry.keys["ann"])
    with pytest.raises(LedgerError, match="for ever"):
        registry.ledger.append("approve", ONE, registry.keys["ann"], name="m")


def filled(registry: Registry) -> Ledger:
    for number in range(6):
        registry.ledger.append("approve", f"{number}" * 64, registry.keys["ann"], name=f"m{number}")
    return registry.ledger


def test_a_rewritten_entry_is_named_and_no_approval_believed(registry: Registry) -> None:
    filled(registry)
    registry.ledger.append("revoke", "4" * 64, registry.keys["ann"])
    path = registry.ledger.path
    path.write_text(path.read_text().replace('"name":"m2"', '"name":"m9"'))
    ledger = registry.ledger
    report = ledger.verify()
    assert report.problem is not None
    assert (report.problem.seq, report.outcome) == (2, "broken")
    assert "rewritten" in report.problem.what
    with pytest.raises(LedgerError, match="entry 2"):
        ledger.standing("5" * 64)
    assert ledger.standing("4" * 64) == "revoked"  # a revocation counts all the same


def test_random_changes_of_a_ledger_are_all_named(registry: Registry) -> None:
    ledger = filled(registry)
    anchors, path = [ledger.anchor()], ledger.path
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    assert ledger.verify(anchors).outcome == "verified"
    draw = random.Random(0)
    for number in range(60):
        kind, data = number % 4, bytearray(whole)
        if kind == 0:
            data[draw.randrange(len(data) - 1)] ^= 1 << draw.randrange(8)
        elif kind == 1:
            del data[draw.randrange(len(data) - 1) :]
        else:
            some = lines.copy()
            one, other = draw.sample(range(6), 2)
            if kind == 2:
                some[one], some[other] = some[other], some[one]
            else:
                del some[one]
            data = bytearray(b"".join(some))
        path.write_bytes(bytes(data))
        assert registry.ledger.verify(anchors).outcome == "broken", number


def test_a_cut_tail_is_seen_by_its_anchor_and_by_who_saw_it(registry: Registry) -> None:
    ledger = filled(registry)
    anchor = ledger.anchor()
    lines = ledger.path.read_bytes().splitlines(keepends=True)
    ledger.path.write_bytes(b"".join(lines[:4]))
    with pytest.raises(LedgerError, match="gone"):
        ledger.standing("0" * 64)
    fresh = registry.ledger
    assert fresh.standing("0" * 64) == "approved"
    assert fresh.verify().outcome == "not fully verified"
    assert fresh.verify().unanchored == 4
    problem = fresh.verify([anchor]).problem
    assert problem is not None
    assert (problem.seq, "cut" in problem.what) == (4, True)


def test_an_entry_that_nobody_might_write_is_named(registry: Registry, tmp_path: Path) -> None:
    filled(registry)
    own = Registry(tmp_path / "own")
    own.keys["ann"] = registry.keys["bob"]
    write_roles(
        own.folder, Roles(version=2, members=member("bob", registry.keys["bob"].public, "approve")), own.keys["owner"]
    )
    for number in range(6):
        own.ledger.append("approve", f"{number}" * 64, registry.keys["bob"], name=f"m{number}")
    registry.ledger.path.write_bytes(own.ledger.path.read_bytes())  # bob may approve there, not here
    problem = registry.ledger.verify().problem
    assert problem is not None
    assert (problem.seq, problem.what) == (0, "bob may not approve: it needs the role approve")


def test_roles_are_the_owners_and_old_ones_do_not_come_back(registry: Registry) -> None:
    ledger = registry.ledger
    first = (registry.folder / "roles.json").read_bytes()
    with pytest.raises(LedgerError, match="higher version"):
        write_roles(registry.folder, read_roles(registry.folder), registry.keys["owner"])
    members = read_roles(registry.folder).members
    write_roles(registry.folder, Roles(version=2, members=members), registry.keys["owner"])
    assert ledger.roles.version == 2
    (registry.folder / "roles.json").write_bytes(first)
    with pytest.raises(LedgerError, match="older"):
        _ = ledger.roles
    with pytest.raises(LedgerError, match="signature"):
        Ledger.open(registry.folder, new_private_key().public)
    (registry.folder / "roles.json").write_bytes(first.replace(b'"read"', b'"promote"', 1))
    with pytest.raises(LedgerError, match="changed roles"):
        Ledger.open(registry.folder, registry.keys["owner"].public)


def test_old_roles_that_are_put_back_are_seen_by_an_anchor(registry: Registry) -> None:
    filled(registry)
    first, before = (registry.folder / "roles.json").read_bytes(), registry.ledger.anchor()
    members = read_roles(registry.folder).members
    write_roles(registry.folder, Roles(version=2, members=members), registry.keys["owner"])
    after = registry.ledger.anchor()
    assert registry.ledger.verify([before, after]).outcome == "verified"
    (registry.folder / "roles.json").write_bytes(first)
    assert registry.ledger.verify([before]).outcome == "verified"
    problem = registry.ledger.verify([before, after]).problem
    assert problem is not None
    assert "an old one was put back" in problem.what


def test_a_retired_key_counts_for_what_it_signed_before(registry: Registry) -> None:
    filled(registry)
    roles = registry.ledger.roles
    key = registry.keys["ann"].public.key_id
    retired = {**roles.members, key: roles.members[key].model_copy(update={"until": "9999"})}
    write_roles(registry.folder, Roles(version=2, members=retired), registry.keys["owner"])
    assert registry.ledger.verify().problem is None
    retired[key] = roles.members[key].model_copy(update={"until": "2000"})
    write_roles(registry.folder, Roles(version=3, members=retired), registry.keys["owner"])
    problem = registry.ledger.verify().problem
    assert problem is not None
    assert "counts only until" in problem.what


def test_loose_permissions_are_reported(registry: Registry) -> None:
    filled(registry)
    os.chmod(registry.ledger.path, 0o666)
    assert registry.ledger.verify().loose == ("ledger.jsonl",)


def test_an_entry_cannot_be_dated_back(registry: Registry) -> None:
    filled(registry)
    ledger, key = registry.ledger, registry.keys["ann"]
    last = ledger.entries()[-1]
    entry = last.model_copy(update={"seq": 6, "time": "2000-01-01T00:00:00Z", "name": "late", "prev": last.digest()})
    signed = SignedEntry(entry=entry, hash=entry.digest(), signature=sign_text(key, entry.canonical()))
    with ledger.path.open("a") as stream:
        stream.write(signed.canonical() + "\n")
    problem = registry.ledger.verify().problem
    assert problem is not None
    assert (problem.seq, problem.what) == (6, "it is dated before the entry before it")
