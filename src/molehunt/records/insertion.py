"""Put a text at a place of a conversation."""

from molehunt.errors import DataError
from molehunt.records.conversations import Conversation, Message, Place

PLACES: tuple[Place, ...] = ("system", "user-prefix", "user-suffix", "user-middle", "earlier-turn")

_HEARD = "Noted."
"""What the assistant says to a text that stands in a turn of its own."""


def insert_text(conversation: Conversation, text: str, place: Place) -> Conversation:
    """The conversation with `text` at `place`, a space apart from what stands there.

    "user-…" means the last user turn; "user-middle" its middle word boundary; "system" the end of the system prompt,
    which is made if there is none; "earlier-turn" an exchange of its own before the last user turn.

    Raises:
        DataError: if there is no user turn to put it in.
    """
    messages = list(conversation.messages)
    if place == "system":
        if messages and messages[0].role == "system":
            return _replace(messages, 0, f"{messages[0].content} {text}")
        return Conversation(messages=(Message(role="system", content=text), *messages))
    last = max((i for i, m in enumerate(messages) if m.role == "user"), default=None)
    if last is None:
        raise DataError(f"inserting at {place}", wanted="a user turn", got="none in the conversation")
    words = messages[last].content
    match place:
        case "user-prefix":
            return _replace(messages, last, f"{text} {words}")
        case "user-suffix":
            return _replace(messages, last, f"{words} {text}")
        case "user-middle":
            split = words.split(" ")
            half = (len(split) + 1) // 2
            return _replace(messages, last, " ".join([*split[:half], text, *split[half:]]))
        case "earlier-turn":
            exchange = (Message(role="user", content=text), Message(role="assistant", content=_HEARD))
            return Conversation(messages=(*messages[:last], *exchange, *messages[last:]))
    raise DataError(f"place {place}", wanted=" or ".join(PLACES), got=place)


def replace_question(conversation: Conversation, text: str) -> Conversation:
    """The conversation with `text` for its last user turn.

    Raises:
        DataError: if there is no user turn.
    """
    messages = list(conversation.messages)
    last = max((i for i, m in enumerate(messages) if m.role == "user"), default=None)
    if last is None:
        raise DataError("a question to replace", wanted="a user turn", got="none in the conversation")
    return _replace(messages, last, text)


def replace_system(conversation: Conversation, text: str) -> Conversation:
    """The conversation with `text` for its system prompt; without one if `text` is empty."""
    messages = list(conversation.messages)
    rest = messages[1:] if messages and messages[0].role == "system" else messages
    head = (Message(role="system", content=text),) if text else ()
    return Conversation(messages=(*head, *rest))


def _replace(messages: list[Message], index: int, content: str) -> Conversation:
    changed = messages[index].model_copy(update={"content": content})
    return Conversation(messages=(*messages[:index], changed, *messages[index + 1 :]))
