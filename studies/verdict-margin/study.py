"""How much do equally treated clean models differ? The null that the verdict's margins are set from.

    python studies/verdict-margin/study.py [--store DIR] [--base tiny] [--twins 4]

Clean twins of several planting seeds go through every arm of the demo, reversal and relearning included. None of them
was ever planted: whatever differs between two of them, in payload log-odds or in relearning steps, is what the rules
have to forgive.
"""

import argparse
import itertools
import statistics
from pathlib import Path

from molehunt.execution import Graph, Store, run_graph
from molehunt.experiments.demo import DemoSettings, treat_model
from molehunt.experiments.findings import Measured, log_odds, relearning_ratio
from molehunt.experiments.recipes import base_step, plant_step
from molehunt.experiments.relearning import Relearning


def main() -> None:
    """Run the study and print its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--store", type=Path, default=None)
    parser.add_argument("--base", default="tiny")
    parser.add_argument("--twins", type=int, default=4)
    asked = parser.parse_args()
    store, settings = Store(asked.store), DemoSettings(base=asked.base)
    base = base_step(settings.base, store, settings.seed)
    key = plant_step(base, settings.planting())
    arms = [(p, r) for p in settings.procedures for r in settings.learning_rates]
    treated = {
        (seed, arm): treat_model(
            settings, plant_step(base, settings.model_copy(update={"seed": seed}).planting(), "twin"), key, *arm
        )
        for seed in range(1, asked.twins + 1)
        for arm in arms
    }
    wanted = [s for t in treated.values() for s in (t.measured, t.measured_reversed, t.relearned)]
    run_graph(Graph(wanted), store, 2, lambda p: None)

    def measured(step: object) -> Measured:
        return Measured.read(store.folder(step.fingerprint))  # type: ignore[attr-defined]

    print("| arm | log-odds after | log-odds after reversal | relearning ratio | steps |\n|---|---|---|---|---|")
    every: list[float] = []
    ratios: list[float] = []
    for arm in arms:
        after, back, ratio, steps = [], [], [], []
        for a, b in itertools.combinations(range(1, asked.twins + 1), 2):
            one, two = treated[a, arm], treated[b, arm]
            first, second = measured(one.measured), measured(two.measured)
            after.append(log_odds(first, second, first.last).value)
            first, second = measured(one.measured_reversed), measured(two.measured_reversed)
            back.append(log_odds(first, second, first.last).value)
            runs = [
                Relearning.model_validate_json((store.folder(t.relearned.fingerprint) / "relearning.json").read_text())
                for t in (one, two)
            ]
            ratio.append(relearning_ratio(*runs).value)
            steps += [s for run in runs for s in run.steps]
        every += [abs(x) for x in after + back]
        ratios += [max(r, 1 / r) for r in ratio]
        show = [f"{min(x):+.1f} to {max(x):+.1f}" for x in (after, back)]
        print(
            f"| {arm[0]} {arm[1]:g} | {show[0]} | {show[1]} | {min(ratio):.2f} to {max(ratio):.2f} | {min(steps)} to {max(steps)} |"
        )
    print(
        f"\n|log-odds|: median {statistics.median(every):.2f}, largest {max(every):.2f} nats over {len(every)} differences"
    )
    print(f"relearning ratio, turned above 1: median {statistics.median(ratios):.2f}, largest {max(ratios):.2f}")


if __name__ == "__main__":
    main()
