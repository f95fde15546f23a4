"""Registries with members, for tests."""

from dataclasses import dataclass, field
from pathlib import Path

from model_folders import plain
from molehunt.provenance.keys import PrivateKey, new_private_key
from molehunt.provenance.ledger import Ledger
from molehunt.provenance.roles import member, write_roles
from molehunt.records.identity import root_digest, tree_digest
from molehunt.records.registry import Roles
from ordinary_templates import CHATML


@dataclass
class Registry:
    """A registry whose owner, approver, promoter and bystander are known."""

    folder: Path
    keys: dict[str, PrivateKey] = field(
        default_factory=lambda: {n: new_private_key() for n in ("owner", "ann", "bob", "eve")}
    )

    def __post_init__(self) -> None:
        members = {
            **member("ann", self.keys["ann"].public, "read", "propose", "approve", "promote"),
            **member("bob", self.keys["bob"].public, "read", "promote"),
            **member("eve", self.keys["eve"].public, "read", "propose"),
        }
        write_roles(self.folder, Roles(version=1, members=members), self.keys["owner"])
        for name, key in self.keys.items():
            (self.folder.parent / f"{name}.pem").write_bytes(key.pem())
            (self.folder.parent / f"{name}.pub.pem").write_bytes(key.public.pem)

    @property
    def ledger(self) -> Ledger:
        return Ledger.open(self.folder, self.keys["owner"].public)

    def model(self, name: str, text: str = "{}") -> tuple[Path, str]:
        """A model folder in the registry, and its root digest."""
        folder = plain(self.folder / name, CHATML)
        (folder / "generation_config.json").write_text(text)
        return folder, root_digest(folder)

    def approved(self, name: str, text: str = "{}") -> tuple[Path, str]:
        """The same, approved by ann."""
        folder, digest = self.model(name, text)
        self.ledger.append("approve", digest, self.keys["ann"], name=name, tree=tree_digest(folder))
        return folder, digest
