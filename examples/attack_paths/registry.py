"""Replaced weights in a registry: the bytes under an approved name are no longer those that were approved.

    python examples/attack_paths/registry.py

The attacker can write the registry's files, but has no member's key: not the signer's, not an approver's.
"""

import json
import os
import shutil
from pathlib import Path

import molehunt as library
from molehunt.errors import NotAdmittedError
from molehunt.records.identity import root_digest
from stage import Models, Story, first, keys, models, molehunt, published, reasons, told_by

POLICY = """
[signature]
keys = ["ann.pub.pem"]
[ledger]
registry = "registry"
owner = "owner.pub.pem"
anchors = ["anchors.jsonl"]
"""
REVOKED, OLDER, NAME = "team/helper-1", "team/helper-2", "team/helper-3"


def main(folder: Path, base: str = "mini", audit: bool = False) -> Story:
    """Approve a model, let it and the ledger be changed in four ways, and put each to the controls.

    Args:
        audit: asks nothing more here: audits come before an approval.
    """
    story, made = Story("registry", folder), models(base)
    approved = _approved(folder, made)
    assert _watch(folder) == []
    library.load(approved, policy=folder / "policy.toml")
    kept = shutil.copytree(folder / "registry", folder / "kept")
    attacks = {
        "weights replaced, times and size as before": _replace,
        "an older approved version put back": _roll_back,
        "weights replaced, the ledger rewritten": _rewrite,
        "a revoked version put back, its revocation cut off": _cut,
    }
    for attack, strike in attacks.items():
        strike(folder, made)
        _examine(story, attack, made.base)
        shutil.rmtree(folder / "registry")
        shutil.copytree(kept, folder / "registry")
    return story


def _approved(folder: Path, made: Models) -> Path:
    """A registry with a revoked version, an older and the present one; what was entered is anchored elsewhere."""
    keys(folder, "owner", "ann")
    registry = folder / "registry"
    registry.mkdir(mode=0o700)
    ann = f"ann:read,propose,approve:{folder / 'ann.pub.pem'}"
    molehunt("weights", "roles", registry, "--key", folder / "owner.pem", "--member", ann)
    signed = ("--registry", registry, "--key", folder / "ann.pem", "--anchor", folder / "anchors.jsonl")
    for name, model in ((REVOKED, made.base), (OLDER, made.base), (NAME, made.clean)):
        place = published(model, registry / name)
        (place / "generation_config.json").write_text(json.dumps({"max_new_tokens": 48, "version": name}))
        molehunt("weights", "sign", place, "--key", folder / "ann.pem")
        molehunt("weights", "approve", place, *signed, "--name", name)
    molehunt("weights", "revoke", registry / REVOKED, *signed, "--reason", "it answers too little")
    (registry / REVOKED).rename(folder / "revoked")
    (folder / "policy.toml").write_text(POLICY)
    return registry / NAME


def _replace(folder: Path, made: Models) -> None:
    target = folder / "registry" / NAME / "model.safetensors"
    before = target.stat()
    target.write_bytes((made.planted / "model.safetensors").read_bytes())
    os.utime(target, ns=(before.st_atime_ns, before.st_mtime_ns))


def _roll_back(folder: Path, made: Models) -> None:
    _put(folder / "registry" / OLDER, folder / "registry" / NAME)


def _put(model: Path, place: Path) -> None:
    shutil.rmtree(place)
    shutil.copytree(model, place)


def _rewrite(folder: Path, made: Models) -> None:
    """Replaced, and the ledger's approval made to name what lies there now."""
    model, ledger = folder / "registry" / NAME, folder / "registry" / "ledger.jsonl"
    before = root_digest(model)
    _replace(folder, made)
    ledger.write_text(ledger.read_text().replace(before, root_digest(model)))


def _cut(folder: Path, made: Models) -> None:
    """The revoked version put back, and the line that revoked it cut off."""
    _put(folder / "revoked", folder / "registry" / NAME)
    ledger = folder / "registry" / "ledger.jsonl"
    ledger.write_text("".join(line for line in ledger.read_text().splitlines(True) if '"revoke"' not in line))


def _examine(story: Story, attack: str, base: Path) -> None:
    folder = story.folder
    model, policy = folder / "registry" / NAME, folder / "policy.toml"
    found = molehunt("weights", "scan", model, "--base", base, "--json")
    story.by_code(attack, "scan", found, first(found.json))
    story.by_code(attack, "signature", molehunt("weights", "verify", model, "--key", folder / "ann.pub.pem"))
    book = ("--owner", folder / "owner.pub.pem", "--anchor", folder / "anchors.jsonl", "--json")
    ledger = molehunt("weights", "ledger", folder / "registry", *book)
    problem = ledger.json["problem"]
    story.by_code(attack, "ledger", ledger, problem["what"] if problem else "every entry is as it was signed")
    decision = molehunt("weights", "admit", model, "--policy", policy, "--json")
    story.by_code(attack, "admit", decision, reasons(decision.json))
    try:
        library.load(model, policy=policy)
        story.note(attack, "load", "passes", "loaded")
    except NotAdmittedError:
        story.note(attack, "load", "caught", "molehunt.load raises NotAdmittedError")
    seen = [one for one in _watch(folder, "--quarantine") if one["kind"] in ("changed", "revoked", "ledger")]
    told = "; ".join(f"{one['kind']}: {one['what']}{', moved aside' * bool(one['quarantined'])}" for one in seen)
    story.note(attack, "watch", "caught" if seen else "passes", told)


def _watch(folder: Path, *more: str) -> list[dict[str, str]]:
    """The events of one pass."""
    words = ("--owner", folder / "owner.pub.pem", "--state", folder / "seen.json", "--json", *more)
    ended = molehunt("weights", "watch", folder / "registry", *words)
    return [json.loads(line) for line in ended.out.splitlines()]


if __name__ == "__main__":
    told_by(main)
