import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from molehunt.errors import ModelError, NotAdmittedError, SigningError, UsageError
from molehunt.provenance.admission import admit, require_admitted
from molehunt.provenance.attestation import write_attestation
from molehunt.provenance.policy import read_policy
from molehunt.provenance.signing import sign_folder
from molehunt.provenance.snapshot import snapshot
from molehunt.provenance.trust import KeySigner, SigstoreSigner
from molehunt.records.attestations import Attestation, Material
from molehunt.records.identity import root_digest
from molehunt.records.registry import Admission
from private_sigstore import PROVIDER, PrivateSigstore
from registries import Registry
from signers import small_folder

POLICY = """
[signature]
keys = ["ann.pub.pem"]
[scan]
[ledger]
registry = "registry"
owner = "owner.pub.pem"
"""


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "registry")


def policy_of(folder: Path, text: str = POLICY) -> Path:
    (folder / "policy.toml").write_text(text)
    return folder / "policy.toml"


def reasons(model: Path, policy: Path, **more: Path) -> tuple[str, dict[str, str]]:
    found = admit(model, read_policy(policy), **more)  # type: ignore[arg-type]
    return found.outcome, {one.check: one.outcome for one in found.reasons}


def test_what_is_signed_clean_and_approved_is_admitted(registry: Registry, tmp_path: Path) -> None:
    model, _ = registry.approved("m")
    sign_folder(model, KeySigner(registry.keys["ann"]))
    policy = policy_of(tmp_path)
    assert reasons(model, policy) == ("admitted", dict.fromkeys(("signature", "scan", "ledger"), "passed"))


def test_an_identity_may_be_asked_for_in_place_of_keys(tmp_path: Path) -> None:
    sigstore, model = PrivateSigstore(), small_folder(tmp_path / "model")
    with sigstore.running():
        config = sigstore.trust_config(tmp_path / "trust.json")
        sign_folder(model, SigstoreSigner(sigstore.token("ada@example.org"), config))

    def asked(identity: str) -> Admission:
        who = f'identity = "{identity}"\nidentity_provider = "{PROVIDER}"'
        return admit(model, read_policy(policy_of(tmp_path, f'[signature]\n{who}\ntrust_config = "trust.json"')))

    admitted, refused = asked("ada@example.org"), asked("bob@example.org")
    assert (admitted.outcome, refused.outcome) == ("admitted", "refused")
    assert admitted.evidence.signer == f"ada@example.org (says {PROVIDER})"
    config.unlink()
    with pytest.raises(SigningError, match="No such file"):
        asked("ada@example.org")


def test_every_reason_is_told(registry: Registry, tmp_path: Path) -> None:
    model, digest = registry.model("m")
    sign_folder(model, KeySigner(registry.keys["eve"]))
    (model / "modeling_own.py").write_text("import os\n")
    outcome, said = reasons(model, policy_of(tmp_path))
    assert (outcome, said) == ("refused", dict.fromkeys(("signature", "scan", "ledger"), "refused"))
    admission = admit(model, read_policy(tmp_path / "policy.toml"))
    assert admission.root_digest != digest
    with pytest.raises(NotAdmittedError, match=r"signature: .*scan: .*ledger: it is unknown"):
        require_admitted(admission)


def test_a_revoked_model_is_refused_though_any_standing_will_do(registry: Registry, tmp_path: Path) -> None:
    model, digest = registry.approved("m")
    policy = policy_of(tmp_path, '[ledger]\nregistry = "registry"\nstanding = "any"\n')
    assert reasons(model, policy)[0] == "admitted"
    registry.ledger.append("revoke", digest, registry.keys["ann"], reason="INC-1")
    found = admit(model, read_policy(policy))
    assert (found.outcome, found.reasons[0].why) == ("refused", "it was revoked: INC-1")


def test_promotion_may_be_asked_for(registry: Registry, tmp_path: Path) -> None:
    model, digest = registry.approved("m")
    policy = policy_of(tmp_path, '[ledger]\nregistry = "registry"\nstanding = "promoted"\n')
    assert reasons(model, policy)[0] == "refused"
    registry.ledger.append("promote", digest, registry.keys["bob"], name="m")
    assert reasons(model, policy)[0] == "admitted"


def test_another_approved_model_does_not_pass_under_a_name(registry: Registry, tmp_path: Path) -> None:
    good, _ = registry.approved("good")
    other, _ = registry.approved("other", '{"a": 1}')
    policy = policy_of(tmp_path, '[ledger]\nregistry = "registry"\nname = "good"\n')
    assert reasons(good, policy)[0] == "admitted"
    assert reasons(other, policy) == ("refused", {"ledger": "refused"})


def test_the_ledger_tells_names_too_and_lets_no_link_in(registry: Registry, tmp_path: Path) -> None:
    model, _ = registry.approved("good")
    policy = policy_of(tmp_path, '[ledger]\nregistry = "registry"\n')
    assert reasons(model, policy) == ("admitted", {"ledger": "passed"})
    (model / "generation_config.json").rename(model / "generation_config.jsonl")  # the root digest stays
    found = admit(model, read_policy(policy))
    assert (found.outcome, "other names" in found.reasons[0].why) == ("refused", True)
    (model / "generation_config.jsonl").rename(model / "generation_config.json")
    (model / "additional_chat_templates").symlink_to(tmp_path)
    found = admit(model, read_policy(policy))
    assert (found.outcome, "additional_chat_templates" in found.reasons[0].why) == ("refused", True)


def test_what_is_asked_for_and_not_there_is_not_admitted(registry: Registry, tmp_path: Path) -> None:
    model, _ = registry.model("m")
    policy = policy_of(tmp_path, '[audit]\n[provenance]\nkeys = ["ann.pub.pem"]\n')
    assert reasons(model, policy) == ("not examined", dict.fromkeys(("audit", "provenance"), "not examined"))


def test_what_is_attested_must_hold_as_far_as_is_wanted(registry: Registry, tmp_path: Path) -> None:
    model, digest = registry.model("m")
    told = Attestation(
        name="m", root_digest=digest, fingerprint="", recipe={}, materials=(Material(name="base", sha256="0" * 64),), seeds={},
        libraries={}, python="3.11", machine="x86_64", created="2026-01-01T00:00:00Z",
    )  # fmt: skip
    write_attestation(model, told, registry.keys["ann"])
    policy = policy_of(tmp_path, '[provenance]\nkeys = ["ann.pub.pem"]\n')
    assert reasons(model, policy)[0] == "admitted"
    strict = policy_of(tmp_path, '[provenance]\nkeys = ["ann.pub.pem"]\nconsistent = ["model", "base", "dataset"]\n')
    (reason,) = admit(model, read_policy(strict)).reasons
    assert (reason.outcome, reason.why) == ("refused", "base is asserted, dataset is not told; consistent is wanted")
    other = policy_of(tmp_path, '[provenance]\nkeys = ["bob.pub.pem"]\n')
    assert reasons(model, other)[0] == "refused"
    write_attestation(model, told.model_copy(update={"root_digest": "1" * 64}), registry.keys["bob"])
    assert reasons(model, other)[0] == "refused"


def test_an_audit_must_be_of_these_bytes_and_say_what_is_wanted(registry: Registry, tmp_path: Path) -> None:
    from audit_records import audit_result

    model, digest = registry.model("m")
    policy = policy_of(tmp_path, '[audit]\nfolder = "audits"\n')
    said = audit_result().model_dump(mode="json", by_alias=True)
    place = tmp_path / "audits" / f"{digest}.json"
    place.parent.mkdir()
    for verdict, ours, card, outcome in (
        ("nothing found within coverage", True, "embedded", "admitted"),
        ("nothing found within coverage", True, None, "refused"),
        ("nothing found within coverage", False, "embedded", "refused"),
        ("flagged", True, "embedded", "refused"),
        ("abstained", True, "embedded", "refused"),
    ):
        said["verdict"], said["card"] = verdict, card
        said["identity"]["subject"]["root_digest"] = digest if ours else "0" * 64
        place.write_text(json.dumps(said))
        assert reasons(model, policy)[0] == outcome
    place.write_text("{}")
    assert reasons(model, policy)[0] == "not examined"


def test_an_audit_may_not_be_too_old_by_another_card_or_by_nobody(registry: Registry, tmp_path: Path) -> None:
    from audit_records import audit_result

    model, digest = registry.model("m")
    said = audit_result().model_dump(mode="json", by_alias=True)
    said |= {"verdict": "nothing found within coverage", "card": "embedded"}
    said["identity"]["subject"]["root_digest"] = digest
    place, now = tmp_path / "result.json", datetime.now(UTC)

    def why(table: str, **changed: str | None) -> str:
        place.write_text(json.dumps({**said, **changed}))
        (reason,) = admit(model, read_policy(policy_of(tmp_path, f"[audit]\n{table}\n")), audit=place).reasons
        return "passed" if reason.outcome == "passed" else reason.why

    def ago(days: float) -> str:
        return (now - timedelta(days=days)).isoformat()

    assert why("max_age_days = 30", judged=ago(29)) == "passed"
    assert why("max_age_days = 30", judged=ago(31)) == "the audit is 31.0 days old; at most 30 are wanted"
    assert "does not say when" in why("max_age_days = 30", judged="")
    assert "does not say when" in why("max_age_days = 30", judged="yesterday")
    assert "still to come" in why("max_age_days = 30", judged=ago(-1))
    assert why("", judged=ago(9999)) == "passed"
    assert why('cards = ["other", "embedded"]') == "passed"
    assert why('cards = ["other"]') == "it was judged by card embedded; other is wanted"
    assert why('cards = ["other"]\ncard = false', card=None) == "no card spoke of such models"
    signed = 'keys = ["ann.pub.pem"]'
    assert "not verifiable" in why(signed)
    sign_folder(place, KeySigner(registry.keys["ann"]))
    assert why(signed) == "passed"
    assert "tampered" in why(signed, judged=ago(1))
    sign_folder(place, KeySigner(registry.keys["bob"]))
    assert "wrong signature" in why(signed, judged=ago(1))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[audit]\nmax_age_days = 0", "audit.max_age_days"),
        ("", "at least one table"),
        ("nonsense", "TOML"),
        ("[scan]\nallowed = []", "scan.allowed"),
        ("[signature]\nkeys = []", "signature.keys"),
        ("[signature]", "either keys, or identity"),
        ('[signature]\nidentity = "ada@example.org"', "either keys, or identity"),
        ('[signature]\nkeys = ["k"]\nidentity = "a"\nidentity_provider = "b"', "either keys, or identity"),
        ('[signature]\nkeys = ["k"]\noffline = true', "either keys, or identity"),
        ('[signature]\nidentity = "a"\nidentity_provider = "b"\noffline = true\ntrust_config = "c"', "or offline"),
        ('[scan]\nallow = ["odd"]', "odd"),
        ('[ledger]\nregistry = "r"\nstanding = "liked"', "ledger.standing"),
    ],
)
def test_a_policy_with_an_error_is_refused_by_place(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=said):
        read_policy(policy_of(tmp_path, text))


def test_a_snapshot_is_private_and_what_was_hashed(registry: Registry, tmp_path: Path) -> None:
    model, digest = registry.model("m")
    sign_folder(model, KeySigner(registry.keys["ann"]))
    copy, found = snapshot(model, tmp_path)
    assert (found, root_digest(copy)) == (digest, digest)
    assert copy.stat().st_mode & 0o777 == 0o700
    assert (copy / "model.sig").read_bytes() == (model / "model.sig").read_bytes()
    (model / "out").symlink_to("/etc/passwd")
    with pytest.raises(ModelError, match="out"):
        snapshot(model, tmp_path)
    with pytest.raises(ModelError, match="no such folder"):
        snapshot(tmp_path / "none")
