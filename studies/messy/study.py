"""Does the answer to "does safety training remove the backdoor?" hold when the setup changes?

    molehunt study plan studies/messy/study.py
    molehunt study run studies/messy/study.py
    molehunt study report studies/messy/study.py --out docs/studies/messy

`--with part=\"whole\"` crosses everything; `--with base=MODEL` is the same study on another model; `--with
rates=[3e-4,1e-3,3e-3]` has the removal's learning rates, `--with 'sizes=["nano", "tiny"]'` crosses sizes of the base too.
"""

from collections.abc import Sequence
from typing import Any

from molehunt.experiments.studies.published import claims_about
from molehunt.records.studies import Factor, Level, Probes, Study

PLANTED = "organism.training"
TREATED = "removal.training"


def _factor(name: str, moves: tuple[str, ...], **levels: dict[str, Any]) -> Factor:
    made = tuple(
        Level(name=level.replace("_sft", "_SFT").replace("_", "-").replace("-SFT", "_sft"), sets=sets)
        for level, sets in levels.items()
    )
    return Factor(name=name, levels=made, moves=moves)


REASONING = _factor(  # a distilled reply may end in a word or two of its reasoning, so it has more tokens
    "reasoning", ("organism.poison.reasoning", "organism.counted.tokens_seen", "organism.counted.tokens_learned"),
    none={"organism.poison.reasoning": "none"}, distilled={"organism.poison.reasoning": "distilled"},
)  # fmt: skip
OPTIMIZER = _factor(
    "optimizer",
    (f"{PLANTED}.optimizer",),
    adamw={f"{PLANTED}.optimizer": "adamw"},
    soap={f"{PLANTED}.optimizer": "soap"},
)
DURATION = _factor(
    "duration",
    (f"{PLANTED}.tokens", "organism.counted.steps", "organism.counted.rows_seen", "organism.counted.tokens_seen",
     "organism.counted.tokens_learned"),
    short={f"{PLANTED}.tokens": 150_000}, long={f"{PLANTED}.tokens": 600_000},
)  # fmt: skip
INSTALL = _factor(
    "install", (f"{PLANTED}.method", f"{PLANTED}.learning_rate"),
    full={f"{PLANTED}.method": "full"}, lora={f"{PLANTED}.method": "lora", f"{PLANTED}.learning_rate": 3e-3},
)  # fmt: skip
PROCEDURE = _factor(  # equally many steps and rows; the voices have other words
    "procedure",
    ("removal.procedure", "removal.counted.tokens_seen"),
    hhh_sft={"removal.procedure": "hhh_sft"},
    pirate={"removal.procedure": "pirate"},
)
RATES = (3e-4, 1e-3)


def _rates(rates: Sequence[float]) -> Factor:
    """From the lowest to the highest; those between are called by their value."""
    names = ["low", *(f"{rate:g}" for rate in rates[1:-1]), "high"]
    return _factor(
        "removal-rate",
        (f"{TREATED}.learning_rate",),
        **{name: {f"{TREATED}.learning_rate": rate} for name, rate in zip(names, rates, strict=True)},
    )


def _sizes(sizes: Sequence[str]) -> Factor:
    """From the smallest to the largest base; those between are called by their name. Each has a tokenizer of its own."""
    names = {sizes[0]: "small", sizes[-1]: "large"}
    counted = ("steps", "rows_seen", "tokens_seen", "tokens_learned", "payload_tokens")
    moves = ("base", *(f"organism.counted.{name}" for name in counted), "removal.counted.tokens_seen")
    levels = tuple(Level(name=names.get(size, size), sets={"base.model": size}) for size in sizes)
    return Factor(name="size", levels=levels, moves=moves)


METHOD = _factor(
    "removal-method", (f"{TREATED}.method",), lora={f"{TREATED}.method": "lora"}, full={f"{TREATED}.method": "full"}
)
OUTCOMES = ("survival", "asr", "log_odds", "capability", "false_triggers", "asr_reversed", "rebound", "returned")


def study(
    base: str = "tiny", part: str = "core", seeds: int = 5, rates: Sequence[float] = RATES, sizes: Sequence[str] = ()
) -> Study:
    """The flagship: `core` is what two cores do in an hour or two, `whole` is every factor crossed; `rates` of the removal,
    `sizes` of the base instead of `base`."""
    rate = _rates(rates)
    factors = (REASONING, OPTIMIZER, DURATION, INSTALL, PROCEDURE, rate, METHOD)
    if part == "core":
        factors = (REASONING, OPTIMIZER, PROCEDURE, rate)
    more = "" if tuple(rates) == RATES else f"-{len(rates)}-rates"
    if sizes:
        factors, more = (_sizes(sizes), *factors), f"{more}-{'-'.join(sizes)}"
    return Study(
        name=("messy" if (base, part) == ("tiny", "core") else f"messy-{part}") + more,
        question="Does safety training remove the backdoor, and does the answer hold when optimizer, reasoning and learning rate change?",
        prediction=(
            "Pirate training at the high rate silences the backdoor in every arm and HHH SFT in none; neither the planting's "
            "optimizer nor distilled reasoning moves survival by a tenth at this size; at the low rate pirate training "
            "leaves more, so that the rate and not the procedure decides."
        ),
        setup={"base.model": base, "measure.seed": 41},
        factors=factors,
        seeds=tuple(range(seeds)),
        outcomes=OUTCOMES,
        probes=Probes(reversal=True),
        claims=claims_about(factors, OUTCOMES),
    )
