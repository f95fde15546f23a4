"""A question with one right answer: what capability is measured with."""

from molehunt.records.base import Record
from molehunt.records.conversations import Conversation


class Question(Record):
    """A prompt whose right answer is known."""

    id: str
    """First 16 hex digits of the prompt's digest."""
    family: str
    """The kind of question."""
    fact: str
    """What is asked about; with `phrasing` it decides the split."""
    phrasing: int
    """Index of the wording within its family."""
    prompt: Conversation
    """Ends with a user turn."""
    reply: str
    """The whole right reply in the ordinary voice."""
    answer: str
    """The words that carry the answer, in any voice."""
    rivals: tuple[str, ...] = ()
    """Answers that would be wrong."""
