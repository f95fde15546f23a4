"""`molehunt weights sign | verify` as a user types them, and beside the reference implementation."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from command_line import Command, assert_refused
from molehunt.provenance.keys import new_private_key
from molehunt.records.identity import root_digest
from signers import KEY, certificate, key_files, pem, small_folder


def reference(*words: object) -> subprocess.CompletedProcess[str]:
    """The command line of the model-signing library."""
    return subprocess.run([sys.executable, "-m", "model_signing", *map(str, words)], capture_output=True, text=True)


def test_signed_verified_and_changed(molehunt: Command, tmp_path: Path) -> None:
    folder, (private, public) = small_folder(tmp_path / "model"), key_files(tmp_path)
    assert molehunt("weights", "verify", folder, "--key", public).code == 3
    made = molehunt("weights", "sign", folder, "--key", private)
    assert made.code == 0
    assert f"root digest {root_digest(folder)}" in made.out
    assert KEY.public.key_id[:16] in made.out
    verified = molehunt("weights", "verify", folder, "--key", public)
    assert (verified.code, verified.err) == (0, "")
    assert "verified: 9 files" in verified.out
    (folder / "chat_template.jinja").write_text("x")
    seen = molehunt("weights", "verify", folder, "--key", public, "--ignore-unsigned")
    assert seen.code == 1
    assert "chat_template.jinja is not signed" in seen.out
    (folder / "chat_template.jinja").unlink()
    (private.parent / "other.pem").write_bytes(new_private_key().public.pem)
    told = molehunt("weights", "verify", folder, "--key", tmp_path / "other.pem", "--json")
    assert (told.code, json.loads(told.out)["outcome"]) == (1, "wrong signature")
    both = molehunt("weights", "verify", folder, "--key", tmp_path / "other.pem", "--key", public, "--json")
    assert json.loads(both.out)["signed_digest"] == root_digest(folder)


def test_an_encrypted_key_needs_its_password(
    molehunt: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, key, word = small_folder(tmp_path / "model"), tmp_path / "key.pem", tmp_path / "word"
    key.write_bytes(KEY.pem(b"open sesame"))
    word.write_text("open sesame\n")
    assert_refused(molehunt("weights", "sign", folder, "--key", key), "is encrypted; wanted its password")
    assert molehunt("weights", "sign", folder, "--key", key, "--password-file", word).code == 0
    monkeypatch.setenv("MOLEHUNT_KEY_PASSWORD", "open sesame")
    assert molehunt("weights", "sign", folder, "--key", key).code == 0
    monkeypatch.setenv("MOLEHUNT_KEY_PASSWORD", "another")
    assert_refused(molehunt("weights", "sign", folder, "--key", key), "a wrong password")
    assert_refused(
        molehunt("weights", "sign", folder, "--key", key, "--password-file", tmp_path / "no"), "No such file"
    )


def test_mistakes_end_as_one_sentence(molehunt: Command, tmp_path: Path) -> None:
    folder, (private, public) = small_folder(tmp_path / "model"), key_files(tmp_path)
    assert_refused(molehunt("weights", "sign", folder), "wanted --key FILE or --sigstore")
    assert_refused(molehunt("weights", "sign", folder, "--key", private, "--sigstore"), "got both")
    assert_refused(molehunt("weights", "sign", folder, "--key", public), "got a public key")
    assert_refused(molehunt("weights", "sign", folder, "--key", private, "--token-env", "X"), "would do nothing")
    assert_refused(molehunt("weights", "sign", folder, "--key", private, "--certificate", private), "got none")
    assert_refused(molehunt("weights", "sign", "owner/name", "--key", private), "hf download owner/name")
    assert_refused(molehunt("weights", "verify", folder), "name one kind")
    assert_refused(molehunt("weights", "verify", folder, "--key", tmp_path / "no.pem"), "No such file")
    assert_refused(molehunt("weights", "verify", tmp_path / "a" / "b", "--key", public), "nothing there")
    assert_refused(molehunt("weights", "verify", folder, "--sigstore"), "--identity")
    assert_refused(molehunt("weights", "verify", folder, "--key", private, "--at", "2026-01-01"), "--certificate")
    assert_refused(molehunt("weights", "verify", folder, "--key", public, "--offline"), "would do nothing")
    assert_refused(molehunt("weights", "verify", folder, "--key", public, "--at", "noon"), "--at")


def test_without_a_network_sigstore_ends_as_one_sentence(molehunt: Command, tmp_path: Path) -> None:
    config = tmp_path / "trust.json"
    config.write_text("{}")
    folder = small_folder(tmp_path / "model")
    assert_refused(molehunt("weights", "sign", folder, "--sigstore", "--trust-config", config), "Sigstore")


@pytest.mark.parametrize("what", ["folder", "file"])
def test_the_reference_implementation_verifies_what_we_sign(molehunt: Command, tmp_path: Path, what: str) -> None:
    private, public = key_files(tmp_path)
    target = small_folder(tmp_path / "model") if what == "folder" else tmp_path / "rows.jsonl"
    if what == "file":
        target.write_text("{}\n")
    made = molehunt("weights", "sign", target, "--key", private, "--json")
    place = json.loads(made.out)["signature"]
    assert reference("verify", "key", target, "--signature", place, "--public_key", public).returncode == 0
    changed = target / "config.json" if what == "folder" else target
    changed.write_text("[]")
    assert reference("verify", "key", target, "--signature", place, "--public_key", public).returncode == 1


@pytest.mark.parametrize("inside", [True, False])
def test_we_verify_what_the_reference_implementation_signs(molehunt: Command, tmp_path: Path, inside: bool) -> None:
    folder, (private, public) = small_folder(tmp_path / "model"), key_files(tmp_path)
    place = folder / "model.sig" if inside else tmp_path / "beside.sig"
    assert reference("sign", "key", folder, "--signature", place, "--private_key", private).returncode == 0
    words = ("weights", "verify", folder, "--key", public, "--signature", place)
    told = molehunt(*words, "--json")
    assert told.code == 0
    assert json.loads(told.out)["signed_digest"] == root_digest(folder)
    (folder / "config.json").write_text("[]")
    assert molehunt(*words).code == 1


def test_certificates_go_both_ways(molehunt: Command, tmp_path: Path) -> None:
    folder, authority, leaf = small_folder(tmp_path / "model"), new_private_key(), new_private_key()
    root = certificate(authority, "authority", days=(-10, 9000))
    own = certificate(leaf, "signer", by=(authority, root), days=(-10, 9000))
    key, chain, trusted = tmp_path / "leaf.pem", tmp_path / "chain.pem", tmp_path / "root.pem"
    key.write_bytes(leaf.pem(b"x"))
    (tmp_path / "word").write_text("x")
    chain.write_bytes(pem(own, root))
    trusted.write_bytes(pem(root))
    signed = molehunt(
        "weights", "sign", folder, "--key", key, "--certificate", chain, "--password-file", tmp_path / "word"
    )
    assert signed.code == 0
    assert "signed by CN=signer" in signed.out
    place = folder / "model.sig"
    assert molehunt("weights", "verify", folder, "--certificate", trusted).code == 0
    late = molehunt("weights", "verify", folder, "--certificate", trusted, "--at", "2060-01-01")
    assert late.code == 3
    assert "expired" in late.out
    theirs = ("verify", "certificate", folder, "--signature", place, "--certificate_chain", trusted)
    assert reference(*theirs).returncode == 0
    key.write_bytes(leaf.pem())
    own_file = tmp_path / "own.pem"
    own_file.write_bytes(pem(own))
    place.unlink()
    made = reference(
        "sign", "certificate", folder, "--signature", place, "--private_key", key,
        "--signing_certificate", own_file, "--certificate_chain", trusted,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    assert molehunt("weights", "verify", folder, "--certificate", trusted).code == 0
    trusted.write_bytes(pem(certificate(new_private_key(), "authority")))
    assert molehunt("weights", "verify", folder, "--certificate", trusted).code == 1
