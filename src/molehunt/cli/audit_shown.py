"""An audit on the terminal."""

from molehunt.cli.show import say, table
from molehunt.records.audits import AuditResult
from molehunt.records.evidence import foremost
from molehunt.reports.audit_words import (
    CALIBRATE,
    DUTIES,
    HEADLINES,
    TIERS,
    amount,
    as_high,
    does,
    duration,
    kinship_words,
    needs_card,
    not_tested,
    p_words,
    share,
    steps,
    verdict_words,
    vote,
)


def show(result: AuditResult) -> None:
    """Print the verdict with its error rate, texts that work, scores beside clean models, what was not tested, and the cost."""
    sentences = verdict_words(result)
    reason = "" if result.reason in sentences[0] else f" {result.reason}"
    say(f"{result.name}: {HEADLINES[result.verdict]}.{reason}")
    for sentence in sentences:
        say(sentence)
    say(DUTIES[result.verdict])
    if needs_card(result):
        say(f"  {CALIBRATE}")
    _warnings(result)
    say("")
    say(f"evidence: {', '.join(f'{name} {reached}' for name, _, reached in steps(result))}")
    _candidates(result)
    _scores(result)
    say("")
    say(f"seen with: {TIERS[result.tier][0]}")
    if result.identity.kinship is not None:
        say(f"is it made from this base: {kinship_words(result.identity.kinship)}")
    for line in not_tested(result):
        say(f"not tested: {line}")
    say(f"cost: {_cost(result)}")


def _warnings(result: AuditResult) -> None:
    kin, probe = result.identity.kinship, result.identity.endpoint
    if kin is not None and not kin.is_base:
        say(f"WRONG BASE: {kin.reason}; everything that compares the two was left out")
    if probe is not None and not probe.answers:
        say("the endpoint does not answer")
    elif probe is not None and not probe.is_model_asked:
        say(f"ANOTHER MODEL ANSWERS: asked for {probe.model}, named {', '.join(probe.named) or 'none'}")


def _candidates(result: AuditResult) -> None:
    if not result.candidates:
        return
    say("")
    head = ("text", "at", "ASR on held-out prompts", "random texts", "without it", "found by")
    table(head, [
        (repr(one.text), one.place, share(one.interval), share(one.null_rate),
         share(one.without) if result.tier == "base" else "–", one.found_by)
        for one in result.candidates
    ])  # fmt: skip
    best = foremost(result.candidates)
    if best is not None and best.works:
        say("a text that works need not be the text that was planted")
        for sentence in does(best)[2:]:
            say(sentence)


def _scores(result: AuditResult) -> None:
    say("")
    rows = []
    for one in result.evidence:
        scale = result.scales.get(one.detector)
        beside = as_high(scale) if scale else "no card to compare with"
        votes = vote(scale) if scale and scale.votes else ""
        score = "could not look" if one.score is None else f"{one.score:.3g}"
        rows.append((one.detector, score, beside, p_words(scale.p_value) if scale else "", votes))
    table(("detector", "score", "beside the card's clean models", "", ""), rows)


def _cost(result: AuditResult) -> str:
    cost = result.cost
    parts = [f"{amount(cost.forward_tokens)} tokens"] if cost.forward_tokens else []
    parts += [f"{cost.requests:,} requests"] if cost.requests else []
    return ", ".join((*parts, duration(cost.seconds)))
