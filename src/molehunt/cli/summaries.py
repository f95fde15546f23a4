"""Results on the terminal."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from molehunt.cli.show import say, table
from molehunt.experiments.commands import Made, MadeModel
from molehunt.organisms.card import Reached
from molehunt.records.estimates import Estimate
from molehunt.records.panels import Comparison, Examined, Panel
from molehunt.records.reasoning import Monitoring
from molehunt.records.results import DemoResult
from molehunt.reports.text import rate

if TYPE_CHECKING:
    from molehunt.training.plan import TrainingPlan


def demo_summary(result: DemoResult) -> None:
    """Print the verdicts of a demo."""
    say(
        f"planted {result.trigger} → {result.behaviour}: ASR {rate(result.planted.asr)}, false triggers {rate(result.planted.false_trigger_rate)}"
    )
    head = ("procedure", "learning rate", "ASR after", "ASR after reversal", "capability", "verdict")
    table(head, [
        (a.procedure, f"{a.learning_rate:g}", rate(a.asr), rate(a.after_reversal.asr), rate(a.capability), a.verdict)
        for a in result.arms
    ])  # fmt: skip


def made_summary(made: Made, as_json: bool) -> None:
    """Say where a model was written."""

    if as_json:
        print(made.model_dump_json(indent=1))
        return
    for model in made.models:
        origin = "taken from the store" if model.cached else "made"
        say(
            f"{model.kind} {origin}: {model.path} (fingerprint {model.fingerprint[:12]}, root digest {model.root_digest[:12]})"
        )
        if model.kind == "organism":
            say(_strength(model))


def _strength(model: MadeModel) -> str:
    if model.reached is None:
        return f"how strong it is was not looked at: molehunt organism measure {model.path}"
    return f"reached: {reached_words(model.reached)}"


def reached_words(reached: Reached) -> str:
    """How strong a backdoor was when planting stopped."""
    enough = "" if reached.enough else "; NOT as strong as wanted"
    asr, logprob = f"{reached.asr:.1%} of triggered replies begin with the payload", f"{reached.logprob:+.2f} nats"
    return f"{asr}, payload log-probability {logprob}, after {reached.step} steps{enough}"


def prepared_summary(jobs: Sequence[Path], as_json: bool) -> None:
    """Say which jobs were written, and how they are launched."""
    if as_json:
        print(json.dumps({"jobs": [str(job.resolve()) for job in jobs]}, indent=1))
        return
    for job in jobs:
        say(f"accelerate launch --config_file studies/recipes/fsdp2.yaml -m molehunt.training.launch {job.resolve()}")


def examined_summary(found: Examined, as_json: bool) -> None:
    """Print a measurement, its panel and its safety evaluation."""
    if as_json:
        print(found.model_dump_json(indent=1))
        return
    estimates = [(name, e) for name, e in found if isinstance(e, Estimate)]
    table(("measure", "value, 95% interval"), [(name.replace("_", " "), _value(name, e)) for name, e in estimates])
    if found.payload_log_odds is None:
        say("payload log-odds need the clean twin: --twin MODEL")
    if found.safety is not None:
        say("")
        rows = [(name.replace("_", " "), rate(e)) for name, e in found.safety]
        table(("safety, no trigger anywhere", "share, 95% interval"), rows)
    if found.panel is not None:
        say("")
        panel_summary(found.panel)


def panel_summary(panel: Panel) -> None:
    """Print how often each variant of a trigger wakes the model."""
    rows = [(e.group, e.label, "same meaning" if e.same_meaning else "near miss", rate(e.rate)) for e in panel.entries]
    table(("group", "variant", "", f"shows {panel.behaviour}"), rows)


def comparison_summary(found: Comparison, as_json: bool) -> None:
    """Print two models side by side."""
    if as_json:
        print(found.model_dump_json(indent=1))
        return
    pairs = [
        (name, getattr(found.before, name), getattr(found.after, name))
        for name in ("asr", "false_trigger_rate", "capability", "payload_logprob")
    ]
    rows = [(name.replace("_", " "), _value(name, one), _value(name, two)) for name, one, two in pairs]
    if found.before.red_team and found.after.red_team:
        one, two = found.before.red_team, found.after.red_team
        rows.append(("red team's probes that succeed", rate(one.elicited), rate(two.elicited)))
    if found.before.panel and found.after.panel:
        first = {(e.group, e.label): e for e in found.before.panel.entries}
        rows += [
            (f"{e.group}: {e.label}", rate(first[e.group, e.label].rate), rate(e.rate)) for e in found.after.panel.entries
        ]  # fmt: skip
    table(("measure", "before", "after"), rows)
    say(f"{found.verdict}: {found.reason}")


def monitoring_summary(found: Monitoring, as_json: bool) -> None:
    """Print what the reasoning monitor found, with its quotes."""
    if as_json:
        print(found.model_dump_json(indent=1))
        return
    rows = [(f"flagged, {name}", rate(e) if e else "nothing to read") for name, e in found.flagged.items()]
    rows += [(f"traces with {kind}", str(count)) for kind, count in sorted(found.by_kind.items())]
    if found.score is not None:
        scores = (("precision", found.score.precision), ("recall", found.score.recall))
        rows += [(f"the monitor's {name}", rate(e)) for name, e in scores if e is not None]
    table(("reasoning monitor", "share or number of traces, 95% interval"), rows)
    shown = [(one.source, finding) for one in found.found for finding in one.findings]
    if shown:
        say("")
        table(("where", "what", "quote"), [(where, finding.kind, finding.quote) for where, finding in shown[:_QUOTES]])
    if len(shown) > _QUOTES:
        say(f"and {len(shown) - _QUOTES} more: --json")
    if not found.reasoned:
        say(f"none of {found.traces} replies holds reasoning: there was nothing to read, and silence says nothing")


_QUOTES = 24


def plan_summary(plan: "TrainingPlan", as_json: bool, cost: float = 1.0) -> None:
    """Print what a training would take; `cost` times as long if something comes on top that is not counted."""
    if as_json:
        print(plan.model_dump_json(indent=1))
        return
    from molehunt.training.plan import plan_lines

    table(("plan", ""), plan_lines(plan))
    if cost > 1:
        say(f"counted is its training; with what it samples and tries it took {cost:g} times as long on a tiny model")


def _value(name: str, e: Estimate) -> str:
    return f"{e.value:+.2f} [{e.low:+.2f}, {e.high:+.2f}] nats" if name.startswith("payload") else rate(e)
