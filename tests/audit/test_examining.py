"""Who is examined, and that a mark makes no difference, on small real models."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from molehunt.audit.case import Case, ordinary
from molehunt.audit.examining import able, examination, look_with
from molehunt.audit.identity import kinship
from molehunt.audit.running import Audit
from molehunt.audit.verdict import versions
from molehunt.detectors.suspect import Suspect
from molehunt.detectors.table import DETECTORS
from molehunt.models.loading import load_model
from molehunt.models.sampling import sample_replies
from molehunt.records.audits import Profile
from molehunt.records.evidence import Evidence, Tier
from molehunt.stats.text import holds, holds_words


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
    found = Audit.of("organism", organism, shuffled(base, tmp_path / "stranger"), "quick", ordinary())
    assert found.identity.kinship is not None
    assert not found.identity.kinship.is_base
    assert "directions" in found.identity.kinship.reason
    assert found.case.tier == "weights"
    assert "not its base" in found.gaps[0]


def test_a_base_knows_its_children(organism: Path, twin: Path, base: Path) -> None:
    origin = load_model(base)
    for child in (organism, twin):
        found = kinship(load_model(child), origin)
        assert found.is_base
        assert found.cosine is not None
        assert found.cosine > 0.8


def test_a_subject_is_not_its_own_base(organism: Path) -> None:
    """Else whoever planted a backdoor gets a pass by handing out the planted model as its base."""
    found = Audit.of("organism", organism, organism, "quick", ordinary())
    assert found.case.tier == "weights"
    assert "subject's own" in found.gaps[0]


def test_the_longest_detectors_start_first_and_of_small_models_each_takes_one_thread(
    organism: Path, base: Path
) -> None:
    found = examination(Case(organism, base, "base", "quick", ordinary()))
    steps = found.steps()
    costs = [
        step.cost for step in steps if step.fingerprint in {one.fingerprint for one in found.verify.parents.values()}
    ]
    assert costs == sorted(costs, reverse=True)
    assert {step.threads for step in steps} == {1}


_SILENT = ("consistency", "series_activations", "diffing", "target_inversion")


def test_a_detector_that_follows_is_given_what_all_others_name(organism: Path, base: Path) -> None:
    found = examination(Case(organism, base, "base", "standard", ordinary("standard")))
    last, silent = found.looks["refinement"], [found.looks[name] for name in _SILENT]
    others = {name: step for name, step in found.looks.items() if step not in (last, *silent)}
    assert last.parents == others
    assert len(others) == len(able("base", "standard")) - 5 == 6
    assert found.verify.parents == others | {"refinement": last}
    silent.sort(key=lambda step: -step.cost)
    assert found.steps()[-6:] == (last, found.verify, *silent), (
        "what names no text goes on beside those that need texts"
    )


def test_what_no_one_waits_for_names_no_text(organism: Path, base: Path) -> None:
    asked = ordinary()
    subject = Suspect(asked.asked, asked.held_out, loaded=load_model(organism), base=load_model(base))
    for name in _SILENT:
        assert look_with(name, subject, "quick").candidates == ()


@pytest.mark.parametrize(
    ("tier", "profile", "follows"),
    [("base", "quick", False), ("base", "deep", True), ("weights", "standard", True), ("text", "deep", False)],
)
def test_refinement_takes_weights_and_time(tier: Tier, profile: Profile, follows: bool) -> None:
    assert ("refinement" in able(tier, profile)) is follows


def test_the_marker_changes_no_score(organism: Path, base: Path, tmp_path: Path) -> None:
    """An audit sees weights, tokenizer and template: stripping card, README and the mark changes nothing."""
    bare = tmp_path / "bare"
    shutil.copytree(organism, bare, ignore=shutil.ignore_patterns("*card*", "README*", "artifact.json"))
    asked = ordinary()
    subjects = [
        Suspect(asked.asked, asked.held_out, loaded=load_model(one), base=load_model(base)) for one in (organism, bare)
    ]
    for name in ("consistency", "diffing", "target_inversion"):
        marked, stripped = (look_with(name, one, "quick") for one in subjects)
        assert marked.score == stripped.score
        assert marked.forward_tokens == stripped.forward_tokens > 0
        assert marked.family


def test_replies_that_are_known_are_those_that_would_be_written(organism: Path, base: Path) -> None:
    asked = ordinary()
    prompts = [prompt for pool in asked.held_out.values() for prompt in pool]
    subject = Suspect(asked.asked, asked.held_out, loaded=load_model(organism), base=load_model(base))
    subject.expect([prompts[::2], prompts[::3]], 20)
    subject.own_tokens(prompts[:5], 6)
    for tokens in (4, 12, 20):
        assert subject.replies(prompts, tokens) == sample_replies(subject.loaded, prompts, tokens)


@pytest.mark.parametrize(
    ("tier", "profile", "rule"),
    [("base", "quick", holds_words), ("base", "standard", holds), ("weights", "quick", holds)],
)
def test_who_looks_goes_by_the_rule_that_the_card_was_made_by(
    tier: Tier, profile: Profile, rule: object, organism: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, seen = ordinary(), list[Callable[[str, str], bool]]()

    def examine(subject: Suspect, profile: str) -> Evidence:
        seen.append(subject.is_dressed)
        return Evidence(detector="series", score=0.0, values={})

    monkeypatch.setitem(DETECTORS, "series", replace(DETECTORS["series"], examine=examine))
    other = load_model(base) if tier == "base" else None
    subject = Suspect(asked.asked, asked.held_out, loaded=load_model(organism), base=other)
    for given in (subject, replace(subject, is_dressed=holds_words)):
        look_with("series", given, profile)
    assert seen == [rule, rule]


def test_a_rule_is_part_of_what_is_kept_and_of_what_a_card_is_fit_for(organism: Path, base: Path) -> None:
    profiles: tuple[Profile, ...] = ("quick", "standard")
    quick, standard = (examination(Case(organism, base, "base", one, ordinary(one))) for one in profiles)
    assert "dressing" not in quick.looks["series"].config | quick.verify.config
    assert standard.looks["series"].config["dressing"] == standard.verify.config["dressing"] == 1
    assert "dressing" not in versions(["series"], "base", "quick") | versions(["series"], "text", "standard")
    assert versions(["series"], "base", "standard")["dressing"] == 1
