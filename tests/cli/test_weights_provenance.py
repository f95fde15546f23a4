"""`molehunt weights attest | verify --provenance | reproduce`, on small models that are really made, and made again."""

import base64
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from command_line import Command, Ended, assert_refused
from molehunt.execution import Store
from molehunt.experiments.attesting import attest
from molehunt.experiments.reproducing import reproduce, steps_of
from molehunt.provenance.attestation import to_statement, write_attestation
from molehunt.provenance.keys import new_private_key
from molehunt.records.identity import root_digest
from signers import KEY, key_files, resign, statement_in


def grades(ended: Ended) -> dict[str, str]:
    return {one["name"]: one["grade"] for one in json.loads(ended.out)["provenance"]["claims"]}


@pytest.fixture
def words(store: Store, tmp_path: Path) -> tuple[Any, ...]:
    return ("--store", store.root, "--key", key_files(tmp_path)[0])


def test_attested_checked_and_made_again(
    molehunt: Command, words: tuple[Any, ...], planted: Path, tiny_base: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(planted, copy)
    assert molehunt("weights", "verify", copy, *words, "--provenance").code == 3
    told = molehunt("weights", "attest", copy, *words)
    assert told.code == 0
    assert str(tmp_path / "copy.attestation.json") in told.out
    assert molehunt("weights", "sign", copy, *words).code == 0
    alone = molehunt("weights", "verify", copy, *words, "--provenance", "--json")
    assert alone.code == 0
    assert grades(alone) == {
        "model": "consistent", "base": "asserted", "method": "asserted", "dataset": "asserted",
        "config and seeds": "asserted", "code and libraries": "asserted",
    }  # fmt: skip
    data = planted.parent / "dataset.jsonl"
    beside = molehunt("weights", "verify", copy, *words, "--provenance", "--base", tiny_base, "--data", data, "--json")
    assert beside.code == 0
    assert {name for name, grade in grades(beside).items() if grade == "consistent"} == {
        "model", "base", "base match", "dataset",
    }  # fmt: skip
    again = molehunt("weights", "reproduce", copy, *words, "--jobs", 0, "--json")
    assert again.code == 0, again.err
    result = json.loads(again.out)
    assert (result["grade"], result["steps"]) == ("recomputed", 2)
    assert result["made_digest"] == root_digest(planted)
    assert {one["grade"] for one in result["claims"]} == {"recomputed"}


def test_an_artifact_is_attested_beside_its_files(molehunt: Command, words: tuple[Any, ...], planted: Path) -> None:
    ended = molehunt("weights", "attest", planted, *words)
    assert ended.code == 0
    assert (planted.parent.parent / "model.attestation.json").is_file()
    assert molehunt("weights", "attest", planted.parent.parent.name[:12], *words).code == 0


def test_a_lora_claim_is_checked_against_the_difference(
    store: Store, adapted: Path, planted: Path, tiny_base: Path, tmp_path: Path, molehunt: Command
) -> None:
    key = key_files(tmp_path)[1]
    folder = tmp_path / "model"
    shutil.copytree(adapted, folder)
    write_attestation(folder, attest(folder, store), KEY)
    verify = ("weights", "verify", folder, "--key", key, "--provenance", "--base", tiny_base, "--json")
    assert grades(molehunt(*verify))["method"] == "consistent"
    lied = attest(planted, store).model_copy(update={"method": "lora", "rank": 2})
    shutil.rmtree(folder)
    shutil.copytree(planted, folder)
    write_attestation(folder, lied, KEY)
    ended = molehunt(*verify)
    assert ended.code == 1
    assert grades(ended)["method"] == "contradicted"


def test_what_does_not_hold_is_contradicted(
    molehunt: Command, store: Store, planted: Path, adapted: Path, tiny_base: Path, tmp_path: Path
) -> None:
    key, folder = key_files(tmp_path)[1], tmp_path / "model"
    shutil.copytree(planted, folder)
    place = write_attestation(folder, attest(folder, store), KEY)
    words = ("weights", "verify", folder, "--key", key, "--provenance", "--json")
    stranger = tmp_path / "stranger"
    shutil.copytree(tiny_base, stranger)
    weights = load_file(stranger / "model.safetensors")
    drawn = np.random.default_rng(0)
    save_file(
        {n: drawn.normal(size=w.shape).astype(w.dtype) for n, w in weights.items()}, stranger / "model.safetensors"
    )
    other = molehunt(*words, "--base", stranger, "--data", adapted.parent.parent / "artifact.json")
    assert other.code == 1
    found = grades(other)
    assert (found["base"], found["base match"], found["dataset"]) == ("contradicted",) * 3
    (folder / "config.json").write_text("{}")
    assert grades(molehunt(*words))["model"] == "contradicted"
    (tmp_path / "other.pem").write_bytes(new_private_key().public.pem)
    strange = molehunt("weights", "verify", folder, "--key", tmp_path / "other.pem", "--provenance", "--json")
    assert json.loads(strange.out)["provenance"]["outcome"] == "wrong signature"
    place.write_text("{}")
    assert json.loads(molehunt(*words).out)["provenance"]["outcome"] == "wrong signature"


def test_a_model_that_the_store_did_not_make_is_not_attested(
    molehunt: Command, words: tuple[Any, ...], tiny_base: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny_base, tmp_path / "changed")
    (tmp_path / "changed" / "config.json").write_text("{}")
    assert_refused(molehunt("weights", "attest", tmp_path / "changed", *words), "no such artifact")
    assert_refused(molehunt("weights", "reproduce", tiny_base, *words), "nobody signed")


def test_a_changed_model_is_not_what_its_recipe_gives(store: Store, planted: Path, tmp_path: Path) -> None:
    told, folder = attest(planted, store), tmp_path / "model"
    shutil.copytree(planted, folder)
    weights = load_file(folder / "model.safetensors")
    weights["lm_head.weight"][7] += 3
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    result = reproduce(folder, told, store, Store(tmp_path / "work"), jobs=0)
    assert result.grade == "contradicted"
    assert result.relative > 0.05
    assert {one.name for one in result.claims if one.grade == "contradicted"} >= {"model"}
    weights["lm_head.weight"][7] -= 3
    weights["lm_head.weight"][7, 0] += 1e-7
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    close = reproduce(folder, told, store, Store(tmp_path / "work"), jobs=0)
    assert (close.grade, close.agreement) == ("consistent", 1.0)


HOSTILE = {
    "a function of another room": {"function": "os:system"},
    "a function that is no step": {"function": "molehunt.experiments.steps:shutil"},
    "another version": {"version": 99},
    "another world": {"config": {"world": "00"}},
    "an endpoint": {"config": {"teacher": {"url": "http://127.0.0.1:1"}}},
    "a file of their own": {"function": "molehunt.experiments.steps:remove", "version": 3, "config": {"procedure": "/tmp/x.py:NAME"}},
    "another config than its fingerprint": {"threads": 7},
    "itself for a parent": {"parents": {"base": "SELF"}},
    "a parent that is missing": {"parents": {"base": "00" * 32}},
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_recipe_is_refused_before_anything_runs(store: Store, planted: Path, case: str) -> None:
    told = attest(planted, store)
    change = json.loads(json.dumps(HOSTILE[case]).replace("SELF", told.fingerprint))
    step = told.recipe[told.fingerprint].model_copy(update=change)
    with pytest.raises(ValueError, match="cannot be run again"):
        steps_of(told.model_copy(update={"recipe": {**told.recipe, told.fingerprint: step}}))


BROKEN = {
    "another build": lambda s: s["predicate"]["buildDefinition"].update(buildType="x"),
    "no recipe": lambda s: s["predicate"]["buildDefinition"]["externalParameters"].pop("recipe"),
    "no dependencies": lambda s: s["predicate"]["buildDefinition"].pop("resolvedDependencies"),
    "another predicate": lambda s: s.update(predicateType="https://model_signing/signature/v1.0"),
    "no run": lambda s: s["predicate"].pop("runDetails"),
    "no subject": lambda s: s.update(subject=[]),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_statement_of_another_form_is_a_wrong_one(
    molehunt: Command, store: Store, planted: Path, tmp_path: Path, case: str
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(planted, folder)
    place = write_attestation(folder, attest(folder, store), KEY)
    statement = statement_in(place)
    BROKEN[case](statement)
    resign(place, json.dumps(statement).encode())
    ended = molehunt("weights", "verify", folder, "--key", key_files(tmp_path)[1], "--provenance", "--json")
    assert json.loads(ended.out)["provenance"]["outcome"] == "wrong signature"


def test_the_statement_is_slsa_provenance_in_an_in_toto_statement_in_dsse(
    store: Store, planted: Path, tmp_path: Path
) -> None:
    told = attest(planted, store)
    place = write_attestation(planted, told, KEY, tmp_path / "a.json")
    bundle = json.loads(place.read_text())
    statement = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
    assert statement == json.loads(json.dumps(to_statement(told)))
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    assert statement["subject"][0]["digest"] == {"sha256": root_digest(planted)}
    built = statement["predicate"]["buildDefinition"]
    assert {"buildType", "externalParameters", "resolvedDependencies"} <= built.keys()
    assert statement["predicate"]["runDetails"]["builder"]["id"]
    named = {one.get("name"): one["digest"]["sha256"] for one in built["resolvedDependencies"] if "digest" in one}
    assert named.keys() == {"base", "dataset"}
    assert any(one.get("uri", "").startswith("pkg:pypi/torch@") for one in built["resolvedDependencies"])
    assert built["externalParameters"]["seeds"]["plant_model.training.seed"] == 0
