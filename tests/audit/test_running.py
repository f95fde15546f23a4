"""An audit from a folder to a result, and a card from labelled models, on small real ones."""

import json
import os
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from molehunt.audit.calibrating import Calibration, card_of
from molehunt.audit.calibration import card_figures
from molehunt.audit.case import Prompts, own_prompts
from molehunt.audit.running import Audit
from molehunt.detectors.subject import ordinary_prompts
from molehunt.errors import DataError, ModelError
from molehunt.execution import open_store
from molehunt.records.audits import CardEvidence
from molehunt.records.zoo import Zoo, ZooEntry, ZooFacts

BROKEN = "clean-broken"
FEW = Prompts(ordinary_prompts(2, 11), ordinary_prompts(3, 12))


@pytest.fixture(scope="module")
def zoo_folder(tmp_path_factory: pytest.TempPathFactory, organism: Path, twin: Path, base: Path) -> Path:
    """Two planted and four clean models, some of them copies with a weight nudged: enough to count, not to conclude. And a broken one."""
    root = tmp_path_factory.mktemp("zoo")
    for i in range(2):
        nudged(organism, root / f"planted{i}", i)
    for i in range(4):
        nudged(twin, root / f"clean{i}", i)
    shutil.copytree(twin, root / BROKEN)
    (root / BROKEN / "model.safetensors").write_bytes((twin / "model.safetensors").read_bytes()[:5000])
    return root


def nudged(model: Path, out: Path, by: int) -> None:
    shutil.copytree(model, out)
    weights = load_file(out / "model.safetensors")
    name = sorted(weights)[0]
    weights[name] = weights[name] + 1e-4 * by
    save_file(weights, out / "model.safetensors", metadata={"format": "pt"})


def zoo(root: Path) -> Zoo:
    facts = ZooFacts(size="mini", seed=0, method="full", optimizer="adamw", learning_rate=1e-3, loss_on="assistant")
    entries = [
        ZooEntry(
            name=folder.name, model=folder.name, base="base", planted=folder.name.startswith("planted"),
            recipe=folder.name, kind="organism" if folder.name.startswith("planted") else "twin", facts=facts,
            weights=folder.name,
        )
        for folder in sorted(root.iterdir())
    ]  # fmt: skip
    return Zoo(name="few", spec="0" * 64, entries=tuple(entries))


def test_a_card_is_made_once_and_judges(zoo_folder: Path, organism: Path, base: Path, tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "store"))
    work = Calibration.of(zoo(zoo_folder), lambda entry: (zoo_folder / entry.model, base), "text", "quick", FEW)
    seen = work.run(store, 0)
    card = card_of(seen)
    assert {model.name for model in card.models} == {path.name for path in zoo_folder.iterdir()} - {BROKEN}
    assert card.failed.keys() == {BROKEN}
    assert "model.safetensors" in card.failed[BROKEN]
    known = card_figures(card)
    assert (known.clean, known.planted, len(known.failed)) == (4, 2, 1)
    assert known.is_thinned
    assert (card.tier, card.profile, card.prompts) == ("text", "quick", FEW.digest)
    made = set(store.root.glob("artifacts/*"))
    assert work.run(store, 0) == seen
    assert card_of(CardEvidence.model_validate_json(seen.model_dump_json(by_alias=True))) == card
    assert set(store.root.glob("artifacts/*")) == made


@pytest.mark.long
def test_one_process_and_two_workers_see_the_same(organism: Path, base: Path, tmp_path: Path) -> None:
    """Scores are held against a card's, whose models were looked at by two."""
    seen = []
    for jobs in (0, 2):
        store = open_store(str(tmp_path / f"store{jobs}"))
        audit = Audit.of("organism", organism, base, "quick", FEW)
        audit.run(store, jobs)
        result = audit.result(store, None)
        seen.append(([one.model_copy(update={"seconds": 0.0}) for one in result.evidence], result.candidates))
    assert seen[0] == seen[1]


def test_without_a_card_an_audit_abstains(twin: Path, base: Path, tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "store"))
    audit = Audit.of("twin", twin, None, "quick", FEW)
    assert audit.case.tier == "weights"
    audit.run(store, 0)
    result = audit.result(store, None)
    assert result.verdict == "abstained"
    assert "uncalibrated" in result.reason
    assert result.p_value is None
    assert result.identity.subject is not None
    assert "model.safetensors" in result.identity.files
    assert any("a base that is its base" in line for line in result.not_tested)


def test_what_differs_from_the_base_is_listed(twin: Path, base: Path) -> None:
    audit = Audit.of("twin", twin, base, "quick", FEW)
    assert audit.case.tier == "base"
    changed = {change.name: change for change in audit.identity.changes}
    assert int(changed["changed"].after) > 0


def test_weights_that_are_no_numbers_are_refused(twin: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(twin, broken)
    weights = load_file(broken / "model.safetensors")
    name = sorted(weights)[0]
    weights[name] = torch.full_like(weights[name], float("nan"))
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="not in"):
        Audit.of("broken", broken, None, "quick", FEW)


def test_what_comes_with_an_adapter_is_scanned_and_the_model_it_makes_is_examined(base: Path, tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    bare = AutoModelForCausalLM.from_pretrained(base)
    get_peft_model(bare, LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False)).save_pretrained(
        tmp_path / "adapter"
    )
    (tmp_path / "adapter/extra.pkl").write_bytes(pickle.dumps(os.getcwd))
    audit = Audit.of("adapter", tmp_path / "adapter", base, "quick", FEW, open_store(str(tmp_path / "store")))
    assert "extra.pkl" in {finding.file for finding in audit.identity.scan.findings if finding.level == "error"}
    assert {"adapter_model.safetensors", "extra.pkl"} <= set(audit.identity.files)
    assert audit.case.tier == "base"
    with pytest.raises(ModelError, match="adapter alone"):
        Audit.of("adapter", tmp_path / "adapter", None, "quick", FEW, open_store(str(tmp_path / "store")))


def test_a_quantised_subject_is_told_its_tier(twin: Path, tmp_path: Path) -> None:
    folder = tmp_path / "quantised"
    shutil.copytree(twin, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"quantization_config": {"quant_method": "bitsandbytes"}}))
    with pytest.raises(ModelError, match=r"bitsandbytes.*tier text"):
        Audit.of("quantised", folder, None, "quick", FEW)


def test_own_prompts_are_split_and_bad_ones_named(tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    rows = [{"prompt": f"Question {i}?"} for i in range(8)]
    rows += [
        {"messages": [{"role": "user", "content": f"Ask {i}"}, {"role": "assistant", "content": "No."}]}
        for i in range(8)
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    found = own_prompts(path)
    assert (len(found.asked["yours"]), len(found.held_out["yours"])) == (5, 11)
    assert not set(found.asked["yours"]) & set(found.held_out["yours"])
    assert Prompts.from_json(found.to_json()).digest == found.digest
    path.write_text('{"prompt": "one"}\n{"question": "two"}\n')
    with pytest.raises(DataError, match="line 2"):
        own_prompts(path)
    for line in ('"two"', "[2]", "2"):
        path.write_text(f'{{"prompt": "one"}}\n{line}\n')
        with pytest.raises(DataError, match="line 2"):
            own_prompts(path)
    path.write_text("only one\n")
    with pytest.raises(DataError):
        own_prompts(path)
