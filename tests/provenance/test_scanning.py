"""Scans of whole folders: what is malicious is found or refused and never run, what is ordinary passes."""

import json
import os
from pathlib import Path

import pytest

from backdoored_templates import BACKDOORED
from malicious_files import MALICIOUS
from model_folders import dress, gguf, plain
from molehunt.errors import ModelError
from molehunt.provenance.limits import Limits
from molehunt.provenance.scanning import scan_folder
from molehunt.records.identity import root_digest
from molehunt.records.scans import RULES, ScanReport
from molehunt.reports.sarif import scan_sarif
from ordinary_templates import CHATML, CHATML_DEFAULT, ORDINARY
from sarif_rules import assert_sarif

SLOW = Limits(seconds=120, archive_bytes=16 << 20)


def told(report: ScanReport, below: str) -> set[str]:
    """The rules under which something in a folder was found, notes left out."""
    listed = (*report.counted, *report.not_analysed)
    return {finding.rule for finding in listed if finding.file == below or finding.file.startswith(f"{below}/")}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> tuple[ScanReport, Path]:
    top = tmp_path_factory.mktemp("corpus")
    folder, mark = top / "all", top / "executed"
    for number, make in enumerate(MALICIOUS.values()):
        (folder / f"{number:02}").mkdir(parents=True)
        make(folder / f"{number:02}", mark)
    return scan_folder(folder, limits=SLOW), mark


@pytest.mark.parametrize("name", MALICIOUS)
def test_what_is_malicious_is_found_or_refused(name: str, corpus: tuple[ScanReport, Path]) -> None:
    assert told(corpus[0], f"{list(MALICIOUS).index(name):02}")


def test_nothing_of_it_was_executed(corpus: tuple[ScanReport, Path]) -> None:
    assert len(MALICIOUS) >= 40
    assert not corpus[1].exists()


def test_the_pickles_would_have_been_executed(tmp_path: Path) -> None:
    import pickle

    MALICIOUS["os.system"](tmp_path, tmp_path / "mark")
    pickle.loads((tmp_path / "x.pkl").read_bytes())
    assert (tmp_path / "mark").exists()


@pytest.mark.parametrize(
    ("name", "rule"),
    [("os.system", "pickle-import"), ("library nobody knows", "pickle-import"), ("pickle named txt", "disguised"),
     ("zip in zip", "pickle-import"), ("pickle in tar in gzip", "pickle-import"), ("link out", "path"), ("pipe", "path"),
     ("zip that leads out", "path"), ("index out", "path"), ("trailing bytes", "tensors"), ("not finite", "not-finite"),
     ("remote code from elsewhere", "external-code"), ("remote code", "external-code"), ("conflict", "template-conflict"),
     ("hidden in gguf", "template-hidden-text"), ("torch zip, cut", "scanner-failed"), ("nested deep", "not-analysed")],
)  # fmt: skip
def test_it_is_found_for_what_it_is(name: str, rule: str, corpus: tuple[ScanReport, Path]) -> None:
    pytest.importorskip("picklescan") if rule == "pickle-import" else None
    assert rule in told(corpus[0], f"{list(MALICIOUS).index(name):02}")


@pytest.mark.parametrize("name", ORDINARY)
def test_an_ordinary_folder_passes(name: str, tmp_path: Path) -> None:
    number = list(ORDINARY).index(name)
    folder = plain(tmp_path / "model", ORDINARY[name], "chat_template.jinja" if number % 3 else "tokenizer_config.json")
    dress(folder, number)
    report = scan_folder(folder, limits=SLOW)
    assert report.counted == ()
    assert report.not_analysed == ()
    assert report.outcome == "nothing found"
    assert report.root_digest == root_digest(folder)
    assert len(ORDINARY) >= 20


def test_a_snapshot_of_the_hub_cache_is_followed_into_its_blobs(tmp_path: Path) -> None:
    real, snapshot, blobs = (
        plain(tmp_path / "real", CHATML),
        tmp_path / "m" / "snapshots" / "a1",
        tmp_path / "m" / "blobs",
    )
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for number, path in enumerate(sorted(real.iterdir())):
        path.rename(blobs / str(number))
        (snapshot / path.name).symlink_to(os.path.relpath(blobs / str(number), snapshot))
    assert scan_folder(snapshot, limits=SLOW).outcome == "nothing found"
    (snapshot / "more.json").symlink_to(tmp_path)
    assert {f.rule for f in scan_folder(snapshot, limits=SLOW).counted} == {"path"}


def test_one_template_in_several_places_is_no_conflict_and_notes_say_what_differs(tmp_path: Path) -> None:
    folder = plain(tmp_path / "model", CHATML_DEFAULT + "\n")
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": "{#- same -#}" + CHATML_DEFAULT}))
    report = scan_folder(folder, limits=SLOW)
    assert report.counted == ()
    assert "template-differs" in {f.rule for f in report.findings}
    gguf(folder / "model.gguf", CHATML)
    assert {f.rule for f in scan_folder(folder, limits=SLOW).counted} == {"format", "template-conflict"}


def test_what_the_base_does_too_is_ordinary(tmp_path: Path) -> None:
    switch = BACKDOORED["one word"]
    base, same = plain(tmp_path / "base", switch), plain(tmp_path / "same", switch)
    other = plain(tmp_path / "other", BACKDOORED["phrase"])
    assert scan_folder(same, limits=SLOW).outcome == "found"
    assert scan_folder(same, base, SLOW).outcome == "nothing found"
    assert "template-hidden-text" in {f.rule for f in scan_folder(other, base, SLOW).counted}


def test_what_does_not_end_is_cut_off_and_never_a_pass(tmp_path: Path) -> None:
    folder = plain(tmp_path / "model", BACKDOORED["endless"])
    report = scan_folder(folder, limits=Limits(seconds=0.5))
    assert report.outcome == "not fully examined"
    assert "took longer than 0.5 s" in report.sentence()


@pytest.mark.parametrize(
    "limits", [Limits(template_chars=10), Limits(text_bytes=10), Limits(weights_bytes=10), Limits(files=2)]
)
def test_what_is_longer_than_a_limit_is_not_analysed(limits: Limits, tmp_path: Path) -> None:
    assert scan_folder(plain(tmp_path / "model", CHATML), limits=limits).outcome == "not fully examined"


def test_large_files_that_nothing_loads_are_not_read(tmp_path: Path) -> None:
    folder = plain(tmp_path / "model", CHATML)
    with (folder / "disk.img").open("wb") as stream:
        stream.truncate(64 << 30)
    report = scan_folder(folder, limits=SLOW)
    assert {f.rule for f in report.counted} == {"format"}
    assert report.root_digest is None
    assert {f.name for f in report.files if f.sha256 is None} == {"disk.img"}


def test_every_byte_of_weights_is_looked_at_in_every_type(tmp_path: Path) -> None:
    import struct

    import numpy as np

    kinds = {"F64": (np.float64, 8), "F32": (np.float32, 4), "F16": (np.float16, 2)}
    for dtype, (kind, width) in kinds.items():
        body = np.array([1, -np.inf, np.nan, np.finfo(kind).max, -0.0], kind).tobytes()
        header = {"w": {"dtype": dtype, "shape": [5], "data_offsets": [0, 5 * width]}}
        text = json.dumps(header).encode()
        folder = plain(tmp_path / dtype)
        (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + body)
        (finding,) = scan_folder(folder).counted
        assert (finding.rule, finding.message) == ("not-finite", "1 NaN, 1 infinite")


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "gone", tmp_path):
        with pytest.raises(ModelError, match="model folder"):
            scan_folder(path)


def test_sarif_names_every_finding_with_its_rule_and_place(corpus: tuple[ScanReport, Path]) -> None:
    report = corpus[0]
    log = json.loads(json.dumps(scan_sarif(report)))
    assert_sarif(log)
    (run,) = log["runs"]
    assert log["version"] == "2.1.0"
    assert len(run["results"]) == len(report.findings) + len(report.not_analysed)
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    for result in run["results"]:
        assert rules[result["ruleIndex"]] == result["ruleId"]
        assert result["level"] == RULES[result["ruleId"]].level
        assert result["message"]["text"]
        assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert len(run["invocations"][0]["toolExecutionNotifications"]) == len(report.not_analysed)
