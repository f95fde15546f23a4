"""Plots as inline SVG: lines with interval bands."""

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib

matplotlib.use("svg")

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from molehunt.records.estimates import Estimate

COLOURS = {"organism": "#b3261e", "twin": "#1f6feb", "false triggers": "#b58900", "capability": "#2e7d32"}


@dataclass(frozen=True)
class Line:
    """One series."""

    name: str
    steps: Sequence[float]
    estimates: Sequence[Estimate]
    colour: str
    style: str = "-"


def trajectory_svg(
    title: str, lines: Sequence[Line], y_label: str, is_rate: bool, marks: Sequence[tuple[float, str]] = ()
) -> str:
    """An SVG element of estimates over training steps, each with its 95% band.

    Args:
        marks: (step, label) of vertical lines.
    """
    figure = Figure(figsize=(5.2, 2.9), layout="constrained")
    axes = figure.add_subplot()
    for line in lines:
        values = [e.value for e in line.estimates]
        axes.plot(
            line.steps,
            values,
            line.style,
            color=line.colour,
            label=line.name,
            marker="o",
            markersize=3.5,
            linewidth=1.6,
        )
        axes.fill_between(
            line.steps,
            [e.low for e in line.estimates],
            [e.high for e in line.estimates],
            color=line.colour,
            alpha=0.16,
            linewidth=0,
        )
    for step, label in marks:
        axes.axvline(step, color="#777", linewidth=0.9, linestyle=":")
        axes.annotate(
            label,
            (step, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(3, -9),
            textcoords="offset points",
            fontsize=7,
            color="#555",
        )
    if is_rate:
        axes.set_ylim(-0.03, 1.03)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    else:
        axes.axhline(0, color="#777", linewidth=0.8)
    axes.set_title(title, fontsize=9, loc="left")
    axes.set_xlabel("optimizer steps", fontsize=8)
    axes.set_ylabel(y_label, fontsize=8)
    axes.tick_params(labelsize=7)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#eee")
    axes.legend(fontsize=7, frameon=False)
    return _svg(figure, title)


def _svg(figure: Figure, title: str) -> str:
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": title, "svg.fonttype": "path"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    drawn = buffer.getvalue()
    svg = drawn[drawn.index("<svg") :]
    return re.sub(r"<svg ", '<svg role="img" ', svg, count=1)
