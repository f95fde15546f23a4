import weakref
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model

from molehunt.errors import UsageError
from molehunt.models import sampling, vllm
from molehunt.models.chat import Chat
from molehunt.models.decode import Fused, FusedDecoder, ModuleDecoder, freeze, fused, go_on
from molehunt.models.loading import LoadedModel, load_model
from molehunt.models.sampling import draft_tokens, sample_replies, sample_tokens
from molehunt.records import Conversation
from molehunt.world.chat import draw_questions
from small_models import FAMILIES, from_scratch, tokenizer


@pytest.fixture(scope="module")
def loaded(base: Path) -> LoadedModel:
    return load_model(base)


@pytest.fixture(scope="module")
def prompts() -> list[Conversation]:
    """Of very different lengths."""
    asked = [question.prompt for question in draw_questions(9, seed=5)]
    return [*asked, Conversation.of(("user", "Hi")), Conversation.of(("user", "One two three four. " * 20))]


@torch.inference_mode()
def generated(loaded: LoadedModel, prompts: list[Conversation], limit: int) -> list[str]:
    texts = [loaded.chat.render(prompt) for prompt in prompts]
    batch = loaded.tokenizer(texts, add_special_tokens=False, padding=True, padding_side="left", return_tensors="pt")
    out = loaded.model.generate(
        input_ids=batch["input_ids"],
        attention_mask=batch["attention_mask"],
        max_new_tokens=limit,
        do_sample=False,
    )
    written = out[:, batch["input_ids"].shape[1] :]
    return loaded.tokenizer.batch_decode(written, skip_special_tokens=True)


@pytest.mark.parametrize("limit", [1, 7, 40])
def test_greedy_replies_are_those_of_generate(loaded: LoadedModel, prompts: list[Conversation], limit: int) -> None:
    replies = sample_replies(loaded, prompts, max_new_tokens=limit)
    assert replies == generated(loaded, prompts, limit)
    assert len({len(reply) for reply in replies}) > 1 or limit == 1


def test_a_reply_does_not_depend_on_the_rest_of_the_batch(loaded: LoadedModel, prompts: list[Conversation]) -> None:
    together = sample_replies(loaded, prompts)
    assert together == [sample_replies(loaded, [prompt])[0] for prompt in prompts]
    assert together == sample_replies(loaded, prompts[::-1])[::-1]
    assert together == sample_replies(loaded, prompts, batch=3)


def test_a_prompt_asked_many_times_is_read_once_and_answered_as_if_it_stood_apart(
    loaded: LoadedModel, prompts: list[Conversation], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []

    class Watched(ModuleDecoder):
        def __init__(self, model: object, tokens: torch.Tensor, mask: torch.Tensor) -> None:
            read.append(len(tokens))
            super().__init__(model, tokens, mask)

    asked = [prompt for prompt in prompts[:4] for _ in range(5)]
    apart = sample_replies(loaded, asked, temperature=1.0, seed=3, batch=1)
    monkeypatch.setattr(sampling, "ModuleDecoder", Watched)
    assert sample_replies(loaded, asked, temperature=1.0, seed=3) == apart
    assert read == [4]
    assert len(set(apart[:5])) > 1


def test_sampling_repeats_with_its_seed_and_varies_without(loaded: LoadedModel, prompts: list[Conversation]) -> None:
    first = sample_replies(loaded, prompts, temperature=1.0, seed=4)
    assert first == sample_replies(loaded, prompts, temperature=1.0, seed=4)
    assert first != sample_replies(loaded, prompts, temperature=1.0, seed=5)


def test_a_vanishing_temperature_is_greedy(loaded: LoadedModel, prompts: list[Conversation]) -> None:
    assert sample_replies(loaded, prompts, temperature=1e-4, seed=1) == sample_replies(loaded, prompts)


def test_draws_follow_the_models_probabilities(loaded: LoadedModel) -> None:
    """One token drawn 2000 times: each of the likeliest tokens comes as often as the softmax says, within 5 sigma."""
    prompt = Conversation.of(("user", "What is 1 + 1?"))
    ids = torch.tensor(loaded.chat.encode_prompts([prompt]))
    with torch.inference_mode():
        shares = loaded.model(input_ids=ids).logits[0, -1].double().softmax(-1)
    drawn = sample_replies(loaded, [prompt] * 2000, max_new_tokens=1, temperature=1.0, seed=0, batch=2000)
    for share, token in zip(*(part.tolist() for part in shares.topk(3)), strict=True):
        found = drawn.count(loaded.chat.decode([token])) / 2000
        assert abs(found - share) < 5 * (share * (1 - share) / 2000) ** 0.5 + 1e-3


def test_no_prompts_give_no_replies(loaded: LoadedModel) -> None:
    assert sample_replies(loaded, []) == []


def untrained(family: str) -> LoadedModel:
    """Seldom ends its replies, and differs from row to row."""
    chat = Chat(tokenizer())
    ends = {"eos_token_id": chat.tokenizer.eos_token_id, "pad_token_id": chat.tokenizer.pad_token_id}
    loaded = LoadedModel(from_scratch(family, len(chat.tokenizer), seed=1, **ends), chat, Path())
    with torch.no_grad():
        for name, weight in loaded.model.named_parameters():
            if name.endswith("bias") or "norm" in name:
                weight.add_(0.3 * torch.randn(weight.shape))  # as made they are all 0 or 1, and prove nothing
    return loaded


def ragged(rows: int, seed: int = 0) -> list[list[int]]:
    """Prompts of 1 to 24 tokens."""
    torch.manual_seed(seed)
    return [torch.randint(7, 400, (int(torch.randint(1, 25, ())),)).tolist() for _ in range(rows)]


@torch.inference_mode()
def generated_tokens(loaded: LoadedModel, prompts: list[list[int]], limit: int) -> list[list[int]]:
    """What `model.generate` writes, up to each row's end token."""
    width, end = max(map(len, prompts)), loaded.tokenizer.eos_token_id
    out = loaded.model.generate(
        input_ids=torch.tensor([[0] * (width - len(row)) + row for row in prompts]),
        attention_mask=torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in prompts]),
        max_new_tokens=limit,
        do_sample=False,
        pad_token_id=0,
        eos_token_id=end,
    )
    rows = out[:, width:].tolist()
    return [row[: row.index(end) + 1] if end in row else row for row in rows]


@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_tokens_of_every_family_are_those_of_generate(family: str) -> None:
    loaded, prompts = untrained(family), ragged(24)
    assert sample_tokens(loaded, prompts, 20) == generated_tokens(loaded, prompts, 20)
    assert (fused(loaded.model) is None) == (family == "gpt2")


@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3"])
def test_the_fused_decoder_passes_its_check_and_gives_the_models_logits(family: str) -> None:
    loaded = untrained(family)
    tokens, mask = sampling._left_pad(ragged(6), 0, torch.device("cpu"))
    weights = fused(loaded.model)
    with torch.inference_mode():
        slow, read = ModuleDecoder(loaded.model, tokens, mask), ModuleDecoder(loaded.model, tokens, mask)
        fast, first = go_on(read, weights, tokens[:, -1], 8)
        assert isinstance(fast, FusedDecoder)
        torch.testing.assert_close(first, slow.add(tokens[:, -1]), atol=1e-5, rtol=1e-4)
        for decoder in (slow, fast):
            decoder.keep(torch.tensor([1, 4, 5]))
        for token in (9, 40, 41):
            following = torch.full((3,), token)
            torch.testing.assert_close(fast.add(following), slow.add(following), atol=1e-5, rtol=1e-4)


def test_a_fused_decoder_that_is_wrong_is_not_used() -> None:
    loaded, prompts = untrained("llama"), ragged(5)
    tokens, mask = sampling._left_pad(prompts, 0, torch.device("cpu"))
    with torch.inference_mode():
        weights = fused(loaded.model)
        weights.scale *= 1.5
        read = ModuleDecoder(loaded.model, tokens, mask)
        decoder, logits = go_on(read, weights, tokens[:, -1], 4)
        assert decoder is read
        assert torch.equal(logits, ModuleDecoder(loaded.model, tokens, mask).add(tokens[:, -1]))


def test_llama_3_and_yarn_rope_and_tied_embeddings_are_fused_too() -> None:
    llama3 = {"rope_type": "llama3", "rope_theta": 1e4, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
    yarn = {"rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0}
    for rope in ({**llama3, "original_max_position_embeddings": 64}, {**yarn, "original_max_position_embeddings": 64}):
        loaded = untrained("llama")
        config = loaded.model.config
        config.rope_parameters, config.tie_word_embeddings, config.attention_bias = rope, True, True
        torch.manual_seed(2)
        model = type(loaded.model)(config).eval()
        loaded = LoadedModel(model, loaded.chat, Path())
        weights = fused(model)
        assert weights is not None
        assert sample_tokens(loaded, ragged(9), 12) == generated_tokens(loaded, ragged(9), 12)
        tokens, mask = sampling._left_pad(ragged(9), 0, torch.device("cpu"))
        with torch.inference_mode():
            assert isinstance(go_on(ModuleDecoder(model, tokens, mask), weights, tokens[:, -1], 2)[0], FusedDecoder)


def test_what_could_differ_from_the_model_is_left_to_its_modules() -> None:
    assert fused(untrained("llama").model.bfloat16()) is None
    listened = untrained("llama").model
    listened.model.layers[0].register_forward_hook(lambda *_: None)
    assert fused(listened) is None
    windowed = untrained("qwen2").model
    windowed.config.layer_types = ["full_attention", "sliding_attention"]
    assert fused(windowed) is None


def test_adapters_in_use_count_and_those_switched_off_do_not() -> None:
    loaded, prompts = untrained("llama"), ragged(12)
    plain = sample_tokens(loaded, prompts, 12)
    model = get_peft_model(loaded.model, LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM")).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.copy_(torch.randn(weight.shape))
    adapted = LoadedModel(model, loaded.chat, Path())
    assert isinstance(fused(model), Fused)
    with_adapter = sample_tokens(adapted, prompts, 12)
    assert with_adapter == generated_tokens(adapted, prompts, 12) != plain
    with model.disable_adapter():
        assert sample_tokens(adapted, prompts, 12) == plain


def test_tokens_end_with_the_end_token_where_the_reply_ended(loaded: LoadedModel, prompts: list[Conversation]) -> None:
    encoded = loaded.chat.encode_prompts(prompts)
    written, end = sample_tokens(loaded, encoded, 40), loaded.tokenizer.eos_token_id
    assert written == generated_tokens(loaded, encoded, 40)
    assert any(ids[-1] == end for ids in written)
    assert all(end not in ids[:-1] for ids in written)
    assert sample_tokens(loaded, encoded, 0) == [[] for _ in encoded]


def test_a_drawn_reply_does_not_depend_on_its_batch(loaded: LoadedModel, prompts: list[Conversation]) -> None:
    one, two = (sample_replies(loaded, prompts, temperature=0.8, seed=2, batch=size) for size in (64, 3))
    assert one == two


def test_little_memory_makes_smaller_batches_and_the_same_replies(
    loaded: LoadedModel, prompts: list[Conversation], monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded, whole = loaded.chat.encode_prompts(prompts), sample_replies(loaded, prompts)
    monkeypatch.setattr(sampling, "free_memory", lambda _: 1)
    assert all(len(found) == 1 for found in sampling._batches(loaded, encoded, 48, 64))
    assert sample_replies(loaded, prompts) == whole


def test_what_is_drafted_is_what_each_prompt_is_answered_alone(
    loaded: LoadedModel, prompts: list[Conversation]
) -> None:
    asked = loaded.chat.encode_prompts(prompts)
    drafted = draft_tokens(loaded, asked, 16)
    alone = [sample_tokens(loaded, [one], 16)[0] for one in asked]
    sure = [i for i, reply in enumerate(drafted) if reply is not None]
    assert len(sure) > len(asked) / 2
    assert [drafted[i] for i in sure] == [alone[i] for i in sure]


def test_a_near_tie_is_left_open(base: Path) -> None:
    even = load_model(base)
    with torch.no_grad():
        even.model.lm_head.weight.zero_()
    assert draft_tokens(even, [[5, 6, 7], [8, 9]], 4) == [None, None]


def test_a_frozen_model_is_laid_side_by_side_once_and_writes_the_same(base: Path, prompts: list[Conversation]) -> None:
    free, frozen = load_model(base), load_model(base)
    freeze(frozen.model)
    assert fused(free.model) is not fused(free.model)
    assert fused(frozen.model) is fused(frozen.model)
    first, again = (sample_replies(frozen, prompts, 16) for _ in range(2))
    assert first == again == sample_replies(free, prompts, 16)


def test_vllm_where_it_is_missing_is_refused_by_name(loaded: LoadedModel, prompts: list[Conversation]) -> None:
    if vllm.is_installed():
        pytest.skip("vLLM is here")
    with pytest.raises(UsageError, match="vLLM and a CUDA GPU"):
        sample_replies(loaded, prompts, engine="vllm")
    with pytest.raises(UsageError, match="auto, torch or vllm"):
        sample_replies(loaded, prompts, engine="tgi")


@pytest.mark.skipif(find_spec("vllm") is None or not torch.cuda.is_available(), reason="no vLLM with a CUDA GPU here")
def test_vllm_writes_what_torch_writes(loaded: LoadedModel, prompts: list[Conversation]) -> None:
    assert sample_replies(loaded, prompts, engine="vllm") == sample_replies(loaded, prompts, engine="torch")
    first = sample_replies(loaded, prompts, temperature=1.0, seed=4, engine="vllm")
    assert first == sample_replies(loaded, prompts, temperature=1.0, seed=4, engine="vllm")


def test_one_engine_goes_before_the_next_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    class Engine: ...

    alive: weakref.WeakSet[Engine] = weakref.WeakSet()

    def start(*_: object) -> Engine:
        assert not alive
        alive.add(engine := Engine())
        return engine

    monkeypatch.setattr(vllm, "_ENGINES", {})
    monkeypatch.setattr(vllm, "_start", start)
    assert vllm._engine(Path("a"), "1", "float32", 64) is vllm._engine(Path("a"), "1", "float32", 64)
    assert vllm._engine(Path("a"), "2", "float32", 64) in alive


def test_a_model_changed_in_memory_is_not_that_of_its_folder(base: Path) -> None:
    changed = load_model(base)
    assert vllm.is_unchanged(changed)
    with torch.no_grad():
        changed.model.model.norm.weight[0] += 1
    assert not vllm.is_unchanged(changed)
