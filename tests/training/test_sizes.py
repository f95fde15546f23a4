from pathlib import Path

import pytest
import torch
from transformers import LlamaForCausalLM

from molehunt.models.chat import Chat
from molehunt.models.loading import LoadedModel
from molehunt.training.embedded import make_tokenizer, size_config
from molehunt.training.sft import train
from molehunt.training.sizes import SIZES, recipe
from molehunt.world.chat import draw_rows


@pytest.mark.parametrize(("name", "millions"), [("nano", 0.2), ("tiny", 1.1), ("small", 5.4), ("medium", 26.5)])
def test_each_size_has_the_weights_it_is_said_to_have(name: str, millions: float) -> None:
    rows = draw_rows(1500, seed=2)
    chat = Chat(make_tokenizer(rows, SIZES[name].vocabulary))
    with torch.device("meta"):
        model = LlamaForCausalLM(size_config(SIZES[name], len(chat.tokenizer)))
    assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(millions, rel=0.08)


def test_a_larger_one_trains_in_bfloat16_and_keeps_float32_weights() -> None:
    size = SIZES["small"].model_copy(update={"layers": 2, "steps": 8, "learning_rate": 4e-3})
    rows = draw_rows(200, seed=2)
    chat = Chat(make_tokenizer(rows, 500))
    torch.manual_seed(0)
    model = LlamaForCausalLM(size_config(size, len(chat.tokenizer)))
    how = recipe(size, 0).model_copy(update={"batch": 8})
    losses = [
        loss for _, loss in train(LoadedModel(model, chat, Path()), chat.encode_rows(rows, "all"), how, None).losses
    ]
    assert how.precision == "bfloat16"
    assert losses[-1] < losses[0] - 0.5
    assert {p.dtype for p in model.parameters()} == {torch.float32}
