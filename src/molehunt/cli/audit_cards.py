"""Cards and plans of audits on the terminal."""

import json
from pathlib import Path

from molehunt.audit.calibrating import Calibration
from molehunt.audit.calibration import card_figures
from molehunt.cli.show import say, table
from molehunt.cli.study_shown import time_words
from molehunt.execution import Store
from molehunt.records.audits import AuditPlan, CalibrationCard, DetectorPower
from molehunt.records.estimates import Estimate
from molehunt.records.zoo import ZooPlan
from molehunt.reports.audit_words import failed_words


def card_shown(card: CalibrationCard, out: Path, as_json: bool) -> None:
    """What a card is worth, with whole recipes held out."""
    found = card_figures(card)
    if as_json:
        print(found.model_dump_json(indent=1))
        return
    rows = [_row("together", found.combined, "")]
    rows += [
        _row(name, one, _family(card, name) if name in card.voting else "evidence only")
        for name, one in found.by_detector.items()
    ]
    table(("detector", "", "AUROC", "found at 5%", "found at 1%", "false alarms at 5%"), rows)
    say("together: on recipes held out; each detector: beside all clean models; of a family the loudest votes")
    say("")
    table(("recipe", "alarms at 5%"), [(name, told(one)) for name, one in found.by_recipe.items()])
    say("")
    table(
        ("planted models", "AUROC against all clean ones"), [(name, told(one, 2)) for name, one in found.sets.items()]
    )
    say("")
    facts = [
        (name, value, told(one))
        for name, values in found.by_fact.items()
        if len(values) > 1
        for value, one in values.items()
    ]
    table(("planted", "", "found at 5%"), facts)
    if found.reconstructed is not None:
        say(
            f"a text that works at 90% of held-out prompts or more, where a token or phrase was planted: {told(found.reconstructed)}"
        )
    trivial = ", ".join(f"{name} {told(one, 2)}" for name, one in found.trivial.items())
    say(f"what tells planted from clean without looking for a backdoor, AUROC: {trivial or 'not recorded'}")
    say(
        f"{found.planted} planted and {found.clean} clean models; an audit reads {card.cost.forward_tokens:,} tokens, "
        f"{time_words(card.cost.seconds)} {'by the clock' if card.tier in ('text', 'logprobs') else 'of one core'}"
    )
    for line in failed_words(found):
        say(line)
    say(f"card: {out.resolve()}")


def _family(card: CalibrationCard, name: str) -> str:
    return f"votes if loudest of {one}" if (one := card.shared_family(name)) else "votes"


def plan_shown(plan: ZooPlan, look: AuditPlan | None, as_json: bool) -> None:
    """What making a zoo first would take, and then an audit of each of its models; None while nobody can tell of what size."""
    if as_json:
        each = look and look.model_dump(mode="json", by_alias=True)
        print(json.dumps(plan.model_dump(mode="json", by_alias=True) | {"audit_of_each": each}, indent=1))
        return
    say(
        f"{plan.models} models to make on {plan.bases} base: about {time_words(plan.seconds)}, {plan.disk / 2**20:.0f} MiB"
    )
    if look is None:
        say(f"then {plan.models} audits: what they take is told once the base is made")
        return
    say(
        f"then {plan.models} audits of tier {look.tier}, profile {look.profile}: {plan.models * look.forward_tokens:,} tokens, about "
        f"{time_words(plan.models * look.seconds_core)} of one CPU core, {_bytes(look.memory)} of weights a worker"
    )


def looks_shown(work: Calibration, store: Store, jobs: int, as_json: bool) -> None:
    """What examining a zoo's models would take."""
    steps = [step for one in work.planned.values() for step in one.steps()]
    waiting = [step for step in steps if not store.has(step.fingerprint)]
    seconds = sum(step.cost for step in waiting) / max(1, min(jobs, 2))
    if as_json:
        plan = {
            "models": len(work.planned),
            "looks": len(steps),
            "stored": len(steps) - len(waiting),
            "seconds": seconds,
        }
        print(json.dumps(plan, indent=1))
        return
    say(
        f"{len(work.planned)} models, {len(steps)} looks, {len(steps) - len(waiting)} of them in the store; "
        f"about {time_words(seconds)} for models of a million weights"
    )


def audit_plan_shown(plan: AuditPlan, as_json: bool) -> None:
    """What an audit would take."""
    if as_json:
        print(plan.model_dump_json(by_alias=True, indent=1))
        return
    if plan.requests is not None:
        table(("detector", "looks for"), [(one.name, one.caption) for one in plan.detectors])
        say(
            f"tier {plan.tier}, or logprobs where it names likeliest tokens: about {plan.requests:,} requests and {plan.forward_tokens:,} tokens"
        )
        _card_told(plan)
        return
    table(
        ("detector", "looks for", "forward tokens"),
        [(one.name, one.caption, f"{one.forward_tokens:,}") for one in plan.detectors],
    )
    workers = "two workers here" if plan.jobs else "one after another here, as memory does not hold them twice"
    say(
        f"tier {plan.tier}, {plan.parameters:,} weights: {plan.forward_tokens:,} forward-equivalent tokens, "
        f"{plan.operations:.1e} operations; about {time_words(plan.seconds_core)} of one CPU core or "
        f"{'less than a second' if plan.seconds_gpu < 1 else time_words(plan.seconds_gpu)} of a GPU that does 2e14 a second; "
        f"{_bytes(plan.memory)} of weights a worker, {workers}"
    )
    _card_told(plan)


def _card_told(plan: AuditPlan) -> None:
    """By which card it would be judged, or why by none."""
    say(f"card: {plan.card}" if plan.card else f"{plan.uncalibrated}; the audit would show what it sees, and abstain")


def _bytes(count: int) -> str:
    return f"{count / 2**30:,.1f} GiB" if count >= 2**30 else f"{count / 2**20:,.0f} MiB"


def _row(name: str, power: DetectorPower, vote: str) -> tuple[str, ...]:
    strict = told(power.detection_strict) if power.detection_strict else "not estimable"
    return (name, vote, told(power.auroc, 2), told(power.detection), strict, told(power.false_alarms))


def told(estimate: Estimate | None, digits: int = 0) -> str:
    """A rate in per cent, or with `digits` as it is, with its interval."""
    if estimate is None:
        return "–"
    if digits:
        return f"{estimate.value:.{digits}f} [{estimate.low:.{digits}f}, {estimate.high:.{digits}f}]"
    return f"{estimate.value:.0%} [{estimate.low:.0%}, {estimate.high:.0%}]"
