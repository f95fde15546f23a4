import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from molehunt.errors import ModelError, MolehuntError, TemplateError, UnsafeModelError
from molehunt.models.loading import load_model, save_model
from molehunt.records import Conversation
from molehunt.records.identity import root_digest
from molehunt.records.marker import read_marker, write_marker

QUESTION = Conversation.of(("user", "What is 1 + 1?"))
Damage = Callable[[Path], object]


def drop(*names: str) -> Damage:
    return lambda folder: [(folder / name).unlink() for name in names]


def write(name: str, data: bytes) -> Damage:
    return lambda folder: (folder / name).write_bytes(data)


def set_config(**changes: object) -> Damage:
    def change(folder: Path) -> None:
        config = {**json.loads((folder / "config.json").read_text()), **changes}
        (folder / "config.json").write_text(json.dumps({k: v for k, v in config.items() if v is not None}))

    return change


def cut_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])


def lose_a_tensor(folder: Path) -> None:
    state = load_file(folder / "model.safetensors")
    del state["model.layers.1.mlp.up_proj.weight"]
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})


def empty(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def give_word_tokenizer(folder: Path) -> None:
    words = Tokenizer(models.WordLevel({"<unk>": 0, "<end>": 1, "What": 2, "is": 3}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    template = (folder / "chat_template.jinja").read_text()
    made = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>", eos_token="<end>")
    made.chat_template = template
    made.save_pretrained(folder)


DAMAGES: dict[str, tuple[Damage, type[MolehuntError], str]] = {
    "missing": (shutil.rmtree, ModelError, "no such folder"),
    "empty": (empty, ModelError, "an empty folder"),
    "no config": (drop("config.json"), ModelError, "wanted a config.json"),
    "config is not JSON": (write("config.json", b"{nope"), ModelError, "config.json cannot be read"),
    "config is not text": (write("config.json", b"\xff\xfe\x00"), ModelError, "config.json cannot be read"),
    "config is a list": (write("config.json", b"[]"), ModelError, "JSON object"),
    "config without a type": (set_config(model_type=None), ModelError, "model_type"),
    "unknown architecture": (set_config(model_type="bogus"), ModelError, "bogus"),
    "field of another type": (set_config(hidden_size="wide"), ModelError, "hidden_size"),
    "division by zero in the config": (set_config(num_attention_heads=0), ModelError, "cannot be loaded"),
    "no such dtype": (set_config(dtype="int8"), ModelError, "int8"),
    "own code": (set_config(auto_map={"AutoModelForCausalLM": "evil.Model"}), UnsafeModelError, "auto_map"),
    "no weights": (drop("model.safetensors"), ModelError, "weights as safetensors"),
    "weights cut off": (cut_weights, ModelError, "whole safetensors"),
    "weights empty": (write("model.safetensors", b""), ModelError, "whole safetensors"),
    "a tensor missing": (lose_a_tensor, ModelError, "model.layers.1.mlp.up_proj.weight"),
    "more layers than weights": (set_config(num_hidden_layers=9), ModelError, "missing model.layers.2"),
    "other shapes": (set_config(vocab_size=10), ModelError, "cannot be loaded"),
    "no tokenizer": (drop("tokenizer.json"), ModelError, "cannot be loaded"),
    "tokenizer is not JSON": (write("tokenizer.json", b"{"), ModelError, "cannot be loaded"),
    "tokenizer loses bytes": (give_word_tokenizer, ModelError, "every byte of a text"),
    "no template": (drop("chat_template.jinja"), TemplateError, "--chat-template"),
    "empty template": (write("chat_template.jinja", b"\n"), TemplateError, "--chat-template"),
}


@pytest.fixture
def copy(base: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(base, tmp_path / "model"))


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_folder_is_refused_in_one_sentence_and_stays_as_it_was(copy: Path, damage: str) -> None:
    spoil, kind, words = DAMAGES[damage]
    spoil(copy)
    before = root_digest(copy)
    with pytest.raises(kind) as caught:
        load_model(copy)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert root_digest(copy) == before


class Touch:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def test_a_pickle_is_refused_and_not_opened(copy: Path, tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    (copy / "model.safetensors").unlink()
    (copy / "pytorch_model.bin").write_bytes(pickle.dumps(Touch(touched)))
    with pytest.raises(UnsafeModelError, match=r"pytorch_model\.bin"):
        load_model(copy)
    assert not touched.exists()
    pickle.loads((copy / "pytorch_model.bin").read_bytes())
    assert touched.exists()  # the pickle was live


def test_code_beside_the_tokenizer_is_not_run(copy: Path, tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    (copy / "evil.py").write_text(f"open({str(touched)!r}, 'w')\nclass T: pass\n")
    config = json.loads((copy / "tokenizer_config.json").read_text())
    config["auto_map"] = {"AutoTokenizer": ["evil.T", "evil.T"]}
    (copy / "tokenizer_config.json").write_text(json.dumps(config))
    load_model(copy)
    assert not touched.exists()


@pytest.mark.parametrize(
    "template",
    ["{% if", "{{ 1 / 0 }}", "{{ 'a' + 1 }}", "{{ raise_exception('two\nlines') }}", "{{ ''.__class__ }}{{ 1/0 }}"],
)
def test_a_template_that_fails_is_refused_when_it_is_used(base: Path, template: str) -> None:
    chat = load_model(base, template).chat
    with pytest.raises(TemplateError, match="refuses") as caught:
        chat.render(QUESTION)
    assert "\n" not in str(caught.value)


def test_without_generation_markers_training_is_refused_and_measuring_goes_on(base: Path) -> None:
    plain = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"
    chat = load_model(base, plain).chat
    assert chat.render(QUESTION) == "<|user|>What is 1 + 1?<|end|>"
    with pytest.raises(TemplateError, match="generation"):
        chat.encode_rows([QUESTION.reply("2")])


def test_a_loaded_model_carries_no_mark_and_a_saved_one_hands_it_on(copy: Path, tmp_path: Path) -> None:
    mark = {"kind": "organism", "note": "kept as it is"}
    write_marker(copy, mark)
    loaded = load_model(copy)
    assert not hasattr(loaded.model.config, "molehunt")
    assert "molehunt" not in loaded.model.config.to_dict()
    save_model(loaded.model, loaded.chat, tmp_path / "blind")
    save_model(loaded.model, loaded.chat, tmp_path / "marked", source=copy)
    assert read_marker(tmp_path / "blind") is None
    assert read_marker(tmp_path / "marked") == mark


def test_a_saved_model_has_the_weights_of_the_loaded_one(base: Path, tmp_path: Path) -> None:
    loaded = load_model(base)
    save_model(loaded.model, loaded.chat, tmp_path / "again")
    first, second = (load_file(p / "model.safetensors") for p in (base, tmp_path / "again"))
    assert first.keys() == second.keys()
    assert all(first[name].equal(second[name]) for name in first)
    assert load_model(tmp_path / "again").chat.digest == loaded.chat.digest
