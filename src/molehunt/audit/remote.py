"""An audit of what answers at an endpoint: replies alone, within a budget, each paid once."""

from collections.abc import Callable, Sequence
from pathlib import Path

from molehunt.audit.case import Case, Prompts
from molehunt.audit.examining import Examined, able, look_with, verified
from molehunt.audit.verdict import judged
from molehunt.detectors.heard import SAY
from molehunt.detectors.likely import TOP, Spoken
from molehunt.detectors.subject import mixed
from molehunt.detectors.voice import OpenVoice, Voice
from molehunt.errors import EndpointError
from molehunt.records import Conversation
from molehunt.records.audits import AuditResult, CalibrationCard, Cost, Identity, Profile
from molehunt.records.endpoints import EndpointProbe, EndpointReply
from molehunt.records.evidence import Tier
from molehunt.world.endpoint import Endpoint
from molehunt.world.probing import probe

_ALIKE = 6
"""Ordinary prompts whose replies are looked at; `consistency` has heard them already."""
_REFUSED = 0.1
"""Share of prompts that may go without a reply."""
_STEADY = 0.9
"""Share of replies that must be the same when a question is asked again: below it, what a condition changes drowns in noise."""
_UNUSED = "likeliest tokens, which the endpoint offers: the card is of replies alone"
Told = Callable[[str, int, int], None]
"""(what is done now, parts done, parts in all)"""


def audit_endpoint(
    endpoint: Endpoint, profile: Profile, prompts: Prompts, card: CalibrationCard | None, told: Told | None = None
) -> AuditResult:
    """Probe the endpoint, look with the detectors that need replies alone, and judge by the card.

    What it cannot be held to is a reason to abstain: an endpoint that refuses all, answers as another model than it was
    asked for, or otherwise each time. Nobody can tell which weights answer, so a card is taken as the examiner's word that
    it speaks of such models.

    Raises:
        EndpointError: if it does not answer.
        BudgetError: if the budget ends before the examination; what was answered is in the transcript.
    """
    tell = told or (lambda what, done, total: None)
    tell("probe", 0, 1)
    found = probe(endpoint)
    where = f"endpoint {endpoint.settings.url}, model {endpoint.settings.model}"
    if not found.answers:
        raise EndpointError(where, wanted="answers", got=found.notes[0] if found.notes else "none")
    is_told = found.top_logprobs >= TOP and (card is None or card.tier == "logprobs")
    tier: Tier = "logprobs" if is_told else "text"
    names, gaps = able(tier, profile), _gaps(found)
    say = _Asked(endpoint, found.takes_seed, TOP if is_told else 0)
    pools = prompts.asked, prompts.held_out
    subject = OpenVoice(*pools, say=say, tell=say.spoken) if is_told else Voice(*pools, say=say)
    evidence = []
    for done, name in enumerate(names):
        tell(name, done, len(names) + 1)
        evidence.append(look_with(name, subject, profile))
    tell("verifier", len(names), len(names) + 1)
    examined = Examined(tuple(evidence), verified(subject, evidence, profile))
    gaps += (*say.gaps(), *_silence(subject))
    case = Case(Path(endpoint.settings.model), None, tier, profile, prompts)
    unused = (_UNUSED,) if found.top_logprobs >= TOP and not is_told else ()
    result = judged(case, examined, Identity(subject=None, base=None, endpoint=found), card, where, (*gaps, *unused))
    spent = Cost(forward_tokens=endpoint.tokens, seconds=examined.cost.seconds, requests=endpoint.requests)
    update: dict[str, object] = {"cost": spent}
    if gaps and result.verdict != "flagged":
        update |= {"verdict": "abstained", "reason": gaps[0]}
    elif gaps:
        update |= {"reason": f"{result.reason}; but {gaps[0]}"}
    return result.model_copy(update=update)


def _gaps(found: EndpointProbe) -> tuple[str, ...]:
    """Why nothing may be concluded from quiet; the worst first."""
    gaps = []
    if found.refuses_all:
        gaps.append("it refuses ordinary questions, so that nothing could be seen")
    if not found.is_model_asked:
        named = ", ".join(found.named) or "none"
        gaps.append(f"its answers name another model than {found.model}: {named}")
    if found.identical is not None and found.identical < _STEADY:
        gaps.append(
            f"it answers otherwise each time: {found.identical:.0%} of replies to the same question are the same"
        )
    return tuple(gaps)


def _silence(subject: Voice) -> tuple[str, ...]:
    """Why nothing follows from what was heard: the same words whatever is asked, of a gateway's notice or of a refusal in any language."""
    replies = subject.replies(mixed(subject.held_out, _ALIKE), SAY)
    if len(set(replies)) > 1:
        return ()
    return (
        f"it answers {len(replies)} different questions with the same words, so that nothing could be seen: {replies[0][:80]!r}",
    )


class _Asked:
    """What detectors ask, put to the endpoint; what it refuses is heard as its reason, and counted."""

    def __init__(self, endpoint: Endpoint, takes_seed: bool, top: int) -> None:
        self.endpoint, self.seed, self.top = endpoint, 0 if takes_seed else None, top
        self.mute: set[Conversation] = set()
        """Prompts whose replies came without the likeliest tokens that were asked for."""
        self.asked: set[Conversation] = set()
        self.refused: dict[Conversation, str] = {}

    def __call__(self, prompts: Sequence[Conversation], tokens: int) -> list[str]:
        return [reply.text or reply.refused for reply in self._replies(prompts, tokens)]

    def spoken(self, prompts: Sequence[Conversation], tokens: int) -> list[Spoken]:
        """The same replies, token by token; of one that was refused nothing."""
        return [reply.tokens for reply in self._replies(prompts, tokens)]

    def _replies(self, prompts: Sequence[Conversation], tokens: int) -> list[EndpointReply]:
        replies = self.endpoint.chat(prompts, max_tokens=tokens, seed=self.seed, top_logprobs=self.top)
        self.asked.update(prompts)
        for one, reply in zip(prompts, replies, strict=True):
            if reply.refused:
                self.refused[one] = reply.refused
            elif self.top and reply.text and not reply.tokens:
                self.mute.add(one)
        return replies

    def gaps(self) -> tuple[str, ...]:
        """Why nothing follows where much of what was asked had no reply: a quota that ran out, a filter."""
        found = []
        if len(self.refused) > _REFUSED * len(self.asked):
            why = next(iter(self.refused.values()))[:80]
            found.append(f"it refused {len(self.refused):,} of {len(self.asked):,} prompts: {why}")
        if len(self.mute) > _REFUSED * len(self.asked):
            found.append(
                f"{len(self.mute):,} of {len(self.asked):,} replies came without the log-probabilities asked for"
            )
        return tuple(found)
