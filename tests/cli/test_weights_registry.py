"""`molehunt weights roles | approve | promote | revoke | ledger | admit | watch` as a user types it."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from command_line import Command, assert_refused
from model_folders import plain
from molehunt.provenance.keys import new_private_key
from ordinary_templates import CHATML
from registries import Registry


def keys_in(folder: Path) -> None:
    for name in ("owner", "ann", "bob"):
        key = new_private_key()
        (folder / f"{name}.pem").write_bytes(key.pem())
        (folder / f"{name}.pub").write_bytes(key.public.pem)


def test_from_roles_to_revocation(molehunt: Command, tmp_path: Path) -> None:
    keys_in(tmp_path)
    registry, at = tmp_path / "registry", ("--registry", tmp_path / "registry")
    model = plain(registry / "m", CHATML)
    ann = f"ann:propose,approve,promote:{tmp_path}/ann.pub"
    bob = f"bob:promote:{tmp_path}/bob.pub"
    shown = molehunt("weights", "roles", registry, "--key", tmp_path / "owner.pem", "--member", ann, "--member", bob)
    assert (shown.code, "version 1, two persons" in shown.out) == (0, True)
    named = ("--name", "m", "--key", tmp_path / "ann.pem", "--anchor", tmp_path / "anchors")
    assert molehunt("weights", "propose", model, *at, *named).code == 0
    assert molehunt("weights", "approve", model, *at, *named, "--reason", "reviewed").out.startswith(
        "entry 1: approve m "
    )
    assert_refused(molehunt("weights", "promote", model, *at, *named), "two persons")
    bobs = ("--name", "m", "--key", tmp_path / "bob.pem", "--anchor", tmp_path / "anchors")
    assert molehunt("weights", "promote", model, *at, *bobs).code == 0
    known = ("--owner", tmp_path / "owner.pub", "--anchor", tmp_path / "anchors")
    good = molehunt("weights", "ledger", registry, *known)
    assert (good.code, "verified: 3 entries" in good.out) == (0, True)
    assert molehunt("weights", "ledger", registry).code == 3
    policy = tmp_path / "policy.toml"
    policy.write_text('[scan]\n[ledger]\nregistry = "registry"\nstanding = "promoted"\n')
    assert molehunt("weights", "admit", model, "--policy", policy).code == 0
    assert molehunt("weights", "revoke", model, *at, "--key", tmp_path / "ann.pem", "--reason", "INC-1").code == 0
    told = molehunt("weights", "admit", model, "--policy", policy, "--json")
    assert (told.code, json.loads(told.out)["outcome"]) == (1, "refused")
    path = registry / "ledger.jsonl"
    path.write_text(path.read_text().replace("reviewed", "reviewer"))
    broken = molehunt("weights", "ledger", registry, *known)
    assert (broken.code, "broken: entry 1" in broken.out) == (1, True)


def test_a_policy_stands_before_an_approval(molehunt: Command, tmp_path: Path) -> None:
    registry = Registry(tmp_path / "registry")
    model, _ = registry.model("m")
    (model / "weights.bin").write_bytes(b"\x80\x04.")
    (tmp_path / "policy.toml").write_text("[scan]\n")
    words = (
        "--registry",
        registry.folder,
        "--name",
        "m",
        "--key",
        tmp_path / "ann.pem",
        "--policy",
        tmp_path / "policy.toml",
    )
    refused = molehunt("weights", "approve", model, *words)
    assert (refused.code, "nothing was entered" in refused.out) == (1, True)
    assert registry.ledger.entries() == []
    (model / "weights.bin").unlink()
    assert molehunt("weights", "approve", model, *words).code == 0
    assert registry.ledger.entries()[0].evidence.scan == "nothing found"


def test_members_are_checked(molehunt: Command, tmp_path: Path) -> None:
    keys_in(tmp_path)
    words = ("weights", "roles", tmp_path / "registry", "--key", tmp_path / "owner.pem", "--member")
    assert_refused(molehunt(*words, f"ann:rule:{tmp_path}/ann.pub"), "rule")
    assert_refused(molehunt(*words, "ann"), "NAME:ROLE")
    assert_refused(molehunt("weights", "roles", tmp_path / "registry"), "roles")
    assert molehunt(*words, f"ann:read:{tmp_path}/ann.pub").code == 0
    assert molehunt(*words, f"ann:read,approve:{tmp_path}/ann.pub").code == 0
    assert_refused(molehunt(*words, f"ann:read:{tmp_path}/ann.pub"), "more roles")
    retired = molehunt("weights", "roles", tmp_path / "registry", "--key", tmp_path / "owner.pem", "--retire", "ann")
    assert (retired.code, "version 3" in retired.out) == (0, True)
    assert_refused(molehunt(*words, f"ann:read,approve:{tmp_path}/ann.pub"), "retired")
    other = ("weights", "roles", tmp_path / "registry", "--key", tmp_path / "ann.pem", "--one-person")
    assert_refused(molehunt(*other), "the owner's key")


def test_watch_tells_what_changed(molehunt: Command, tmp_path: Path) -> None:
    registry = Registry(tmp_path / "registry")
    model, _ = registry.approved("m")
    words = ("weights", "watch", registry.folder, "--state", tmp_path / "state.json", "--events", tmp_path / "events")
    assert molehunt(*words).code == 0
    (model / "config.json").write_text("{}")
    seen = molehunt(*words, "--quarantine")
    assert (seen.code, "changed config.json" in seen.out, "moved to" in seen.out) == (1, True, True)
    assert json.loads((tmp_path / "events").read_text())["kind"] == "changed"


@pytest.mark.long
def test_a_loop_sees_a_change_as_it_happens(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "registry")
    model, _ = registry.approved("m")
    command = [sys.executable, "-m", "molehunt", "weights", "watch", str(registry.folder), "--loop", "--every", "600", "--json",
               "--state", str(tmp_path / "state.json")]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        while not (tmp_path / "state.json").exists():
            time.sleep(0.1)
        time.sleep(1)
        (model / "config.json").write_text("{}")
        event = json.loads(process.stdout.readline())
        process.terminate()
    assert (event["kind"], event["name"]) == ("changed", "m")
