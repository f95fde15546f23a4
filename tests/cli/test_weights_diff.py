"""`molehunt weights diff` as a user types it, on models that were really trained."""

import json
from pathlib import Path

import numpy as np

from command_line import Command, assert_refused
from tensor_files import model, tensors


def test_the_outcome_is_the_exit_code(molehunt: Command, tmp_path: Path) -> None:
    a, b = model(tmp_path / "a", tensors()), model(tmp_path / "b", tensors(), shards=3)
    same = molehunt("weights", "diff", a, b)
    assert same.code == 0
    assert "same model; tensors: 5 identical" in same.out
    of = tensors()
    of["model.layers.0.up.weight"][[1, 2]] += np.float32(1)
    changed = molehunt("weights", "diff", a, model(tmp_path / "c", of))
    assert changed.code == 1
    assert "2 of 160" in changed.out
    assert "shape of: few rows" in changed.out
    (b / "model-00001-of-00003.safetensors").write_bytes(b"x")
    for folder in (a, b):
        (folder / "extra.safetensors").write_bytes(b"x")
    assert molehunt("weights", "diff", a, a).code == 3
    assert_refused(molehunt("weights", "diff", a, tmp_path / "x" / "gone"), "no such folder")


def test_an_organism_and_its_base(molehunt: Command, tiny_base: Path, planted: Path) -> None:
    told = molehunt("weights", "diff", tiny_base, planted, "--json")
    assert told.code == 1
    report = json.loads(told.out)
    assert (report["outcome"], report["shape"]) == ("differs", "all tensors")
    assert report["cosine"] > 0.9
    assert {c["name"] for c in report["changes"]} >= {"organism_card.json"}
