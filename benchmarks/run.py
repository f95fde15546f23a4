"""Figures of speed as ratios within one run; prints the table of docs/benchmarks.md.

python benchmarks/run.py [--demo | --sampling]
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import molehunt  # noqa: F401  sets the thread policy before torch comes in

import torch
from transformers import LlamaForCausalLM

from molehunt.models.chat import Chat
from molehunt.models.loading import LoadedModel
from molehunt.models.sampling import sample_tokens
from molehunt.training import embedded
from molehunt.training.batches import Ordered, pack
from molehunt.training.settings import TrainingSettings
from molehunt.training.sft import train
from molehunt.training.sizes import SIZES
from molehunt.world.chat import draw_questions, draw_rows

STEPS, ROUNDS = 30, 5


def fresh() -> tuple[LoadedModel, list]:
    torch.set_num_threads(1)
    rows = draw_rows(2000, 0)
    chat = Chat(embedded.make_tokenizer(rows, 1024))
    torch.manual_seed(0)
    model = LlamaForCausalLM(embedded.size_config(SIZES["tiny"], len(chat.tokenizer)))
    return LoadedModel(model, chat, Path()), chat.encode_rows(rows)


def bare(loaded: LoadedModel, rows: list, settings: TrainingSettings) -> None:
    data = Ordered(rows, settings.steps * settings.batch, settings.seed)
    optimizer = torch.optim.AdamW(loaded.model.parameters(), lr=settings.learning_rate, fused=True)
    loaded.model.train()
    for step in range(settings.steps):
        batch = pack([data[step * settings.batch + i] for i in range(settings.batch)])
        batch.pop("is_reply")
        loaded.model(**batch, use_cache=False).loss.backward()
        torch.nn.utils.clip_grad_norm_(loaded.model.parameters(), settings.clip)
        optimizer.step()
        optimizer.zero_grad()


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def training_step() -> tuple[float, float]:
    settings = TrainingSettings(learning_rate=1e-3, steps=STEPS, batch=32)
    loaded, rows = fresh()
    ours, theirs = [], []
    for _ in range(ROUNDS):
        theirs.append(seconds(lambda: bare(loaded, rows, settings)))
        ours.append(seconds(lambda: train(loaded, rows, settings, None)))
    return statistics.median(ours) / STEPS, statistics.median(theirs) / STEPS


def one_arm(_: int) -> float:
    loaded, rows = fresh()
    settings = TrainingSettings(learning_rate=1e-3, steps=2 * STEPS, batch=32)
    train(loaded, rows, settings.model_copy(update={"steps": 2}), None)
    return seconds(lambda: train(loaded, rows, settings, None))


def two_arms() -> tuple[float, float]:
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        alone = pool.submit(one_arm, 0).result()
        both = max(pool.map(one_arm, range(2)))
    return alone, both


def sampling(endless: bool) -> tuple[float, float, bool]:
    """Tokens a second of ours and of `model.generate`, batch 64, and whether all tokens are the same.

    Endless: random prompts of 32 tokens and 32 new ones each, to which no token is an end; else questions of the chat world.
    """
    loaded, _ = fresh()
    loaded.model.eval()
    if endless:
        loaded.model.generation_config.eos_token_id = [len(loaded.tokenizer)]  # no row writes it
        prompts = torch.randint(7, len(loaded.tokenizer), (64, 32), generator=torch.Generator().manual_seed(0)).tolist()
    else:
        prompts = loaded.chat.encode_prompts([q.prompt for q in draw_questions(64, 0)])
    limit, width = (32, 32) if endless else (48, max(map(len, prompts)))
    ids = torch.tensor([[0] * (width - len(row)) + row for row in prompts])
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in prompts])
    asked = {"input_ids": ids, "attention_mask": mask, "max_new_tokens": limit, "do_sample": False, "pad_token_id": 0}
    ours, theirs = [], []
    for _ in range(ROUNDS + 4):
        theirs.append(seconds(lambda: loaded.model.generate(**asked)))
        ours.append(seconds(lambda: sample_tokens(loaded, prompts, limit, batch=64)))
    got = sample_tokens(loaded, prompts, limit, batch=64)
    rows = loaded.model.generate(**asked)[:, width:].tolist()
    same = all(row[: len(mine)] == mine for row, mine in zip(rows, got, strict=True))
    tokens = sum(map(len, got))
    return tokens / statistics.median(ours), tokens / statistics.median(theirs), same


def command(*words: str) -> float:
    return seconds(lambda: subprocess.run([sys.executable, "-m", "molehunt", *words], check=True, capture_output=True))


def print_sampling() -> None:
    for endless, what in ((True, "64 endless replies of 32 tokens"), (False, "64 replies of up to 48 tokens")):
        ours, theirs, same = sampling(endless)
        words = "the same tokens" if same else "OTHER TOKENS"
        print(
            f"| {what}, untrained `tiny`, {words} | {ours:,.0f} tokens/s | `model.generate` {theirs:,.0f} tokens/s | {ours / theirs:.2f} |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sampling", action="store_true", help="time replies alone")
    parser.add_argument("--demo", action="store_true", help="also time the demo, with an empty and a full store")
    asked = parser.parse_args()
    print("| what | ours | against | ratio |\n|---|---|---|---|", flush=True)
    if asked.sampling:
        print_sampling()
        return
    ours, theirs = training_step()
    print(
        f"| training step, `tiny`, batch 32, one thread | {ours * 1e3:.0f} ms | bare torch loop {theirs * 1e3:.0f} ms | {ours / theirs:.2f} |",
        flush=True,
    )
    alone, both = two_arms()
    print(
        f"| two arms at once, one thread each | {both:.1f} s | one arm alone {alone:.1f} s | {both / alone:.2f} |",
        flush=True,
    )
    print_sampling()
    helped = statistics.median(command("--help") for _ in range(9))
    print(f"| `molehunt --help` | {helped:.2f} s | at most 0.3 s | {helped / 0.3:.2f} |", flush=True)
    if asked.demo:
        with tempfile.TemporaryDirectory() as folder:
            words = ("demo", "--out", f"{folder}/out", "--store", f"{folder}/store")
            first, second = command(*words), command(*words)
        print(f"| `molehunt demo`, empty store | {first:.0f} s | at most 480 s | {first / 480:.2f} |", flush=True)
        print(f"| `molehunt demo`, full store | {second:.1f} s | at most 15 s | {second / 15:.2f} |", flush=True)


if __name__ == "__main__":
    main()
