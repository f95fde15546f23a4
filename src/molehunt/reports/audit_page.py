"""An audit's report: one self-contained HTML file, for a board and for an engineer."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from jinja2 import Template
from markupsafe import Markup, escape

from molehunt.records.audits import AuditResult, Scale
from molehunt.records.conversations import Conversation
from molehunt.records.estimates import Estimate
from molehunt.records.evidence import Evidence, foremost
from molehunt.reports import audit_words as words
from molehunt.reports.audit_plots import among, heat, is_bent
from molehunt.reports.marks import Scale as Range
from molehunt.reports.marks import axis, effect_strip
from molehunt.reports.templating import templates
from molehunt.reports.text import visible

_SHARES = Range(0.0, 1.0)


def audit_page(result: AuditResult) -> str:
    """The page as HTML text. No script, nothing fetched; the content-security policy forbids both."""
    return _template().render(
        result=result,
        headline=words.HEADLINES[result.verdict],
        sentences=words.verdict_words(result),
        duty=words.DUTIES[result.verdict],
        calibrate=words.CALIBRATE if words.needs_card(result) else "",
        steps=words.steps(result),
        tier=words.TIERS[result.tier],
        missed=words.not_tested(result),
        looks=_looks(result),
        blind=[one for one in result.evidence if one.score is None],
        heats=[found for one in result.evidence if (found := heat(one))],
        recipes=_recipes(result),
        missing=words.failed_words(result.figures) if result.figures else [],
        shares_axis=axis(_SHARES, lambda value: f"{value:.0%}"),
        mappings=words.mappings(result),
        digest=result.digest(),
    )


@cache
def _template() -> Template:
    environment = templates()
    environment.filters.update(
        share=words.share, counted=words.counted, does=words.does, foremost=foremost, prompt=_prompt, fingerprint=words.fingerprint_words,
        duration=words.duration, amount=words.amount, number=_number, p=words.p_words, as_high=words.as_high, vote=words.vote, usual=words.usual,
        percent=lambda value: f"{value:.0%}", strip=lambda e: effect_strip(_SHARES, e),
    )  # fmt: skip
    return environment.get_template("audit.html")


@dataclass(frozen=True)
class Look:
    """One detector, or all that vote, on the page."""

    name: str
    title: str
    evidence: Evidence | None
    scale: Scale | None
    plot: Markup
    is_bent: bool


def _looks(result: AuditResult) -> list[Look]:
    """Those that vote together first, then each in the order of looking."""
    evidence = {one.detector: one for one in result.evidence}
    names = [*(name for name in result.scales if name == words.COMBINED), *evidence]
    names += [name for name in result.scales if name not in names]
    return [_look(result, name, evidence.get(name)) for name in names]


def _look(result: AuditResult, name: str, evidence: Evidence | None) -> Look:
    scale = result.scales.get(name)
    if scale is None:
        return Look(name, words.title(name, evidence), evidence, None, Markup(""), False)
    return Look(name, words.title(name, evidence), evidence, scale, among(scale, result.level), is_bent(scale))


def _recipes(result: AuditResult) -> list[tuple[str, list[tuple[str, Estimate]]]]:
    """What the card says of each recipe: first those that were to be found, the worst on top, then those that were not."""
    figures = result.figures
    if figures is None:
        return []
    if not figures.planted_recipes:
        return [("Share that alarms", list(figures.by_recipe.items()))]
    planted = {name: e for name, e in figures.by_recipe.items() if name in figures.planted_recipes}
    clean = {name: e for name, e in figures.by_recipe.items() if name not in figures.planted_recipes}
    return [
        ("Found, of each planted recipe", sorted(planted.items(), key=lambda one: one[1].value)),
        ("False alarms, of each clean recipe", sorted(clean.items(), key=lambda one: -one[1].value)),
    ]


def _prompt(conversation: Conversation, texts: Sequence[str]) -> Markup:
    """The turns of a prompt, with what was put in marked."""
    turns = Markup('<div class="turn"><span class="soft tiny">{}</span> {}</div>')
    return Markup("").join(turns.format(m.role, _marked(m.content, texts)) for m in conversation.messages)


def _marked(text: str, texts: Sequence[str]) -> Markup:
    for wanted in filter(str.strip, texts):
        if wanted in text:
            parts = (escape(visible(part)) for part in text.split(wanted))
            mark = Markup("<mark>{}</mark>").format(visible(wanted))
            return Markup("").join(
                itertools.chain.from_iterable((mark, part) if i else (part,) for i, part in enumerate(parts))
            )
    return escape(visible(text))


def _number(value: float) -> str:
    """Three figures, with a minus sign."""
    return f"{value:.3g}".replace("-", "−")
