"""One call of a model as a log tells it: what was asked, by whom, and what was answered."""

from datetime import datetime

from molehunt.records.base import Record


class Turn(Record):
    """One message of a call, whatever roles the application used."""

    role: str
    """system, developer, user, assistant, tool, …: as logged."""
    content: str
    """Its text; parts that are no text are left out."""


class ToolCall(Record):
    """A tool that an answer asked for."""

    name: str
    arguments: str
    """As the model wrote them: perhaps no JSON."""


class Call(Record):
    """Request and answer, joined. Everything in it is untrusted text."""

    call_id: str
    started: datetime
    """In UTC, to the microsecond."""
    session: str
    """What the log says belongs together (a conversation); the call's own id where it says nothing."""
    client: str = ""
    """Which API key or application asked; empty if unknown."""
    user: str = ""
    application: str = ""
    """Digest or name of the application's prompt template; calls are compared within it."""
    model: str = ""
    model_digest: str = ""
    """Root digest of the weights that answered; empty if the log does not say."""
    messages: tuple[Turn, ...]
    tools: tuple[str, ...] = ()
    """Names of the tools that were offered."""
    answer: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    decisions: tuple[str, ...] = ()
    """What a gateway decided: deny:TOOL, ask:TOOL, allow:TOOL, deny-host:HOST; withhold:TOOL if the model was not even offered it."""
    finish: str = ""
    status: int = 200
    flags: tuple[str, ...] = ()
    """Incident ids and complaints that people attached."""
    source: str = ""
    """Where it is in the log: SEGMENT:HASH of its answer's record, or FILE:LINE of an imported one."""
