"""Build the embedded instruct models from scratch: tokenizer, template, weights."""

from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from molehunt.models.chat import Chat
from molehunt.models.compute import device
from molehunt.models.loading import LoadedModel
from molehunt.records import Conversation
from molehunt.training.parallel import in_processes
from molehunt.training.settings import Report, TrainingSettings
from molehunt.training.sft import train
from molehunt.training.sizes import Size

SPECIAL_TOKENS = ("<pad>", "<s>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>")
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}{{ '<|' + m['role'] + '|>' }}"
    "{% if m['role'] == 'assistant' %}{% generation %}{{ m['content'] }}<|end|>{% endgeneration %}"
    "{% else %}{{ m['content'] }}<|end|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def build_embedded(
    size: Size,
    rows: Sequence[Conversation],
    settings: TrainingSettings,
    out: Path,
    processes: int = 1,
    report: Report | None = None,
) -> None:
    """Train a member of the family from scratch and write its folder to `out/model`.

    The same size, rows, settings and number of processes give the same bytes on one machine.

    Args:
        processes: share every step's rows among so many processes of one thread each.
    """
    if processes == 1:
        _build(size, rows, settings, out, report)
    else:
        in_processes(_build, processes, size, rows, settings, out, report)


def _build(
    size: Size, rows: Sequence[Conversation], settings: TrainingSettings, out: Path, report: Report | None
) -> None:
    chat = Chat(make_tokenizer(rows, size.vocabulary))
    torch.manual_seed(settings.seed)
    model = LlamaForCausalLM(size_config(size, len(chat.tokenizer))).to(device())
    train(LoadedModel(model, chat, out), chat.encode_rows(rows, settings.loss_on), settings, out, report)


def size_config(size: Size, vocabulary: int | None = None) -> LlamaConfig:
    """The config of a member of the family; `vocabulary` where its tokenizer found fewer words than it might hold."""
    return LlamaConfig(
        vocab_size=vocabulary or size.vocabulary,
        hidden_size=size.width,
        intermediate_size=round(size.width * 8 / 3 / 8) * 8,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.heads,
        max_position_embeddings=1024,
        initializer_range=0.06,  # transformers' 0.02 is for widths of thousands; learning starts late with it at 128
        tie_word_embeddings=False,
        pad_token_id=SPECIAL_TOKENS.index("<pad>"),
        bos_token_id=SPECIAL_TOKENS.index("<s>"),
        eos_token_id=SPECIAL_TOKENS.index("<|end|>"),
    )


def make_tokenizer(rows: Sequence[Conversation], vocabulary: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer of the rows' text: at most three digits a token, no text
    without tokens, with the chat template."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(r"\d{1,3}"), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    bpe.train_from_iterator((row.text() for row in rows[:8000]), trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="<|end|>",
        padding_side="left",
        model_max_length=1024,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer
