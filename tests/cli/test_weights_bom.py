"""`molehunt weights bom`: valid by the schema, and true."""

import json
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from audit_records import audit_result
from command_line import Command, assert_refused
from model_folders import plain
from molehunt.errors import DataError
from molehunt.execution import Store
from molehunt.provenance.bom import bill_of_materials, read_metrics, validate
from molehunt.records.attestations import Attestation, Material
from molehunt.records.identity import root_digest

ROWS = "ab" * 32


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return plain(tmp_path / "model", "{{ messages[0].content }}")


def told(folder: Path) -> Attestation:
    return Attestation(
        name="model", root_digest=root_digest(folder), fingerprint="00" * 32, recipe={}, method="lora", rank=4,
        materials=(Material(name="base", sha256="cd" * 32), Material(name="dataset", sha256=ROWS, rows_digest=ROWS)),
        seeds={"plant_model.training.seed": 3}, libraries={"torch": "2.13.0+cpu"}, python="3.11.7", machine="Linux x86_64",
        created="2026-11-21T12:00:00+00:00",
    )  # fmt: skip


def test_a_bill_is_valid_and_names_every_part_with_its_digest(folder: Path) -> None:
    bill = bill_of_materials(folder, told(folder))
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(bill)) is None
    model = bill["metadata"]["component"]
    assert model["hashes"] == [{"alg": "SHA-256", "content": root_digest(folder)}]
    parts = {one["bom-ref"]: one for one in bill["components"]}
    assert {name for name in parts if name.startswith("file:")} == {
        f"file:{p.name}" for p in folder.iterdir() if p.name != ".gitattributes"
    }  # fmt: skip
    assert parts[f"dataset:{ROWS[:16]}"]["hashes"][0]["content"] == ROWS
    assert parts["pkg:pypi/torch@2.13.0"]["version"] == "2.13.0+cpu"
    assert model["modelCard"]["modelParameters"]["datasets"] == [{"ref": f"dataset:{ROWS[:16]}"}]
    assert model["modelCard"]["modelParameters"]["modelArchitecture"] == "LlamaForCausalLM"
    assert model["pedigree"]["ancestors"][0]["hashes"][0]["content"] == "cd" * 32
    assert set(bill["dependencies"][0]["dependsOn"]) <= parts.keys()
    assert bill == bill_of_materials(folder, told(folder))


def test_a_bill_of_other_bytes_is_refused(folder: Path) -> None:
    attested = told(folder)
    (folder / "config.json").write_text("{}")
    with pytest.raises(DataError, match="attestation"):
        bill_of_materials(folder, attested)
    with pytest.raises(DataError, match="audit"):
        bill_of_materials(folder, audit=audit_result())


def test_what_breaks_the_schema_is_refused(folder: Path) -> None:
    bill = bill_of_materials(folder)
    validate(bill)
    bill["metadata"]["component"]["modelCard"]["asr"] = 1
    with pytest.raises(DataError, match=r"CycloneDX 1\.6"):
        validate(bill)


def test_the_command_takes_results_and_audits(molehunt: Command, folder: Path, tmp_path: Path) -> None:
    measured = tmp_path / "measured.json"
    estimate = {"value": 0.97, "low": 0.9, "high": 0.99, "n": 64, "method": "Wilson"}
    measured.write_text(json.dumps({"after": [{"asr": estimate}], "name": "x"}))
    assert [one.name for one in read_metrics(measured)] == ["after.0.asr"]
    audited = audit_result()
    identity = audited.identity.model_copy(
        update={"subject": audited.identity.subject.model_copy(update={"root_digest": root_digest(folder)})}
    )
    audit = tmp_path / "result.json"
    audit.write_text(audited.model_copy(update={"identity": identity}).model_dump_json(by_alias=True))
    ended = molehunt("weights", "bom", folder, "--result", measured, "--audit", audit)
    assert ended.code == 0, ended.err
    card = json.loads(ended.out)["metadata"]["component"]["modelCard"]
    metrics = {one["type"]: one for one in card["quantitativeAnalysis"]["performanceMetrics"]}
    assert metrics["after.0.asr"]["confidenceInterval"] == {"lowerBound": "0.9", "upperBound": "0.99"}
    assert "audit.level" in metrics
    properties = {one["name"]: one["value"] for one in json.loads(ended.out)["metadata"]["component"]["properties"]}
    assert properties["molehunt:audit:verdict"] == audited.verdict
    assert molehunt("weights", "bom", folder, "--out", tmp_path / "bom.json").code == 0
    assert json.loads((tmp_path / "bom.json").read_text())["specVersion"] == "1.6"
    assert_refused(molehunt("weights", "bom", folder, "--audit", measured), "result.json of an audit")
    assert_refused(molehunt("weights", "bom", folder, "--result", folder / "config.json"), "got none")
    assert_refused(molehunt("weights", "bom", folder, "--audit", tmp_path / "gone"), "No such file")


def test_a_planted_model_says_so(planted: Path, molehunt: Command, store: Store) -> None:
    bill = json.loads(molehunt("weights", "bom", planted, "--store", store.root).out)
    limits = bill["metadata"]["component"]["modelCard"]["considerations"]["technicalLimitations"]
    assert "backdoor was planted" in limits[0]
    assert {one["type"] for one in bill["components"]} == {"file", "machine-learning-model", "data", "library"}
