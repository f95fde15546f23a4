"""A hunt's reports: one self-contained HTML file, and SARIF."""

from functools import cache
from typing import Any

from jinja2 import Template

from molehunt.records.hunts import HuntResult, Incident
from molehunt.records.scans import Finding, Rule
from molehunt.reports.sarif import sarif
from molehunt.reports.templating import templates
from molehunt.reports.text import rate

_RULES = {
    "trigger-confirmed": Rule(
        level="error",
        what="A condition in calls that, by replay, makes the model answer oddly, for no ordinary reason.",
    ),
    "cause-unclear": Rule(
        level="warning",
        what="A condition in calls that makes the model answer oddly, perhaps because its words ask for it.",
    ),
    "trigger-candidate": Rule(
        level="warning", what="A condition in calls that predicts odd answers; not confirmed by replay."
    ),
    "explained": Rule(
        level="note",
        what="A condition that predicts odd answers because it asks for them: a trusted model gives them too.",
    ),
}


def incident_page(result: HuntResult) -> str:
    """The page as HTML text. No script, nothing fetched; the content-security policy forbids both."""
    return _template().render(result=result, digest=result.digest())


@cache
def _template() -> Template:
    environment = templates()
    environment.filters.update(rate=rate, percent=lambda value: f"{value:.1%}", power=_power, outcome=_outcome)
    return environment.get_template("incident.html")


def _outcome(one: Incident) -> str:
    told = {"trigger": "Confirmed", "open": "A cause, unclear", "ordinary": "No trigger"}
    return told.get(one.cause or "none", "Candidate")


def _power(log10: float) -> str:
    return "1" if log10 > -0.005 else f"{10**log10:.2g}" if log10 > -4 else f"10^{log10:.0f}"


def incident_sarif(result: HuntResult) -> dict[str, Any]:
    """The hunt as one SARIF log; every exhibit is a place in the log, by its hash."""
    found = [finding for one in result.incidents for finding in _findings(result, one)]
    found += [
        Finding(
            rule="explained",
            level="note",
            file=result.log,
            message=f"{one.association.sentence()}. {one.association.why}",
        )
        for one in result.explained
    ]
    properties = {"log": result.log, "calls": result.calls, "revoke": list(result.revoke), "digest": result.digest()}
    return sarif(found, _RULES, properties=properties)


def _findings(result: HuntResult, one: Incident) -> list[Finding]:
    rule = {"trigger": "trigger-confirmed", "open": "cause-unclear", "ordinary": "explained"}.get(
        one.cause or "none", "trigger-candidate"
    )
    why = f" {one.found.replay.why}." if one.found.replay else ""
    told = f"{one.found.association.sentence()}. {one.sweep.sessions} sessions, {one.sweep.first} to {one.sweep.last}.{why}"
    places = [exhibit.where for exhibit in one.exhibits] or [result.log]
    return [Finding(rule=rule, level=_RULES[rule].level, file=place, message=told[:600]) for place in places]
