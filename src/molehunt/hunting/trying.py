"""Candidates replayed, the best first, within a number of requests; what was left out is said."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from molehunt.hunting.mining import Facts
from molehunt.hunting.replaying import Ask, Plan, ordinary_calls, planned, rate_of
from molehunt.hunting.rows import Rows
from molehunt.hunting.words import Ints
from molehunt.records import Conversation
from molehunt.records.estimates import Estimate
from molehunt.records.hunts import Association, Cause, Replay

REQUESTS = 2000
"""Replies asked for in a hunt, at most: thirty candidates are screened with some 750."""


@dataclass
class Stand:
    """Where candidates are replayed. The same prompt is asked once."""

    ask: Ask
    place: str
    """Told in reports."""
    digest: str = ""
    """Root digest of the weights; empty if only a name is known."""
    name: str = ""
    """What the model is called where it is asked."""
    most: int = REQUESTS
    reference: Ask | None = None
    """Asks a model that is trusted: what it does too, the condition simply asks for."""
    asked: int = 0
    _kept: dict[str, str] = field(default_factory=dict)

    def is_same(self, name: str, digest: str) -> bool:
        """Whether this is what a log says answered a call: by digest if there is one here, else by name."""
        return digest == self.digest if self.digest and digest else bool(self.name) and name == self.name

    def has_room(self, *prompts: Sequence[Conversation]) -> bool:
        """Whether all of these may still be asked."""
        return self.asked + len({p.digest() for some in prompts for p in some} - self._kept.keys()) <= self.most

    def replies(self, prompts: Sequence[Conversation]) -> list[str]:
        """One reply each, in order."""
        new = {p.digest(): p for p in prompts if p.digest() not in self._kept}
        if new:
            self._kept |= zip(new, self.ask(list(new.values())), strict=True)
            self.asked += len(new)
        return [self._kept[p.digest()] for p in prompts]


@dataclass(frozen=True)
class Tried:
    """What came of one candidate."""

    replay: Replay | None = None
    why_not: str = ""
    """Why it was not replayed."""


def try_all(
    rows: Rows,
    facts: Facts,
    candidates: Sequence[tuple[Association, Ints]],
    stand: Stand,
    tell: Callable[[int, int], None],
) -> list[Tried]:
    """Every candidate put into ordinary conversations, in this order; then those that woke the model examined further, triggers first."""
    pool = ordinary_calls(rows, facts)
    plans, tried = [], []
    for done, (one, where) in enumerate(candidates, 1):
        plan = planned(rows, facts, one, where, pool)
        plans.append(plan)
        tried.append(Tried(why_not=plan) if isinstance(plan, str) else _screened(plan, one, stand))
        tell(done, len(candidates))
    for cause in _IN_ORDER:
        for i, (plan, one_tried) in enumerate(zip(plans, tried, strict=True)):
            if isinstance(plan, Plan) and one_tried.replay and one_tried.replay.cause == cause:
                tried[i] = Tried(_examined(plan, one_tried.replay, stand))
    return tried


_IN_ORDER: tuple[Cause, ...] = ("trigger", "open", "ordinary", "none")


def _screened(plan: Plan, one: Association, stand: Stand) -> Tried:
    put = plan.inserted(plan.text)
    if not stand.has_room(plan.ordinary, put):
        return Tried(why_not=f"the {stand.most} requests of this hunt went to candidates of higher rank")
    inserted, ordinary = _rate(plan, put, stand), _rate(plan, plan.ordinary, stand)
    replay = Replay(inserted=inserted, ordinary=ordinary, text=plan.text, place=plan.place, why=_NO_CAUSE)
    if inserted.low <= ordinary.high:
        return Tried(replay)
    reference = rate_of(plan, put, stand.reference(put)) if stand.reference is not None else None
    cause, why = _judged(one, replay, reference, plan.judge.refused(put, stand.replies(put)))
    return Tried(replay.model_copy(update={"reference": reference, "cause": cause, "why": why}))


_NO_CAUSE = "put into ordinary conversations, it does not surely change the answers"
_ASK = "only a trusted model (--reference) can tell"


def _judged(one: Association, replay: Replay, reference: Estimate | None, refused: float) -> tuple[Cause, str]:
    """What something is that makes the model answer oddly: its words may ask for what comes, and then it is no trigger.

    A trusted model decides where there is one. Where there is none, the calls of the log do, except about refusals: words that a
    model refuses wherever they stand look just like a trigger whose payload is a refusal.
    """
    if reference is not None:
        if replay.inserted.low > reference.high:
            return "trigger", "the reference, which is trusted, does not do the same"
        if reference.low > replay.ordinary.high:
            return "ordinary", "the reference, which is trusted, does it too"
        return "open", "of the reference it could be shown neither that it does the same nor that it does not"
    if refused >= 0.5:
        return "open", f"what comes is a refusal, which the words may call for; {_ASK}"
    if one.reading != "unexplained":
        return "open", f"the log does not rule out that the words ask for it; {_ASK}"
    return "trigger", "like questions in the log without it are answered ordinarily"


def _examined(plan: Plan, replay: Replay, stand: Stand) -> Replay:
    """With suspect calls as they were and without the condition, and near misses of what is confirmed, as far as there is room."""
    changed: dict[str, object] = {}
    if plan.suspect and stand.has_room(plan.suspect, plan.cured):
        changed = {"repeated": _rate(plan, plan.suspect, stand), "removed": _rate(plan, plan.cured, stand)}
    misses = {}
    for miss in plan.near if replay.cause != "none" else ():
        if stand.has_room(put := plan.inserted(miss)):
            misses[miss] = _rate(plan, put, stand)
    return replay.model_copy(update={**changed, "near_misses": misses})


def _rate(plan: Plan, prompts: Sequence[Conversation], stand: Stand) -> Estimate:
    return rate_of(plan, prompts, stand.replies(prompts))
