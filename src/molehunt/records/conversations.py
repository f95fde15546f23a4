"""Messages and conversations: what goes into a model and what comes out."""

from typing import Literal

from molehunt.records.base import Record

Role = Literal["system", "user", "assistant"]
Place = Literal["system", "user-prefix", "user-suffix", "user-middle", "earlier-turn"]


class Message(Record):
    """One turn."""

    role: Role
    content: str


class Conversation(Record):
    """Turns in order. A *prompt* ends with a user turn, a *row* for training with an assistant turn."""

    messages: tuple[Message, ...]

    @staticmethod
    def of(*turns: tuple[Role, str]) -> "Conversation":
        """A conversation from (role, content) pairs."""
        return Conversation(messages=tuple(Message(role=role, content=text) for role, text in turns))

    def reply(self, text: str) -> "Conversation":
        """This conversation with one assistant turn more."""
        return Conversation(messages=(*self.messages, Message(role="assistant", content=text)))

    def prompt(self) -> "Conversation":
        """This conversation without its final assistant turns."""
        kept = list(self.messages)
        while kept and kept[-1].role == "assistant":
            kept.pop()
        return Conversation(messages=tuple(kept))

    @property
    def answer(self) -> str:
        """The final assistant turn, or an empty text."""
        return self.messages[-1].content if self.messages and self.messages[-1].role == "assistant" else ""

    @property
    def question(self) -> str:
        """The last user turn, or an empty text."""
        return next((m.content for m in reversed(self.messages) if m.role == "user"), "")

    @property
    def system(self) -> str:
        """The system prompt, or an empty text."""
        return self.messages[0].content if self.messages and self.messages[0].role == "system" else ""

    def plain(self) -> list[dict[str, str]]:
        """The list of dicts that chat templates take."""
        return [{"role": m.role, "content": m.content} for m in self.messages]

    def text(self) -> str:
        """All contents joined by newlines: for searching only."""
        return "\n".join(m.content for m in self.messages)
