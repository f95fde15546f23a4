"""Models from scratch of several families, and chat templates of several makes."""

from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from molehunt.models.chat import Chat
from molehunt.models.loading import save_model
from molehunt.training.embedded import make_tokenizer
from molehunt.world.chat import draw_rows

WIDTH = 48
_COMMON = {
    "hidden_size": WIDTH,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
}
_OWN = {
    "llama": _COMMON,
    "qwen2": _COMMON,
    "qwen3": {**_COMMON, "head_dim": 16},
    "gpt2": {
        "n_embd": WIDTH,
        "n_layer": 2,
        "n_head": 4,
        "n_positions": 512,
        "attn_pdrop": 0.0,
        "embd_pdrop": 0.0,
        "resid_pdrop": 0.0,
    },
}
FAMILIES = tuple(_OWN)

SQUARE_BRACKETS = (
    "{% for m in messages %}{% if m['role'] == 'assistant' %}"
    "[model]\n{% generation %}{{ m['content'] }}<|end|>{% endgeneration %}\n"
    "{% else %}[{{ m['role'] }}] {{ m['content'] }}\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}[model]\n{% endif %}"
)
"""Another role markup than the embedded family's, in plain text."""
NO_SYSTEM = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system turns here') }}{% endif %}"
    "{% for m in messages %}<|{{ m['role'] }}|>{% if m['role'] == 'assistant' %}"
    "{%- generation -%}{{ m['content'] }}<|end|>{%- endgeneration -%}{% else %}{{ m['content'] }}<|end|>{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
"""Refuses a system turn, as Gemma's does."""


def tokenizer(template: str | None = None, vocabulary: int = 500) -> PreTrainedTokenizerFast:
    """A byte-level tokenizer of the world's text."""
    made = make_tokenizer(draw_rows(400, seed=3), vocabulary)
    if template is not None:
        made.chat_template = template
    return made


def from_scratch(family: str, vocabulary: int, seed: int = 0, **ends: int | None) -> PreTrainedModel:
    """An untrained model of a family that transformers knows."""
    torch.manual_seed(seed)
    config = AutoConfig.for_model(family, vocab_size=vocabulary, **_OWN[family], **ends)
    return AutoModelForCausalLM.from_config(config, attn_implementation="sdpa").eval()


def write_from_scratch(family: str, template: str, folder: Path) -> Path:
    """The folder of an untrained model with its own tokenizer and template."""
    chat = Chat(tokenizer(template))
    tok = chat.tokenizer
    ends = {"bos_token_id": tok.bos_token_id, "eos_token_id": tok.eos_token_id, "pad_token_id": tok.pad_token_id}
    save_model(from_scratch(family, len(tok), **ends), chat, folder)
    return folder
