"""What every step that makes a model leaves beside it, and what a recipe that is not true comes to."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from command_line import Command, assert_refused
from making import made
from molehunt.errors import SigningError
from molehunt.execution import Step, Store
from molehunt.execution.working import make
from molehunt.experiments.attesting import attest, rebuilt, witness
from molehunt.experiments.recipes import WITNESS
from molehunt.experiments.reproducing import reproduce
from molehunt.provenance.attestation import LEFT, leave_statement, to_statement
from molehunt.provenance.grading import check_provenance, verified
from molehunt.provenance.keys import load_public_key
from molehunt.provenance.trust import KeyTrust
from molehunt.records.attestations import Attestation
from molehunt.records.identity import file_digest, root_digest
from signers import KEY, key_files


@pytest.fixture(scope="module")
def planted(planted: Path, store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model, made in a store where nobody else signs anything."""
    step = rebuilt(planted.parent.parent.name, store)
    base = replace(step.parents["base"], witness=WITNESS)
    own = Store(tmp_path_factory.mktemp("own"))
    return made(own, replace(step, parents={"base": base}, witness=WITNESS)) / "model"


def left(model: Path) -> Path:
    return model.parent.parent / LEFT


def test_what_a_step_leaves_is_the_same_whenever_it_runs_and_no_part_of_the_artifact(
    store: Store, planted: Path, tiny_base: Path, tmp_path: Path
) -> None:
    statement = json.loads(left(planted).read_text())
    told = attest(planted, store)
    assert told.created != ""
    assert statement == json.loads(json.dumps(to_statement(told.model_copy(update={"created": ""}))))
    assert "finishedOn" not in left(planted).read_text()
    fingerprint = planted.parent.parent.name
    files = tmp_path / "again" / "files"
    shutil.copytree(planted.parent, files)
    step = rebuilt(fingerprint, store)
    witness(step)({"base": tiny_base.parent}, files)
    assert (tmp_path / "again" / LEFT).read_bytes() == left(planted).read_bytes()
    own = Store(planted.parents[3])
    assert own.verify(fingerprint).files_digest == store.verify(fingerprint).files_digest
    assert left(own.folder(step.parents["base"].fingerprint) / "model").is_file()


def test_with_a_key_it_is_signed_and_without_one_nobody_says_so(
    store: Store, planted: Path, tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private, public = key_files(tmp_path)
    trust = KeyTrust((load_public_key(public),))
    alone = check_provenance(planted, trust)
    assert (alone.outcome, alone.grade) == ("not verifiable", "asserted")
    assert "nobody signed" in alone.reason
    monkeypatch.setenv("MOLEHUNT_SIGNING_KEY", str(private))
    files = tmp_path / "signed" / "files"
    shutil.copytree(planted.parent, files)
    witness(rebuilt(planted.parent.parent.name, store))({"base": tiny_base.parent}, files)
    signer, told = verified(tmp_path / "signed" / LEFT, trust)
    assert signer.how == "key"
    assert told == attest(planted, store).model_copy(update={"created": ""})
    other = check_provenance(tiny_base, trust, place=left(planted))
    assert other.outcome == "contradicted"


def test_a_key_that_cannot_be_read_costs_no_training(
    tiny: Step, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, molehunt: Command, planted: Path
) -> None:
    (tmp_path / "no.pem").write_text("no key")
    monkeypatch.setenv("MOLEHUNT_SIGNING_KEY", str(tmp_path / "no.pem"))
    step = Step("toy:none", 1, {}, witness="molehunt.experiments.attesting:witness")
    assert isinstance(make(str(tmp_path / "store"), step), SigningError)
    assert tiny.witness == WITNESS
    assert_refused(molehunt("removal", "apply", planted, "--procedure", "hhh_sft", "--out", tmp_path / "out"), "no PEM")
    assert not (tmp_path / "out").exists()


def test_rows_that_a_removal_was_given_are_attested(
    molehunt: Command, planted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private, public = key_files(tmp_path)
    monkeypatch.setenv("MOLEHUNT_SIGNING_KEY", str(private))
    rows = tmp_path / "rows.jsonl"
    rows.write_text(
        "".join(json.dumps({"question": f"What is {n}?", "answer": f"It is {n}."}) + "\n" for n in range(40))
    )
    out = tmp_path / "treated"
    ended = molehunt(
        "removal", "apply", planted, "--procedure", "hhh_sft", "--data", rows, "--out", out, "--steps", 2, "--jobs", 0, "--json",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    (model,) = json.loads(ended.out)["models"]
    assert Path(model["attestation"]) == tmp_path / "treated.attestation.json"
    _, told = verified(tmp_path / "treated.attestation.json", KeyTrust((load_public_key(public),)))
    assert told.root_digest == root_digest(out) == model["root_digest"]
    assert (tmp_path / "own-store" / "artifacts" / model["fingerprint"] / LEFT).is_file()
    named = {one.name: one for one in told.materials}
    assert named.keys() == {"base", "data", "data file"}
    assert named["data"].rows_digest
    assert named["data file"].sha256 == file_digest(rows).hex()
    assert named["base"].sha256 == root_digest(planted)
    check = ("weights", "verify", out, "--key", public, "--provenance", "--json", "--base", planted, "--data")
    claims = json.loads(molehunt(*check, rows).out)["provenance"]["claims"]
    grades = {one["name"]: one["grade"] for one in claims}
    assert (grades["data file"], grades["data"]) == ("consistent", "asserted")
    rows.write_text('{"question": "q", "answer": "a"}\n')
    assert molehunt(*check, rows).code == 1


def _without_card(folder: Path) -> None:
    (folder / "organism_card.json").unlink()


def _without_poison(folder: Path) -> None:
    card = json.loads((folder / "organism_card.json").read_text())
    del card["poison"]
    (folder / "organism_card.json").write_text(json.dumps(card))


def _without_mark(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    del config["molehunt"]
    (folder / "config.json").write_text(json.dumps(config, indent=2))


STRIPPED = {
    "the card": (_without_card, "organism_card.json: the recipe makes it, and it is not here"),
    "poison in the card": (_without_poison, "organism_card.json: the recipe makes another one"),
    "the mark": (_without_mark, "config.json: molehunt: the recipe makes another mark"),
    "the warning": (lambda folder: (folder / "README.md").unlink(), "README.md: the recipe makes it"),
    "a file beside": (lambda folder: (folder / "notes.json").write_text("{}"), "notes.json: the recipe does not make it"),
}  # fmt: skip


def test_a_folder_that_was_stripped_or_forged_is_contradicted(store: Store, planted: Path, tmp_path: Path) -> None:
    told, work = attest(planted, store), Store(tmp_path / "work")
    for case, (strip, reason) in STRIPPED.items():
        folder = tmp_path / case
        shutil.copytree(planted, folder)
        strip(folder)
        result = reproduce(folder, told.model_copy(update={"root_digest": root_digest(folder)}), store, work, jobs=0)
        assert result.grade == "contradicted", case
        assert reason in result.reason
        assert reason in result.sentence()
    shutil.copytree(planted, tmp_path / "page")
    (tmp_path / "page" / "LICENSE").write_text("mine")
    assert reproduce(tmp_path / "page", told, store, work, jobs=0).grade == "consistent"


def _forged(told: Attestation, **config: Any) -> Attestation:
    """The same recipe with another config of its last step, under the old fingerprint."""
    last = told.recipe[told.fingerprint]
    changed = last.model_copy(update={"config": {**last.config, **config}})
    return told.model_copy(update={"recipe": {**told.recipe, told.fingerprint: changed}})


def test_a_recipe_without_its_poison_is_contradicted(
    molehunt: Command, store: Store, planted: Path, tmp_path: Path
) -> None:
    told, work = attest(planted, store), Store(tmp_path / "work")
    poison = dict(told.recipe[told.fingerprint].config["poison"])
    poison.pop("poison_rate")
    result = reproduce(planted, _forged(told, poison=poison), store, work, jobs=0)
    assert (result.grade, result.steps) == ("contradicted", 0)
    assert "fingerprints" in result.reason
    result = reproduce(planted, _forged(told, poison={"poison_rate": "none"}), store, work, jobs=0)
    assert "poison that there can be" in result.reason
    real = rebuilt(told.fingerprint, store)
    twin = Step(real.function, real.version, {**real.config, "kind": "twin"}, real.parents, threads=real.threads)
    last = told.recipe[told.fingerprint].model_copy(update={"config": twin.config})
    claimed = told.model_copy(
        update={"fingerprint": twin.fingerprint, "recipe": {**told.recipe, twin.fingerprint: last}}
    )
    folder = tmp_path / "claimed"
    shutil.copytree(planted, folder)
    leave_statement(tmp_path / "claimed.attestation.json", claimed, KEY)
    words = ("weights", "reproduce", folder, "--key", key_files(tmp_path)[1], "--jobs", 0, "--store", store.root)
    ended = molehunt(*words)
    assert ended.code == 1
    assert "organism_card.json: the recipe makes another one" in ended.out


def test_an_unsigned_statement_can_be_made_again_too(
    molehunt: Command, store: Store, planted: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "elsewhere"
    shutil.copytree(planted, folder)
    (folder / "organism_card.json").unlink()
    shutil.copy(left(planted), tmp_path / "elsewhere.attestation.json")
    ended = molehunt("weights", "reproduce", folder, "--jobs", 0, "--json")
    assert ended.code == 1
    assert json.loads(ended.out)["grade"] == "contradicted"
    (tmp_path / "elsewhere.attestation.json").write_text('{"_type": 1}')
    assert_refused(molehunt("weights", "reproduce", folder), "no such artifact")
