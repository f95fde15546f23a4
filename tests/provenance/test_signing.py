"""A signed folder verifies; whatever is done to it, to its signature or to the clock is seen and said."""

import json
import os
import random
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from model_folders import plain
from molehunt.errors import SigningError
from molehunt.provenance import hashing
from molehunt.provenance.keys import new_private_key
from molehunt.provenance.scanning import scan_folder
from molehunt.provenance.signing import sign_folder, signature_place, verify_folder
from molehunt.provenance.trust import CertificateSigner, CertificateTrust, KeySigner, KeyTrust
from molehunt.records.identity import root_digest
from signers import KEY, NOW, SIGNER, TRUST, certificate, small_folder, statement_in


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return small_folder(tmp_path / "model")


@pytest.fixture
def signed(folder: Path) -> Path:
    sign_folder(folder, SIGNER)
    return folder


def test_the_signed_digest_is_the_models_identity_before_and_after(folder: Path) -> None:
    before = root_digest(folder)
    made = sign_folder(folder, SIGNER)
    assert made.root_digest == before == root_digest(folder)
    assert statement_in(folder / "model.sig")["subject"] == [{"name": "model", "digest": {"sha256": before}}]
    report = verify_folder(folder, TRUST)
    assert report.is_verified
    assert (report.root_digest, report.signed_digest, report.files) == (before, before, 9)
    assert report.signer == made.signer
    assert report.signer.key_id == KEY.public.key_id


def test_one_file_and_a_folder_of_rows_are_signed_the_same_way(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"messages": []}\n')
    assert sign_folder(rows, SIGNER).signature == str(tmp_path / "rows.jsonl.sig")
    assert verify_folder(rows, TRUST).is_verified
    rows.write_text('{"messages": [1]}\n')
    report = verify_folder(rows, TRUST)
    assert (report.outcome, report.reason) == ("tampered", "the file was changed")


def test_an_artifact_of_the_store_is_left_as_it_is(tmp_path: Path) -> None:
    model = small_folder(tmp_path / "artifacts" / "abc" / "files" / "model")
    (tmp_path / "artifacts" / "abc" / "artifact.json").write_text("{}")
    before = sorted((tmp_path / "artifacts/abc/files").rglob("*"))
    sign_folder(model, SIGNER)
    assert signature_place(model) == tmp_path / "artifacts/abc/model.sig"
    assert sorted((tmp_path / "artifacts/abc/files").rglob("*")) == before
    assert verify_folder(model, TRUST).is_verified


def test_without_a_signature_nothing_is_verified_and_nothing_is_wrong(folder: Path) -> None:
    assert verify_folder(folder, TRUST).outcome == "not verifiable"
    assert verify_folder(folder, TRUST, folder / "a").outcome == "not verifiable"
    with pytest.raises(SigningError, match="no-model"):
        verify_folder(folder.with_name("no-model"), TRUST)


def test_another_key_is_told_and_one_of_several_is_found(signed: Path) -> None:
    stranger = new_private_key().public
    report = verify_folder(signed, KeyTrust((stranger,)))
    assert (report.outcome, report.reason) == ("wrong signature", "it was signed with another key")
    assert verify_folder(signed, KeyTrust((stranger, KEY.public))).is_verified


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"dsseEnvelope": 1}', "\x00", "[" * 100_000])
def test_a_file_that_is_no_signature_is_a_wrong_one(signed: Path, text: str) -> None:
    (signed / "model.sig").write_text(text)
    assert verify_folder(signed, TRUST).outcome == "wrong signature"


def test_every_byte_of_a_signature_counts(signed: Path) -> None:
    place, drawn = signed / "model.sig", random.Random(0)
    whole = place.read_bytes()
    kept = json.loads(whole)
    for _ in range(60):
        raw = bytearray(whole)
        raw[drawn.randrange(len(raw))] ^= 1 << drawn.randrange(7)
        place.write_bytes(raw)
        report = verify_folder(signed, TRUST)
        try:
            said = json.loads(raw)
        except ValueError:
            said = None
        same = said is not None and _meaning(said) == _meaning(kept)
        assert report.is_verified == same, bytes(raw)


def _meaning(bundle: dict) -> object:
    """What of a bundle is looked at: neither the key's id in the envelope nor the (empty) list of log entries."""
    envelope = bundle.get("dsseEnvelope", {})
    signatures = [one.get("sig") for one in envelope.get("signatures", [{}])]
    return bundle.get("mediaType"), bundle.get("verificationMaterial", {}).get("publicKey"), envelope.get("payload"), \
        envelope.get("payloadType"), signatures  # fmt: skip


def test_unsigned_files_fail_and_documentation_may_be_let_be(signed: Path) -> None:
    (signed / "NOTES.md").write_text("words")
    assert verify_folder(signed, TRUST).outcome == "tampered"
    report = verify_folder(signed, TRUST, ignore_unsigned=True)
    assert report.is_verified
    assert report.tolerated == ("NOTES.md",)
    assert report.root_digest == root_digest(signed) != report.signed_digest


LOADABLE = (
    "modeling_x.py", "chat_template.jinja", "templates/rag.jinja", "adapter_config.json", "adapter_model.safetensors",
    "generation_config.json", "tokenizer.json", "added_tokens.json", "merges.txt", "vocab.txt", "tokenizer.model",
    "pytorch_model.bin", "model.gguf", "extra.pt", "x.so", "rows.jsonl", "train.parquet", "model.sig/modeling.py", "NOFORM",
)  # fmt: skip


@pytest.mark.parametrize("name", LOADABLE)
def test_what_could_be_loaded_fails_even_where_unsigned_files_are_ignored(signed: Path, name: str) -> None:
    place = signed.with_name("beside.sig")
    os.rename(signed / "model.sig", place)
    (signed / name).parent.mkdir(exist_ok=True)
    (signed / name).write_bytes(b"x")
    report = verify_folder(signed, TRUST, place, ignore_unsigned=True)
    assert report.outcome == "tampered"
    assert [change.name for change in report.changes] == [name]
    assert report.changes[0].what == "not signed"


def test_a_signer_cannot_leave_out_what_could_be_loaded(tmp_path: Path) -> None:
    from model_signing import hashing as theirs
    from model_signing import signing

    from signers import key_files

    folder, (private, _) = small_folder(tmp_path / "model"), key_files(tmp_path)
    for name in ("chat_template.jinja", "README.md"):
        (folder / name).write_text("x")
    config = theirs.Config().set_ignored_paths(paths=["chat_template.jinja", "README.md", "a"])
    place = tmp_path / "model.sig"
    signing.Config().use_elliptic_key_signer(private_key=private).set_hashing_config(config).sign(folder, place)
    report = verify_folder(folder, TRUST, place)
    assert report.outcome == "tampered"
    assert {change.name for change in report.changes} == {"chat_template.jinja", "a/b.txt"}
    assert report.tolerated == ("README.md",)
    assert "left out by the signer" in report.reason


def test_links_and_names_that_cannot_be_signed_are_refused_by_name(folder: Path, tmp_path: Path) -> None:
    def refused() -> str:
        with pytest.raises(SigningError) as caught:
            sign_folder(folder, SIGNER)
        return str(caught.value)

    (folder / "loop").symlink_to("loop")
    assert "loop; wanted regular files; got a link that leads nowhere or in a circle" in refused()
    (folder / "loop").unlink()
    (folder / "round").symlink_to(folder, target_is_directory=True)
    assert "round; wanted regular files; got a link" in refused()
    (folder / "round").unlink()
    os.mkfifo(folder / "pipe")
    assert "pipe" in refused()
    (folder / "pipe").unlink()
    odd = os.fsencode(folder) + b"/\xff\xfe.json"
    with open(odd, "wb"):
        pass
    assert r"\xff\xfe.json; wanted regular files; got a name that is no UTF-8" in refused()
    os.unlink(odd)
    (tmp_path / "empty").mkdir()
    with pytest.raises(SigningError, match="an empty folder"):
        sign_folder(tmp_path / "empty", SIGNER)


def test_links_that_come_later_are_seen(signed: Path) -> None:
    (signed / "loop").symlink_to("loop")
    report = verify_folder(signed, TRUST)
    assert [(c.name, c.what) for c in report.changes] == [("loop", "not signed")]
    (signed / "loop").unlink()
    os.rename(signed / "config.json", signed.with_name("config.json"))
    (signed / "config.json").symlink_to("../config.json")
    assert verify_folder(signed, TRUST).outcome == "tampered"


def test_a_snapshot_of_the_hubs_cache_is_signed_by_content(tmp_path: Path) -> None:
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "abc"
    blobs.mkdir()
    snapshot.mkdir(parents=True)
    (blobs / "0123").write_bytes(b"{}")
    (snapshot / "config.json").symlink_to("../../blobs/0123")
    sign_folder(snapshot, SIGNER)
    assert verify_folder(snapshot, TRUST).root_digest == root_digest(snapshot)
    (blobs / "0123").write_bytes(b"[]")
    assert verify_folder(snapshot, TRUST).outcome == "tampered"


@pytest.mark.parametrize("change", ["content", "replaced", "added", "removed"])
def test_files_that_change_while_they_are_read_are_refused(
    signed: Path, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = hashing._hash

    def meanwhile(place: str, *rest: object) -> bytes:
        digest, path = real(place, *rest), Path(place)
        if path.name == "config.json":
            match change:
                case "content":
                    path.write_bytes(b"[]")
                case "replaced":
                    (signed.parent / "new").write_bytes(b"{}")
                    os.replace(signed.parent / "new", path)
                case "added":
                    (signed / "new").touch()
                case "removed":
                    (signed / "a.txt").unlink()
        return digest

    monkeypatch.setattr(hashing, "_hash", meanwhile)
    with pytest.raises(SigningError, match="changed while it was read"):
        verify_folder(signed, TRUST)


def test_a_file_that_cannot_be_read_is_named(signed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(place: str, *rest: object) -> bytes:
        raise PermissionError(13, "Permission denied", place)

    monkeypatch.setattr(hashing, "_hash", closed)
    with pytest.raises(SigningError, match=r"wanted a file that can be read; got Permission denied"):
        verify_folder(signed, TRUST)


FULL = """
import resource, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from molehunt.errors import SigningError
from molehunt.provenance.keys import load_private_key
from molehunt.provenance.scanning import scan_folder
from molehunt.provenance.signing import sign_folder
from molehunt.provenance.trust import KeySigner
import model_signing.signing, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600))
try:
    sign_folder(Path(sys.argv[1]), KeySigner(load_private_key(Path(sys.argv[2]))))
except SigningError as error:
    print(error)
"""


def test_a_full_disk_leaves_the_old_signature(signed: Path, tmp_path: Path) -> None:
    old = (signed / "model.sig").read_bytes()
    (tmp_path / "key.pem").write_bytes(KEY.pem())
    (signed / "config.json").write_bytes(b"[]")
    before = sorted(tmp_path.rglob("*"))
    words = [
        sys.executable,
        "-c",
        FULL.format(tests=str(Path(__file__).parents[1])),
        str(signed),
        str(tmp_path / "key.pem"),
    ]
    ended = subprocess.run(words, capture_output=True, text=True, check=True)
    assert "File too large" in ended.stdout
    assert (signed / "model.sig").read_bytes() == old
    assert sorted(tmp_path.rglob("*")) == before


def test_a_place_that_cannot_be_written_is_refused_before_anything_is_read(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SigningError, match="got none"):
        sign_folder(folder, SIGNER, tmp_path / "gone" / "model.sig")
    with pytest.raises(SigningError, match="got a folder"):
        sign_folder(folder, SIGNER, tmp_path)


def _alter(folder: Path, drawn: random.Random) -> str:
    """One change of a kind drawn by chance; what it was."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != "model.sig")
    file, what = drawn.choice(files), drawn.choice(["byte", "add", "remove", "rename", "truncate", "swap"])
    data = file.read_bytes()
    match what:
        case "byte" if data:
            at = drawn.randrange(len(data))
            file.write_bytes(data[:at] + bytes([data[at] ^ 1 << drawn.randrange(8)]) + data[at + 1 :])
        case "add":
            (drawn.choice([p for p in folder.rglob("*") if p.is_dir()]) / f"new{drawn.random()}").write_bytes(
                drawn.choice([b"", data])
            )
        case "rename":
            file.rename(file.with_name(f"{file.name}{drawn.choice('.xZ0')}"))
        case "truncate" if data:
            file.write_bytes(data[: drawn.randrange(len(data))])
        case "swap":
            other = drawn.choice([f for f in files if f.read_bytes() != data])
            file.write_bytes(other.read_bytes())
            other.write_bytes(data)
        case _:
            file.unlink()
    return f"{what} {file}"


@pytest.mark.parametrize("number", [100, pytest.param(1000, marks=pytest.mark.long)])
def test_every_random_change_is_seen(signed: Path, tmp_path: Path, number: int) -> None:
    drawn = random.Random(number)
    for _ in range(number):
        copy = tmp_path / "copy"
        shutil.copytree(signed, copy)
        what = _alter(copy, drawn)
        report = verify_folder(copy, TRUST)
        assert report.outcome == "tampered", what
        assert report.changes, what
        shutil.rmtree(copy)
    assert verify_folder(signed, TRUST).is_verified


def test_many_small_files_are_signed_and_verified(tmp_path: Path) -> None:
    folder = tmp_path / "many"
    for number in range(600):
        path = folder / f"{number % 40}" / f"{number}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"%d" % number)
    assert sign_folder(folder, SIGNER).root_digest == root_digest(folder)
    (folder / "7" / "7.json").write_bytes(b"8")
    assert [change.name for change in verify_folder(folder, TRUST).changes] == ["7/7.json"]


ROOT_KEY, LEAF_KEY = new_private_key(), new_private_key()
ROOT = certificate(ROOT_KEY, "our authority")
LEAF = certificate(LEAF_KEY, "signer of models", by=(ROOT_KEY, ROOT))


def test_a_certificate_says_who_signed(folder: Path) -> None:
    sign_folder(folder, CertificateSigner(LEAF_KEY, (LEAF, ROOT)))
    report = verify_folder(folder, CertificateTrust((ROOT,)), at=NOW)
    assert report.is_verified
    assert report.signer.name == "CN=signer of models"
    assert report.signer.key_id == LEAF_KEY.public.key_id
    other = certificate(new_private_key(), "our authority")
    assert verify_folder(folder, CertificateTrust((other,)), at=NOW).outcome == "wrong signature"
    assert verify_folder(folder, KeyTrust((LEAF_KEY.public,)), at=NOW).outcome == "wrong signature"
    (folder / "config.json").write_bytes(b"[]")
    assert verify_folder(folder, CertificateTrust((ROOT,)), at=NOW).outcome == "tampered"


def test_an_expired_certificate_and_a_clock_that_is_off_are_told(folder: Path) -> None:
    sign_folder(folder, CertificateSigner(LEAF_KEY, (LEAF, ROOT)))
    late = verify_folder(folder, CertificateTrust((ROOT,)), at=NOW + timedelta(days=11))
    assert late.outcome == "not verifiable"
    assert "expired on 2026-12-01" in late.reason
    early = verify_folder(folder, CertificateTrust((ROOT,)), at=NOW - timedelta(days=10, minutes=6))
    assert early.outcome == "not verifiable"
    assert "this machine's clock says 2026-11-11 11:54" in early.reason
    close = verify_folder(folder, CertificateTrust((ROOT,)), at=NOW - timedelta(days=10, minutes=4))
    assert close.is_verified
    short = certificate(LEAF_KEY, "short", by=(ROOT_KEY, ROOT), days=(-10, 30))
    sign_folder(folder, CertificateSigner(LEAF_KEY, (short,)))
    assert (
        "our authority expired" in verify_folder(folder, CertificateTrust((ROOT,)), at=NOW + timedelta(days=20)).reason
    )


def test_a_certificate_for_something_else_does_not_sign(folder: Path) -> None:
    with pytest.raises(SigningError, match="with another key"):
        sign_folder(folder, CertificateSigner(KEY, (LEAF,)))
    sign_folder(folder, CertificateSigner(ROOT_KEY, (ROOT,)))
    report = verify_folder(folder, CertificateTrust((ROOT,)), at=NOW)
    assert report.outcome == "wrong signature"
    assert "cannot be used for signing" in report.reason


def test_an_own_signature_with_a_strange_key_says_so(folder: Path) -> None:
    sign_folder(folder, KeySigner(new_private_key()))
    assert verify_folder(folder, TRUST).outcome == "wrong signature"


def test_a_signed_folder_scans_clean_and_keeps_its_name(tmp_path: Path) -> None:
    folder = plain(tmp_path / "model")
    before = scan_folder(folder).root_digest
    sign_folder(folder, SIGNER)
    report = scan_folder(folder)
    assert (report.outcome, report.root_digest) == ("nothing found", before)
