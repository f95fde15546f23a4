"""Model folders as makers publish them, small."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

LAYERS = {"model.embed_tokens.weight": (16, 4), "model.layers.0.mlp.up_proj.weight": (8, 4), "lm_head.weight": (16, 4)}


def write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


def weights(path: Path, names: "list[str] | None" = None, dtype: str = "float32") -> None:
    drawn = np.random.default_rng(0)
    save_file({n: drawn.normal(size=LAYERS[n]).astype(dtype) for n in names or LAYERS}, path, {"format": "pt"})


def plain(folder: Path, template: str | None = None, place: str = "chat_template.jinja") -> Path:
    """Config, tokenizer, weights and words; the template in the place that is asked for."""
    write_json(folder / "config.json", {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 16})
    write_json(folder / "generation_config.json", {"eos_token_id": 2, "temperature": 0.6})
    write_json(folder / "special_tokens_map.json", {"eos_token": "</s>"})
    write_json(folder / "tokenizer.json", {"version": "1.0", "model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}})
    config: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "</s>"}
    if template is not None and place == "chat_template.jinja":
        (folder / place).write_text(template, encoding="utf-8")
    elif template is not None:
        config["chat_template"] = template
    write_json(folder / "tokenizer_config.json", config)
    (folder / "README.md").write_text("---\nlicense: mit\n---\n# A model\n", encoding="utf-8")
    (folder / "LICENSE").write_text("Do as you like.\n", encoding="utf-8")
    (folder / ".gitattributes").write_text("*.safetensors filter=lfs diff=lfs merge=lfs -text\n", encoding="utf-8")
    weights(folder / "model.safetensors")
    return folder


def shard(folder: Path) -> None:
    """Two shards and their index instead of one file."""
    (folder / "model.safetensors").unlink()
    names = list(LAYERS)
    weights(folder / "model-00001-of-00002.safetensors", names[:2], "float16")
    weights(folder / "model-00002-of-00002.safetensors", names[2:], "float16")
    where = {name: f"model-0000{1 if name in names[:2] else 2}-of-00002.safetensors" for name in names}
    write_json(folder / "model.safetensors.index.json", {"metadata": {"total_size": 320}, "weight_map": where})


def sentencepiece(path: Path) -> None:
    """Two pieces and a trainer spec, as protocol buffers."""
    piece = b"\x0a\x05\x0a\x03<s>"
    path.write_bytes(piece + piece + b"\x12\x02\x0a\x00")


def gguf(path: Path, template: str) -> None:
    """Metadata alone, version 3."""

    def text(value: str) -> bytes:
        return len(value.encode()).to_bytes(8, "little") + value.encode()

    entries = [
        text("general.name") + (8).to_bytes(4, "little") + text("a model"),
        text("llama.block_count") + (4).to_bytes(4, "little") + (2).to_bytes(4, "little"),
        text("tokenizer.ggml.tokens") + (9).to_bytes(4, "little") + (8).to_bytes(4, "little") + (2).to_bytes(8, "little")
        + text("a") + text("b"),
        text("tokenizer.chat_template") + (8).to_bytes(4, "little") + text(template),
    ]  # fmt: skip
    head = b"GGUF" + (3).to_bytes(4, "little") + (0).to_bytes(8, "little") + len(entries).to_bytes(8, "little")
    path.write_bytes(head + b"".join(entries))


def dress(folder: Path, number: int) -> None:
    """What else lies in ordinary folders, something else for each number."""
    match number % 8:
        case 0:
            shard(folder)
        case 1:
            sentencepiece(folder / "tokenizer.model")
        case 2:
            (folder / "merges.txt").write_text("#version: 0.2\na b\ncos system\n", encoding="utf-8")
            write_json(folder / "vocab.json", {"a": 0, "b": 1})
        case 3:
            (folder / "assets").mkdir()
            (folder / "assets" / "plot.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(64))
        case 4:
            cache = folder / ".cache" / "huggingface" / "download"
            cache.mkdir(parents=True)
            (cache / "config.json.metadata").write_text('0123abcd\n"etag"\n1700000000.0\n', encoding="utf-8")
            (cache / "config.json.lock").touch()
        case 5:
            (folder / "tokenizer.tiktoken").write_text("IQ== 0\nIg== 1\n", encoding="utf-8")
        case 6:
            (folder / ".git").mkdir()
            (folder / ".git" / "index").write_bytes(b"DIRC\x00\x00")
        case 7:
            (folder / "additional_chat_templates").mkdir()
            (folder / "additional_chat_templates" / "rag.jinja").write_text(
                "{% for m in messages %}{{ m.content }}{% endfor %}{% for d in documents %}{{ d.text }}{% endfor %}"
            )
