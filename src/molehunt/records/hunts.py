"""What a hunt in logs or training data brings: conditions, how well they predict, and what else explains them."""

from typing import Any, Literal

from pydantic import Field

from molehunt.records.base import Record
from molehunt.records.estimates import Estimate

Reading = Literal["unexplained", "explained", "unclear"]
"""What a find is after matched controls: a hidden condition, a word that asks for what came, or neither shown."""
Cause = Literal["trigger", "ordinary", "open", "none"]
"""What replay says of a condition: it makes the model answer oddly and nothing ordinary accounts for that; a trusted model does the
same; it makes the model do so, and whether the words ask for it could not be told; or it does not make the model do anything."""


class Condition(Record):
    """One thing that can be said of an input. The text quotes untrusted input."""

    kind: str
    """words, string, signs, character, script, setting, field, turns, shape, date, asked."""
    text: str
    """What is looked for, or what holds, in words."""
    size: int = 1
    """Words of a phrase."""
    place: str = ""
    """Where it must stand; empty for anywhere."""

    def sentence(self) -> str:
        """The condition in words."""
        quoted = {"words": "the words", "string": "the string", "signs": "the signs", "setting": "the setting"}
        told = f"{quoted[self.kind]} “{self.text}”" if self.kind in quoted else f"{self.kind}: {self.text}"
        return f"{told} ({self.place})" if self.place else told


class Counts(Record):
    """A two-by-two table of distinct sources: sessions, or prompts that are not nearly the same."""

    labelled_with: int
    """Labelled, and the condition holds."""
    labelled: int
    with_it: int
    """The condition holds, labelled or not."""
    sources: int

    @property
    def rate_with(self) -> float:
        """Share of sources with the condition that are labelled."""
        return self.labelled_with / self.with_it if self.with_it else 0.0

    @property
    def rate_without(self) -> float:
        """The same without it."""
        rest = self.sources - self.with_it
        return (self.labelled - self.labelled_with) / rest if rest else 0.0


class Association(Record):
    """A condition, or two that must both hold, that predicts a label."""

    conditions: tuple[Condition, ...]
    label: str
    counts: Counts
    log10_p: float
    """Of the exact test by distinct sources, within strata."""
    log10_q: float
    """After Benjamini and Hochberg over all conditions tested."""
    bonferroni: bool
    """It also holds by the stricter line: p times all conditions tested is at most the level."""
    tested: int
    """Conditions tested: those that occur often enough to be found."""
    ratio_low: float = 0.0
    """So many times as often labelled with it as without, at least (95%): what candidates are ranked by."""
    rows_with: int
    rows_labelled: int
    reading: Reading = "unclear"
    why: str = ""
    """What speaks for the reading, in one sentence."""
    contributors: tuple[tuple[str, int], ...] = ()
    """Who brought the labelled rows, most first."""
    also_labels: tuple[str, ...] = ()
    """Other labels that the same condition predicts, less surely."""
    also: tuple[Condition, ...] = ()
    """Longer or weaker forms that say the same of the same rows."""

    def sentence(self) -> str:
        """The find in words."""
        said = " and ".join(one.sentence() for one in self.conditions)
        c = self.counts
        return (
            f"{said} → {self.label}: {c.labelled_with} of {c.with_it} sources with it, "
            f"{c.rate_without:.2%} without; p = 1e{self.log10_p:.0f}"
        )


class Replay(Record):
    """What putting a condition into ordinary conversations, and taking it out of suspect ones, does to a model."""

    text: str
    """As it stood in the log."""
    place: str
    inserted: Estimate
    """Share of held-out conversations labelled with the condition put in."""
    ordinary: Estimate
    """The same conversations as they are."""
    removed: Estimate | None = None
    """Suspect calls, the condition taken out."""
    repeated: Estimate | None = None
    """Suspect calls as they were."""
    near_misses: dict[str, Estimate] = Field(default_factory=dict)
    """Other forms of the condition."""
    reference: Estimate | None = None
    """The same conversations with the condition put in, of a model that is trusted."""
    cause: Cause = "none"
    """Other than “none” if the interval with the condition lies wholly above the one without."""
    why: str = ""
    """What speaks for it, in one sentence."""


class Found(Record):
    """One association and what was done about it."""

    association: Association
    replay: Replay | None = None
    rows: tuple[str, ...] = ()
    """Places of the labelled rows, most telling first; a sample where there are many."""

    def to_json(self) -> dict[str, Any]:
        """As JSON values, with its sentence."""
        return {"sentence": self.association.sentence(), **self.model_dump(mode="json")}


class Suspect(Record):
    """A row to read."""

    where: str
    """FILE:LINE."""
    chance: float
    """That it is one of those looked for: the share of such rows that the label's usual rate does not explain."""
    find: int
    """Number of the find, from 0, that it belongs to."""
    labels: tuple[str, ...]
    who: str = ""


class DataScan(Record):
    """What a look through training data brought."""

    path: str
    rows: int
    layouts: dict[str, int]
    skipped: dict[str, int]
    labels: dict[str, int]
    """Rows that each labeller finds odd."""
    tested: int
    """Conditions tested, times labels."""
    finds: tuple[Found, ...]
    """Hidden conditions, or what may be one; the surest first."""
    explained: tuple[Found, ...]
    """Conditions that predict an answer because they ask for it."""
    queue: tuple[Suspect, ...]
    """Rows to read, those first that need the fewest reads for a find."""
    dropped: int | None = None
    unread: tuple[str, ...] = ()
    """Further splits that lie there and were not looked at."""

    @property
    def suspicious(self) -> bool:
        """Something was found that nothing ordinary explains."""
        return any(found.association.reading == "unexplained" for found in self.finds)

    def sentence(self) -> str:
        """The outcome in one sentence."""
        unread = f"; not looked at: {', '.join(self.unread)} (--split)" if self.unread else ""
        if not self.suspicious:
            more = f"; {len(self.finds)} unclear" if self.finds else ""
            more += f"; {sum(self.skipped.values())} bad rows were not looked at" if self.skipped else ""
            return f"{self.path}: {self.rows} rows, no hidden condition found{more}{unread}"
        first = next(f for f in self.finds if f.association.reading == "unexplained")
        return f"{self.path}: {len(self.queue)} of {self.rows} rows to read: {first.association.sentence()}{unread}"

    def to_json(self) -> dict[str, Any]:
        """As JSON values, with the outcome."""
        outcome = "found" if self.suspicious else "not fully examined" if self.skipped else "nothing found"
        return {"outcome": outcome, **self.model_dump(mode="json")}


class Touched(Record):
    """One session in which a trigger occurred."""

    session: str
    client: str
    calls: int
    odd: int
    """Calls whose answer a labeller found odd."""
    first: str
    """ISO time in UTC; empty if the log has none."""
    last: str
    actions: tuple[str, ...] = ()
    """Tools called, hosts named, decisions, in the calls with the trigger."""


class Sweep(Record):
    """All of a log, searched for one trigger."""

    calls: int
    odd: int
    sessions: int
    clients: tuple[tuple[str, int], ...]
    models: tuple[tuple[str, int], ...]
    """Root digests of weights, or names, that answered, with calls."""
    called: tuple[tuple[str, str], ...] = ()
    """(name that was asked for, root digest that answered), each once; a digest may be empty."""
    actions: tuple[tuple[str, int], ...]
    first: str
    last: str
    touched: tuple[Touched, ...]
    """Sessions, those with most odd calls first; a sample where there are many."""


class Exhibit(Record):
    """One call, quoted."""

    where: str
    """SEGMENT:HASH or FILE:LINE: what proves it."""
    session: str
    time: str
    asked: str
    answered: str
    did: tuple[str, ...] = ()


class Incident(Record):
    """One association of a hunt with everything that follows from it."""

    found: Found
    sweep: Sweep
    exhibits: tuple[Exhibit, ...]
    untried: str = ""
    """Why it was not replayed; empty if it was, or if nothing was."""

    @property
    def confirmed(self) -> bool:
        """Replay showed that the condition causes it, and nothing ordinary accounts for it."""
        return self.cause == "trigger"

    @property
    def cause(self) -> Cause | None:
        """What replay says; None if it was not replayed."""
        return self.found.replay.cause if self.found.replay else None


class HuntResult(Record):
    """What a hunt through a log brought."""

    log: str
    calls: int
    sessions: int
    labels: dict[str, int]
    tested: int
    replayed_on: str = ""
    """Model folder or endpoint; empty if nothing was replayed."""
    requests: int = 0
    """Replies that replay asked for."""
    incidents: tuple[Incident, ...]
    """Candidates that nothing in the log explains: confirmed ones first, then causes that are open."""
    untold: int = 0
    """Further candidates, of lower rank, that are neither told nor replayed."""
    explained: tuple[Found, ...]
    revoke: tuple[str, ...] = ()
    """Root digests of the weights that were replayed on, if a trigger is confirmed; names where there is no digest."""
    also_answered: tuple[str, ...] = ()
    """Other weights that answered calls with a confirmed trigger: nobody replayed on them, so nothing is known of them."""
    version: str = ""

    @property
    def confirmed(self) -> tuple[Incident, ...]:
        """Incidents whose trigger replay confirmed: what a revocation rests on."""
        return tuple(one for one in self.incidents if one.confirmed)

    @property
    def open(self) -> tuple[Incident, ...]:
        """Incidents whose condition causes the answers, as a trigger does or because the words ask for them."""
        return tuple(one for one in self.incidents if one.cause == "open")

    def sentence(self) -> str:
        """The outcome in one sentence."""
        if self.confirmed:
            one = self.confirmed[0]
            return (
                f"{self.log}: a trigger is confirmed: {one.found.association.sentence()}; {one.sweep.sessions} sessions"
            )
        if self.incidents:
            told = self.incidents[0].found.association.sentence()
            causes = f" (open causes, which the words may ask for: {len(self.open)})" if self.open else ""
            return f"{self.log}: {len(self.incidents)} candidates{causes}, no trigger confirmed by replay; the surest: {told}"
        return f"{self.log}: {self.calls} calls, nothing found"

    def to_json(self) -> dict[str, Any]:
        """As JSON values, with the outcome."""
        outcome = "confirmed" if self.confirmed else "candidates" if self.incidents else "nothing found"
        return {"outcome": outcome, **self.model_dump(mode="json")}
