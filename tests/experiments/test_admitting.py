import subprocess
import sys
from pathlib import Path

import pytest

import molehunt
from molehunt.errors import NotAdmittedError
from molehunt.execution.folders import copy_folder
from molehunt.records.identity import root_digest
from registries import Registry

POLICY = '[scan]\n[ledger]\nregistry = "registry"\n'


@pytest.fixture
def registry(base: Path, tmp_path: Path) -> Registry:
    registry = Registry(tmp_path / "registry")
    copy_folder(base, registry.folder / "m")
    (tmp_path / "policy.toml").write_text(POLICY)
    return registry


def test_only_what_is_admitted_is_loaded_and_from_a_copy(registry: Registry, tmp_path: Path) -> None:
    model = registry.folder / "m"
    with pytest.raises(NotAdmittedError, match="it is unknown; approved is wanted"):
        molehunt.load(model, policy=tmp_path / "policy.toml")
    digest = root_digest(model)
    registry.ledger.append("approve", digest, registry.keys["ann"], name="m")
    loaded = molehunt.load(model, policy=tmp_path / "policy.toml", snapshots=tmp_path)
    assert loaded.folder != model
    assert loaded.ref().root_digest == digest
    registry.ledger.append("revoke", digest, registry.keys["ann"])
    with pytest.raises(NotAdmittedError, match="revoked"):
        molehunt.load(model, policy=tmp_path / "policy.toml")


def test_what_is_refused_is_refused_before_torch(registry: Registry, tmp_path: Path) -> None:
    code = f"""
import sys, molehunt
from molehunt.errors import NotAdmittedError
try:
    molehunt.load({str(registry.folder / "m")!r}, policy={str(tmp_path / "policy.toml")!r})
except NotAdmittedError:
    print(sorted({{"torch", "transformers"}} & sys.modules.keys()))
"""
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )
