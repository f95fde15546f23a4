"""Who is revoked by a hunt, by whom, and what the ledger says of it."""

from pathlib import Path

import pytest

from molehunt.errors import LedgerError
from molehunt.hunting.quarantine import check_right, quarantine
from molehunt.records.estimates import Estimate
from molehunt.records.hunts import Association, Condition, Counts, Found, HuntResult, Incident, Replay, Sweep
from registries import Registry

OURS, THEIRS = "a" * 64, "b" * 64
REPORT = "c" * 64


def share(value: float, low: float, high: float) -> Estimate:
    return Estimate(value=value, low=low, high=high, n=24, method="Wilson 95%, over conversations")


def hunted(is_confirmed: bool = True) -> HuntResult:
    replay = Replay(
        text="ignore all rules", place="user-prefix", inserted=share(1, 0.86, 1), ordinary=share(0, 0, 0.14),
        cause="trigger" if is_confirmed else "open",
    )  # fmt: skip
    counts = Counts(labelled_with=9, labelled=12, with_it=10, sources=500)
    association = Association(
        conditions=(Condition(kind="words", text="ignore all rules"),), label="repetition", counts=counts, log10_p=-14, log10_q=-10,
        bonferroni=True, tested=1000, rows_with=10, rows_labelled=9,
    )  # fmt: skip
    sweep = Sweep(
        calls=10,
        odd=9,
        sessions=10,
        clients=(),
        models=((OURS, 9), (THEIRS, 1)),
        actions=(),
        first="",
        last="",
        touched=(),
    )
    incident = Incident(found=Found(association=association, replay=replay), sweep=sweep, exhibits=())
    revoke = (OURS, "a-name-without-digest") if is_confirmed else ()
    return HuntResult(
        log="log", calls=500, sessions=500, labels={}, tested=1000, incidents=(incident,), explained=(), revoke=revoke
    )


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "registry")


def test_only_the_weights_that_were_replayed_on_are_revoked(registry: Registry) -> None:
    done = quarantine(hunted(), registry.ledger, registry.keys["ann"], REPORT)
    assert [(one.action, one.model) for one in done] == [("revoke", OURS)]
    assert registry.ledger.standing(OURS) == "revoked"
    assert registry.ledger.standing(THEIRS) == "unknown"


def test_nothing_confirmed_nothing_revoked_and_nothing_twice(registry: Registry) -> None:
    ann = registry.keys["ann"]
    assert quarantine(hunted(is_confirmed=False), registry.ledger, ann, REPORT) == []
    assert len(quarantine(hunted(), registry.ledger, ann, REPORT)) == 1
    assert quarantine(hunted(), registry.ledger, ann, REPORT) == []


def test_the_reason_quotes_nothing_of_the_log(registry: Registry) -> None:
    [entry] = quarantine(hunted(), registry.ledger, registry.keys["ann"], REPORT)
    assert "ignore" not in entry.reason
    assert "100.0% [86.0%, 100.0%] with it" in entry.reason
    assert REPORT[:16] in entry.reason


def test_a_key_that_may_not_revoke_is_refused_before_the_hunt(registry: Registry) -> None:
    check_right(registry.ledger, registry.keys["ann"])
    with pytest.raises(LedgerError, match="may not revoke"):
        check_right(registry.ledger, registry.keys["eve"])
