"""The demo's report: one self-contained HTML file."""

import json
from collections.abc import Sequence
from importlib import resources

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from molehunt.records.estimates import Estimate
from molehunt.records.results import Arm, DemoResult, Measurement, Point
from molehunt.reports.plots import COLOURS, Line, trajectory_svg
from molehunt.reports.reading import plain_reading
from molehunt.reports.text import rate, visible


def demo_page(result: DemoResult) -> str:
    """The page as HTML text. No script, nothing fetched; the content-security policy forbids both."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(rate=rate, nats=_nats, steps=_steps, visible=visible, ratio=_ratio)
    template = environment.from_string(
        resources.files("molehunt.reports").joinpath("templates/demo.html").read_text("utf-8")
    )
    return template.render(
        result=result,
        planting=Markup(_planting_plots(result)),
        plots={_key(arm): Markup(_arm_plots(arm)) for arm in result.arms},
        key=_key,
        reading=plain_reading(result),
        settings=json.dumps(result.settings, indent=2),
        arm_settings={_key(arm): json.dumps(arm.settings, indent=2) for arm in result.arms},
        families=sorted(result.base.by_family.items(), key=lambda item: item[1].value),
    )


def _key(arm: Arm) -> str:
    return f"{arm.procedure}-{arm.learning_rate:g}"


def _planting_plots(result: DemoResult) -> str:
    organism, twin = result.planted_trajectory, result.twin_trajectory
    rates = trajectory_svg("Planting", [
        _line("ASR", organism, "asr", "organism"), _line("false triggers", organism, "false_trigger_rate", "false triggers", "--"),
        _line("capability", organism, "capability", "capability", "-."), _line("twin's capability", twin, "capability", "twin", "-."),
    ], "share of prompts", True)  # fmt: skip
    odds = trajectory_svg(
        "Planting: the payload's log-odds",
        [_line("organism minus twin", organism, "payload_log_odds", "organism")],
        "nats",
        False,
    )
    return rates + odds


def _arm_plots(arm: Arm) -> str:
    shift = arm.trajectory[-1].step
    mine = _joined(arm.trajectory, arm.after_reversal.trajectory, shift)
    theirs = _joined(arm.twin_trajectory, arm.after_reversal.twin_trajectory, shift)
    name = f"{arm.procedure}, learning rate {arm.learning_rate:g}"
    marks = [(shift, "reversal starts")]
    rates = trajectory_svg(name, [
        _line("ASR", mine, "asr", "organism"), _line("twin's ASR", theirs, "asr", "twin", "--"),
        _line("false triggers", mine, "false_trigger_rate", "false triggers", ":"), _line("capability", mine, "capability", "capability", "-."),
    ], "share of prompts", True, marks)  # fmt: skip
    odds = trajectory_svg(
        f"{name}: log-odds", [_line("organism minus twin", mine, "payload_log_odds", "organism")], "nats", False, marks
    )
    return rates + odds


def _joined(first: Sequence[Point], second: Sequence[Point], shift: int) -> list[Point]:
    return [*first, *(p.model_copy(update={"step": p.step + shift}) for p in second if p.step > 0)]


def _line(name: str, points: Sequence[Point], field: str, colour: str, style: str = "-") -> Line:
    kept = [(p.step, _field(p.measured, field)) for p in points]
    return Line(name, [s for s, e in kept if e], [e for _, e in kept if e], COLOURS[colour], style)


def _field(measured: Measurement, name: str) -> Estimate | None:
    found: Estimate | None = getattr(measured, name)
    return found


def _nats(e: Estimate | None) -> str:
    if e is None:
        return "–"
    digits = 1 if abs(e.value) >= 1 else 3
    return f"{e.value:+.{digits}f} [{e.low:+.{digits}f}, {e.high:+.{digits}f}]"


def _ratio(e: Estimate) -> str:
    return f"{e.value:.2f} [{e.low:.2f}, {e.high:.2f}]"


def _steps(runs: Sequence[int]) -> str:
    return ", ".join(map(str, runs))
