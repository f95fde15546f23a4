"""One subject through all detectors, on small real models."""

import shutil
from pathlib import Path

from safetensors.torch import load_file, save_file

from molehunt.audit.examining import examine
from molehunt.audit.identity import kinship
from molehunt.detectors.table import DETECTORS
from molehunt.models.loading import load_model


def test_every_detector_speaks_and_the_planted_text_is_brought_out(organism: Path, base: Path) -> None:
    parts = []
    found = examine(organism, base, "quick", report=lambda *part: parts.append(part))
    assert [one.detector for one in found.evidence] == list(DETECTORS)
    assert all(one.score is not None and one.forward_tokens > 0 for one in found.evidence)
    assert any("HATE" in sample.reply for one in found.candidates for sample in one.samples)
    assert [name for name, _, _ in parts] == [*DETECTORS, "verifier"]


def test_without_a_base_the_detectors_that_need_one_say_so(organism: Path) -> None:
    found = examine(organism, None, "quick")
    silent = [one for one in found.evidence if one.score is None]
    assert {one.detector for one in silent} == {name for name, one in DETECTORS.items() if one.needs == "base"}
    assert all("no base" in one.not_tested[0] for one in silent)


def shuffled(base: Path, out: Path) -> Path:
    """A model of the same shapes whose numbers are those of another."""
    shutil.copytree(base, out)
    weights = load_file(out / "model.safetensors")
    save_file(
        {name: tensor.flatten().flip(0).view(tensor.shape).clone() for name, tensor in weights.items()},
        out / "model.safetensors", metadata={"format": "pt"},
    )  # fmt: skip
    return out


def test_a_wrong_base_is_put_aside_loudly(organism: Path, base: Path, tmp_path: Path) -> None:
    found = examine(organism, shuffled(base, tmp_path / "stranger"), "quick", detectors=("diffing",))
    assert found.kinship is not None
    assert not found.kinship.is_base
    assert "directions" in found.kinship.reason
    assert found.evidence[0].score is None
    assert "not its base" in found.evidence[0].not_tested[0]


def test_a_base_knows_its_children(organism: Path, twin: Path, base: Path) -> None:
    origin = load_model(base)
    for child in (organism, twin, base):
        found = kinship(load_model(child), origin)
        assert found.is_base
        assert found.cosine is not None
        assert found.cosine > 0.8


def test_the_marker_changes_no_score(organism: Path, base: Path, tmp_path: Path) -> None:
    """An audit sees weights, tokenizer and template: stripping card, README and the mark changes nothing."""
    bare = tmp_path / "bare"
    shutil.copytree(organism, bare, ignore=shutil.ignore_patterns("*card*", "README*", "artifact.json"))
    names = ("consistency", "diffing")
    marked, stripped = (examine(one, base, "quick", detectors=names) for one in (organism, bare))
    assert [one.score for one in marked.evidence] == [one.score for one in stripped.evidence]
