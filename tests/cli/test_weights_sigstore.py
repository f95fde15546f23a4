"""`molehunt weights sign | verify --sigstore` end to end, with the libraries as they are and a private Sigstore on the loopback."""

import base64
import gc
import hashlib
import io
import json
import subprocess
import sys
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from command_line import Command, Ended, assert_refused
from molehunt.provenance.bundle import read_bundle
from molehunt.provenance.signing import verify_folder
from molehunt.provenance.trust import SigstoreSigner, SigstoreTrust, WrongSignatureError
from molehunt.records.identity import root_digest
from private_sigstore import PROVIDER, PrivateSigstore
from signers import small_folder

ADA = "ada@example.org"
WORKFLOW = "https://example.org/team/model/.github/workflows/release.yml@refs/heads/main"
OTHER = PrivateSigstore()
CERTIFY, ENTER = "/api/v2/signingCert", "/api/v1/log/entries"
Signing = Callable[..., Ended]


@pytest.fixture(scope="module")
def sigstore() -> Iterator[PrivateSigstore]:
    made = PrivateSigstore()
    with made.running():
        yield made


@pytest.fixture
def config(sigstore: PrivateSigstore, tmp_path: Path) -> Path:
    return sigstore.trust_config(tmp_path / "trust.json")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return small_folder(tmp_path / "model")


@pytest.fixture
def sign(molehunt: Command, config: Path, monkeypatch: pytest.MonkeyPatch) -> Signing:
    """Sign with an identity token, which must be nowhere in what comes out."""

    def signed(target: Path, token: str) -> Ended:
        monkeypatch.setenv("TOKEN", token)
        ended = molehunt("weights", "sign", target, "--sigstore", "--token-env", "TOKEN", "--trust-config", config)
        assert token not in ended.out + ended.err
        return ended

    return signed


@pytest.fixture
def verify(molehunt: Command, config: Path) -> Command:
    """Verify that Ada signed, or whoever is asked for."""

    def verified(target: Path, *more: object, who: str = ADA, provider: str = PROVIDER, trust: Path = config) -> Ended:
        said = ("--identity", who, "--identity-provider", provider, "--trust-config", trust)
        return molehunt("weights", "verify", target, "--sigstore", *said, *more)

    return verified


def refuse(body: Any, bearer: str) -> None:
    """What a server answers that will not."""


@contextmanager
def answering(sigstore: PrivateSigstore, path: str, answer: Callable[[Any, str], Any]) -> Iterator[None]:
    """Meanwhile something else answers at a path."""
    before = sigstore.answers[path]
    sigstore.answers[path] = answer
    try:
        yield
    finally:
        sigstore.answers[path] = before


@pytest.mark.parametrize(("what", "changed", "who"), [
    ("model", "model/config.json", ADA), ("data", "data/train.jsonl", WORKFLOW), ("rows.jsonl", "rows.jsonl", ADA),
])  # fmt: skip
def test_signed_by_an_identity_and_verified_without_asking_anybody(
    sigstore: PrivateSigstore, sign: Signing, verify: Command, tmp_path: Path, what: str, changed: str, who: str
) -> None:  # fmt: skip
    small_folder(tmp_path / "model")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.jsonl").write_text("{}\n")
    (tmp_path / "rows.jsonl").write_text("{}\n")
    target = tmp_path / what
    made = sign(target, sigstore.token(who))
    assert made.code == 0
    assert f"signed by {who} (says {PROVIDER})" in made.out
    with answering(sigstore, ENTER, refuse), answering(sigstore, CERTIFY, refuse):
        seen = verify(target, who=who)
    assert (seen.code, seen.err) == (0, "")
    assert f"as signed by {who} (says {PROVIDER})" in seen.out
    told = json.loads(verify(target, "--json", who=who).out)
    assert told["signer"] == {"how": "sigstore", "key_id": "", "name": who, "provider": PROVIDER}
    assert told["signed_digest"] == told["root_digest"]
    assert what != "model" or told["root_digest"] == root_digest(target)
    (tmp_path / changed).write_text("[]")
    late = verify(target, who=who)
    assert late.code == 1
    assert "tampered: " in late.out


def test_another_identity_provider_authority_or_log_is_a_wrong_signature(
    sigstore: PrivateSigstore, sign: Signing, verify: Command, folder: Path, tmp_path: Path
) -> None:  # fmt: skip
    assert sign(folder, sigstore.token(ADA)).code == 0
    cases: list[tuple[str, dict[str, Any]]] = [
        ("bob@example.org", {"who": "bob@example.org"}),
        ("other.example.org", {"provider": "https://other.example.org"}),
        ("chain", {"trust": OTHER.trust_config(tmp_path / "other.json")}),
    ]
    for part, said in (("authority", "chain"), ("certificate_log", "SCT"), ("log", "log entry")):
        cases.append((said, {"trust": sigstore.trust_config(tmp_path / f"{part}.json", **{part: OTHER})}))
    for said, asked in cases:
        seen = verify(folder, **asked)
        assert seen.code == 1, asked
        assert "wrong signature: it does not hold: " in seen.out
        assert said in seen.out


def test_every_value_of_the_bundle_matters(
    sigstore: PrivateSigstore, sign: Signing, folder: Path, config: Path
) -> None:
    assert sign(folder, sigstore.token(ADA)).code == 0
    place, trust = folder / "model.sig", SigstoreTrust(ADA, PROVIDER, config)
    bundle = json.loads(place.read_text())
    seen = []
    for holder, key in list(leaves(bundle)):
        was = holder[key]
        holder[key] = altered(was)
        place.write_text(json.dumps(bundle))
        seen.append((key, verify_folder(folder, trust).outcome))
        holder[key] = was
    assert len(seen) >= 15
    assert {outcome for _, outcome in seen} == {"wrong signature"}, seen
    place.write_text(json.dumps(bundle))
    assert verify_folder(folder, trust).is_verified


def leaves(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every text and number, as where it is kept and by which key."""
    for key, one in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(one, dict | list):
            yield from leaves(one)
        else:
            yield value, key


def altered(value: str) -> str:
    """Another text of the same length, in the middle: digits, base64 and words stay what they are."""
    at = len(value) // 2
    return value[:at] + ("1" if value[at] != "1" else "2") + value[at + 1 :]


def test_what_two_readers_could_read_in_two_ways_never_verifies_another_statement(
    sigstore: PrivateSigstore, sign: Signing, folder: Path, config: Path
) -> None:
    assert sign(folder, sigstore.token(ADA)).code == 0
    place, trust = folder / "model.sig", SigstoreTrust(ADA, PROVIDER, config)
    raw = place.read_bytes()
    with pytest.raises(WrongSignatureError, match="two ways"):
        trust.authenticate(replace(read_bundle(raw), payload=b"{}"), raw, datetime.now(UTC))
    bundle = json.loads(raw)
    real = bundle.pop("dsseEnvelope")
    (folder / "config.json").write_text("[]")
    statement = json.loads(base64.b64decode(real["payload"]))
    for one in statement["predicate"]["resources"]:
        one["digest"] = hashlib.sha256((folder / one["name"]).read_bytes()).hexdigest()
    statement["subject"][0]["digest"]["sha256"] = root_digest(folder)
    forged = real | {"payload": base64.b64encode(json.dumps(statement).encode()).decode()}
    start = json.dumps(bundle)[:-1]
    for first, second in ((real, forged), (forged, real)):
        for names in (("dsseEnvelope",) * 2, ("dsseEnvelope", "dsse_envelope"), ("dsse_envelope", "dsseEnvelope")):
            both = zip(names, (first, second), strict=True)
            place.write_text(start + "".join(f', "{name}": {json.dumps(one)}' for name, one in both) + "}")
            assert verify_folder(folder, trust).outcome in ("wrong signature", "tampered")


def test_a_certificate_is_no_good_after_its_ten_minutes(
    sigstore: PrivateSigstore, sign: Signing, verify: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sigstore, "late", timedelta(minutes=11))
    assert sign(folder, sigstore.token(ADA)).code == 0
    seen = verify(folder)
    assert seen.code == 1
    assert "not valid at validation time" in seen.out


def unlisted(sigstore: PrivateSigstore) -> Callable[[Any, str], Any]:
    """Certificates that another log promised to list."""
    forger = PrivateSigstore()
    forger.provider, forger.authority, forger.root = sigstore.provider, sigstore.authority, sigstore.root
    return forger.certify


FAILING: dict[str, tuple[str, Callable[[PrivateSigstore], tuple[str, str, Callable[[Any, str], Any] | None]]]] = {
    "an expired token": ("has expired", lambda s: (s.token(ADA, minutes=-1), CERTIFY, None)),
    "a token that is not valid yet": ("validity period", lambda s: (s.token(ADA, nbf=2**32), CERTIFY, None)),
    "a token for others": ("Audience", lambda s: (s.token(ADA, audience="others"), CERTIFY, None)),
    "no token at all": ("malformed", lambda s: ("hunter2", CERTIFY, None)),
    "a token of another provider": ("400 Client Error", lambda s: (OTHER.token(ADA), CERTIFY, None)),
    "an authority that says the token": ("(a token)", lambda s: (s.token(ADA), CERTIFY, lambda body, bearer: bearer)),
    "an authority that talks nonsense": (
        "missing certificate chain",
        lambda s: (s.token(ADA), CERTIFY, lambda *_: {"chain": []}),
    ),
    "an unlisted certificate": ("SCT", lambda s: (s.token(ADA), CERTIFY, unlisted(s))),
    "a log that refuses": ("HTTP 400", lambda s: (s.token(ADA), ENTER, refuse)),
    "a log that talks nonsense": ("got ", lambda s: (s.token(ADA), ENTER, lambda *_: {"x": 1})),
}


@pytest.mark.parametrize("case", FAILING)
def test_what_cannot_be_signed_is_one_sentence_and_the_old_signature_stays(
    sigstore: PrivateSigstore, sign: Signing, verify: Command, folder: Path, case: str
) -> None:
    assert sign(folder, sigstore.token(ADA)).code == 0
    before = sorted((one, one.read_bytes()) for one in folder.rglob("*") if one.is_file())
    said, made = FAILING[case]
    token, path, answer = made(sigstore)
    with answering(sigstore, path, answer or sigstore.answers[path]):
        assert_refused(sign(folder, token), said)
    assert before == sorted((one, one.read_bytes()) for one in folder.rglob("*") if one.is_file())
    assert verify(folder).code == 0


def test_with_the_server_gone_nothing_is_signed_and_what_was_signed_verifies(
    molehunt: Command, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    brief, config = PrivateSigstore(), tmp_path / "brief.json"
    token = brief.token(ADA)
    assert token not in repr(SigstoreSigner(token))
    monkeypatch.setenv("TOKEN", token)
    words = ("weights", "sign", folder, "--sigstore", "--token-env", "TOKEN", "--trust-config", config)
    with brief.running():
        brief.trust_config(config)
        assert molehunt(*words).code == 0
    before = (folder / "model.sig").read_bytes()
    assert_refused(molehunt(*words), f"check {config}, and that its servers answer")
    assert (folder / "model.sig").read_bytes() == before
    asked = ("weights", "verify", folder, "--sigstore", "--identity", ADA, "--identity-provider", PROVIDER)
    assert molehunt(*asked, "--trust-config", config).code == 0
    config.write_text("{}")
    assert_refused(molehunt(*asked, "--trust-config", config), "wanted whom to trust; got 3 validation errors")
    config.unlink()
    assert_refused(molehunt(*asked, "--trust-config", config), "No such file")


def test_offline_believes_whom_sigstore_named_last(
    sigstore: PrivateSigstore, sign: Signing, molehunt: Command, folder: Path, config: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    assert sign(folder, sigstore.token(ADA)).code == 0
    for place in ("DATA", "CACHE"):
        monkeypatch.setenv(f"XDG_{place}_HOME", str(tmp_path / place))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    asked = ("weights", "verify", folder, "--sigstore", "--identity", ADA, "--identity-provider", PROVIDER)
    assert_refused(molehunt(*asked), "or verify with --offline")
    came_with_the_library = molehunt(*asked, "--offline")
    assert came_with_the_library.code == 1
    assert "wrong signature" in came_with_the_library.out
    (kept,) = (tmp_path / "CACHE").rglob("trusted_root.json")
    kept.write_text(json.dumps(json.loads(config.read_text())["trustedRoot"]))
    assert molehunt(*asked, "--offline").code == 0
    assert_refused(molehunt(*asked, "--offline", "--trust-config", config), "would do nothing")


def test_without_a_token_the_workflow_says_who_it_is(
    sigstore: PrivateSigstore, molehunt: Command, verify: Command, folder: Path, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr(sigstore, "who", WORKFLOW)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_URL", f"{sigstore.url}/ambient")
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "secret of the runner")
    made = molehunt("weights", "sign", folder, "--sigstore", "--trust-config", config)
    assert made.code == 0
    assert verify(folder, who=WORKFLOW).code == 0


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("with_browser", [True, False])
def test_without_a_token_somebody_says_who_they_are_in_a_browser(
    sigstore: PrivateSigstore, molehunt: Command, verify: Command, folder: Path, config: Path,
    monkeypatch: pytest.MonkeyPatch, with_browser: bool,
) -> None:  # fmt: skip
    monkeypatch.setattr(sigstore, "who", ADA)
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    monkeypatch.setattr(webbrowser, "open", browse if with_browser else lambda url: False)
    monkeypatch.setattr(sys, "stdin", io.StringIO("a code\n"))
    made = molehunt("weights", "sign", folder, "--sigstore", "--trust-config", config, "--json")
    assert made.code == 0
    assert json.loads(made.out)["signer"]["name"] == ADA
    assert with_browser or "Enter verification code" in made.err
    assert verify(folder).code == 0
    gc.collect()  # the library leaves the socket open that the browser came back to


def browse(url: str) -> bool:
    """Go where the page leads, as a browser does."""
    urlopen(url).close()
    return True


def reference(*words: object) -> subprocess.CompletedProcess[str]:
    """The command line of the model-signing library."""
    return subprocess.run([sys.executable, "-m", "model_signing", *map(str, words)], capture_output=True, text=True)


def test_both_ways_with_the_reference_implementation(
    sigstore: PrivateSigstore, sign: Signing, verify: Command, folder: Path, config: Path
) -> None:
    place = folder / "model.sig"
    assert sign(folder, sigstore.token(ADA)).code == 0
    theirs = ("sigstore", folder, "--signature", place, "--trust_config", config)
    asked = ("verify", *theirs, "--identity", ADA, "--identity_provider", PROVIDER)
    assert reference(*asked).returncode == 0
    made = reference("sign", *theirs, "--identity_token", sigstore.token("bob@example.org"))
    assert made.returncode == 0, made.stderr
    assert verify(folder).code == 1
    assert verify(folder, who="bob@example.org").code == 0
    (folder / "config.json").write_text("[]")
    assert verify(folder, who="bob@example.org").code == 1
