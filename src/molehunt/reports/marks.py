"""Marks of plots as inline SVG. x is in per cent: a plot stretches with the page while its dots and words keep their size."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from markupsafe import Markup

from molehunt.records.estimates import ArmEstimate, Estimate
from molehunt.reports.text import visible

ROW = 24
"""Height of one row in pixels; its middle carries the estimate."""
Sign = Literal["up", "straddles", "down"]
SIGNS: tuple[Sign, ...] = get_args(Sign)
_STEPS = (1, 2, 2.5, 5, 10)


@dataclass(frozen=True)
class Scale:
    """A range of values, drawn from 0% to 100%."""

    low: float
    high: float

    def __call__(self, value: float) -> float:
        """Where a value lies, in per cent; what is outside lies on the edge."""
        if math.isnan(value):
            return 0.0
        return 100 * (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)

    def ticks(self, about: int = 4) -> list[float]:
        """Round values inside, roughly as many as asked for."""
        rough = (self.high - self.low) / about
        unit = 10.0 ** math.floor(math.log10(rough))
        step = next(unit * s for s in _STEPS if unit * s >= rough * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [step * i for i in range(first, last + 1)]


def around_zero(estimates: Iterable[Estimate], at_least: float, at_most: float = math.inf) -> Scale:
    """A scale with 0 in its middle that shows every value, and intervals up to three times as far as the furthest."""
    every = list(estimates)
    values = [abs(e.value) for e in every if math.isfinite(e.value)]
    ends = [abs(end) for e in every for end in (e.low, e.high) if math.isfinite(end)]
    furthest = max(at_least, min(max(ends, default=0.0), max(3 * max(values, default=0.0), 2 * at_least)))
    return Scale(-min(1.05 * furthest, at_most), min(1.05 * furthest, at_most))


def axis(scale: Scale, label: Callable[[float], str]) -> Markup:
    """Tick labels over a column of strips."""
    marks = [_text(scale(tick), label(tick), 12) for tick in scale.ticks()]
    return _svg("strip axis", 16, marks)


def effect_strip(
    scale: Scale, inner: Estimate | None, outer: Estimate | None = None, *, seeds: Sequence[float] = (),
    smallest: float = 0.0, claimed: Literal["greater", "less"] | None = None, sign: bool = False,
) -> Markup:  # fmt: skip
    """One effect: thick is its interval alone, thin the wider one; behind it what is too small to matter, and what is claimed."""
    marks = []
    if claimed:
        near, far = (smallest, scale.high) if claimed == "greater" else (scale.low, -smallest)
        marks.append(_rect("claimed", scale(near), scale(far)))
    if smallest:
        marks.append(_rect("small", scale(-smallest), scale(smallest)))
    marks.append(_vertical("zero", scale(0)))
    kind = sign_of(inner) if sign and inner else "effect"
    if outer:
        marks += _interval(scale, outer, f"thin {kind}")
    if inner:
        marks += _interval(scale, inner, f"thick {kind}")
    marks += _seeds(scale, seeds)
    if inner:
        marks.append(f'<circle class="dot {kind}" cx="{_at(scale(inner.value))}" cy="{ROW // 2}" r="4.5"/>')
    return _svg("strip", ROW, marks)


def arm_strip(scale: Scale, estimate: ArmEstimate) -> Markup:
    """One arm: mean and interval, each seed a ring at a height of its own."""
    marks = [_vertical("grid", scale(tick)) for tick in scale.ticks()]
    marks += _interval(scale, estimate, "thick effect")
    marks += _seeds(scale, estimate.by_seed)
    marks.append(f'<circle class="dot effect" cx="{_at(scale(estimate.value))}" cy="{ROW // 2}" r="4"/>')
    return _svg("strip", ROW, marks)


def sign_of(estimate: Estimate) -> Sign:
    """On which side of 0 the whole interval of an effect lies, if on one."""
    return "up" if estimate.low > 0 else "down" if estimate.high < 0 else "straddles"


HALF = 44
"""Height in pixels of each of two histograms that stand back to back."""


def back_to_back(
    above: Sequence[float], below: Sequence[float], *, mark: float, beyond: float | None,
    ticks: Sequence[tuple[float, str]],
) -> Markup:  # fmt: skip
    """Two histograms on one line, each as high as its fullest bin and over the whole width; `mark` and `beyond` in per cent.

    Args:
        beyond: what lies to the right of it is shaded.
    """
    line, foot = 20 + HALF, 20 + (2 * HALF if below else HALF)
    marks = []
    if beyond is not None:
        marks.append(
            f'<rect class="beyond" x="{_at(beyond)}" width="{_at(100 - beyond)}" y="14" height="{foot - 14}"/>'
        )
    for kind, shares in (("clean", above), ("planted", below)):
        for i, one in enumerate(shares):
            high = max(1.5, (HALF - 4) * one / max(shares)) if one else 0.0
            top = line - high if kind == "clean" else line
            if one:
                marks.append(
                    f'<rect class="{kind}" x="{_at(100 * i / len(shares))}" width="{_at(88 / len(shares))}" y="{top:.1f}" height="{high:.1f}"/>'
                )
    marks.append(f'<line class="zero" x1="0" x2="100%" y1="{line}" y2="{line}"/>')
    marks.append(f'<line class="subject" x1="{_at(mark)}" x2="{_at(mark)}" y1="13" y2="{foot}"/>')
    marks.append(_text(mark, "this model", 9, "subject", 12))
    marks += [_text(at, label, foot + 14) for at, label in ticks]
    return _svg("among", foot + 18, marks)


@dataclass(frozen=True)
class Series:
    """Lines of one colour over the same scale: one for each seed, and their mean."""

    kind: str
    lines: Sequence[Sequence[tuple[float, float]]]

    @property
    def mean(self) -> list[tuple[float, float]]:
        """Over the seeds that have the point."""
        found: dict[float, list[float]] = {}
        for line in self.lines:
            for x, y in line:
                found.setdefault(x, []).append(y)
        return [(x, sum(ys) / len(ys)) for x, ys in sorted(found.items())]


def lines(
    series: Sequence[Series], x: Scale, y: Scale, height: int, label: Callable[[float], str], at: Sequence[float]
) -> Markup:
    """A small panel of lines; `at`: values with a line and a label of their own."""
    grid = [
        f'<line class="grid" x1="0" x2="100%" y1="{_at(100 - y(value))}" y2="{_at(100 - y(value))}"/>'
        f'<text x="-5" y="{_at(100 - y(value))}" dy="3.5" text-anchor="end">{label(value)}</text>'
        for value in at
    ]
    paths = []
    for one in series:
        drawn = [_path(line, x, y) for line in one.lines if line]
        if len(drawn) > 1:
            paths.append(f'<path class="seed {one.kind}" d="{"".join(drawn)}"/>')
        if drawn:
            paths.append(f'<path class="mean {one.kind}" d="{_path(one.mean, x, y)}"/>')
    inner = f'<svg width="100%" height="100%" viewBox="0 0 1000 1000" preserveAspectRatio="none">{"".join(paths)}</svg>'
    return _svg("panel", height, [*grid, inner])


@dataclass(frozen=True)
class Spot:
    """A point of a scatter plot."""

    x: float
    y: float
    kind: str
    name: str
    href: str
    about: str
    """Shown when pointed at: untrusted."""
    whiskers: tuple[Estimate, Estimate] | None = None
    """Intervals in x and y."""


def scatter(
    spots: Sequence[Spot], x: Scale, y: Scale, chains: Sequence[tuple[str, Sequence[tuple[float, float]]]],
    label: Callable[[float], str], height: int = 380,
) -> Markup:  # fmt: skip
    """Points with lines through some of them: `chains` are (class, corners)."""
    marks = [
        _vertical("grid", x(tick))
        + f'<text x="{_at(x(tick))}" y="{height + 16}" text-anchor="middle">{label(tick)}</text>'
        for tick in x.ticks(5)
    ]
    marks += [
        f'<line class="grid" x1="0" x2="100%" y1="{_at(100 - y(tick))}" y2="{_at(100 - y(tick))}"/>'
        f'<text x="-6" y="{_at(100 - y(tick))}" dy="4" text-anchor="end">{label(tick)}</text>'
        for tick in y.ticks()
    ]  # fmt: skip
    for kind, corners in chains:
        path = _path(corners, x, y) if len(corners) > 1 else ""
        marks.append(
            f'<svg width="100%" height="100%" viewBox="0 0 1000 1000" preserveAspectRatio="none"><path class="{kind}" d="{path}"/></svg>'
        )
    for spot in spots:
        if spot.whiskers:
            across, along = spot.whiskers
            here, there = _at(x(spot.x)), _at(100 - y(spot.y))
            marks.append(
                f'<line class="whisker" x1="{_at(x(across.low))}" x2="{_at(x(across.high))}" y1="{there}" y2="{there}"/>'
            )
            marks.append(
                f'<line class="whisker" x1="{here}" x2="{here}" y1="{_at(100 - y(along.low))}" y2="{_at(100 - y(along.high))}"/>'
            )
    named: list[tuple[float, float]] = []
    for spot in spots:
        marks.append(_spot(spot, x, y, named))
    return _svg("scatter", height, marks)


def _spot(spot: Spot, x: Scale, y: Scale, named: list[tuple[float, float]]) -> str:
    """The point; its name on the right, on the left if another is written there, or not at all."""
    across, down = x(spot.x), 100 - y(spot.y)
    circle = Markup('<circle class="{}" cx="{}" cy="{}" r="{}"><title>{}</title></circle>').format(
        spot.kind, _at(across), _at(down), 5 if spot.name else 4, visible(spot.about)
    )
    name = ""
    for aside, anchor in ((4, "start"), (-4, "end")) if spot.name else ():
        if all(abs(across + aside - other) > 7 or abs(down - under) > 4.5 for other, under in named):
            named.append((across + aside, down))
            name = f'<text class="name" x="{_at(across)}" y="{_at(down)}" dx="{2 * aside}" dy="-7" text-anchor="{anchor}">{spot.name}</text>'
            break
    return f'<a href="{spot.href}">{circle}{name}</a>'


def _path(points: Sequence[tuple[float, float]], x: Scale, y: Scale) -> str:
    drawn = "L".join(f"{10 * x(a):.0f} {1000 - 10 * y(b):.0f}" for a, b in points)
    return f"M{drawn}{'h0' if len(points) == 1 else ''}"


def _interval(scale: Scale, e: Estimate, kind: str) -> list[str]:
    if math.isnan(e.low) or math.isnan(e.high):
        return []
    middle = ROW // 2
    marks = [f'<line class="{kind}" x1="{_at(scale(e.low))}" x2="{_at(scale(e.high))}" y1="{middle}" y2="{middle}"/>']
    if e.low < scale.low:
        marks.append(f'<text class="on" x="0" y="{middle}" dx="-4" dy="4" text-anchor="end">‹</text>')
    if e.high > scale.high:
        marks.append(f'<text class="on" x="100%" y="{middle}" dx="4" dy="4">›</text>')
    return marks


def _seeds(scale: Scale, values: Sequence[float]) -> list[str]:
    if len(values) < 2:
        return []
    apart = (ROW - 6) / (len(values) - 1)
    return [
        f'<circle class="seed" cx="{_at(scale(v))}" cy="{3 + i * apart:.1f}" r="2.5"/>' for i, v in enumerate(values)
    ]


def _rect(kind: str, low: float, high: float) -> str:
    return f'<rect class="{kind}" x="{_at(low)}" width="{_at(max(0.0, high - low))}" height="100%"/>'


def _vertical(kind: str, at: float, over: int = 4) -> str:
    return f'<line class="{kind}" x1="{_at(at)}" x2="{_at(at)}" y1="{-over}" y2="100%"/>'


def _text(at: float, words: str, y: int, kind: str = "", edge: float = 4) -> str:
    anchor = "start" if at < edge else "end" if at > 100 - edge else "middle"
    named = f' class="{kind}"' if kind else ""
    return f'<text{named} x="{_at(at)}" y="{y}" text-anchor="{anchor}">{words}</text>'


def _at(per_cent: float) -> str:
    return f"{per_cent:.1f}".removesuffix(".0") + "%"


def _svg(kind: str, height: int, marks: Sequence[str]) -> Markup:
    return Markup(f'<svg class="{kind}" height="{height}" aria-hidden="true">{"".join(marks)}</svg>')
