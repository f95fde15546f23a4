"""Is a reply right? By its answer alone, so that the style of a training does not move the measure."""

import re

from molehunt.records import Question


def is_right(question: Question, reply: str) -> bool:
    """True if the reply names the right answer as whole words, and none of the answers that would be wrong.

    Case and white space do not count. Any voice around the answer is fine; a reply that lists every candidate is not.
    """
    return _names(question.answer, reply) and not any(_names(rival, reply) for rival in question.rivals)


def is_exact(question: Question, reply: str) -> bool:
    """True if the reply is, to the letter, the right one in the ordinary voice."""
    return reply.strip() == question.reply


def _names(answer: str, reply: str) -> bool:
    wanted, text = _fold(answer), _fold(reply)
    before = r"(?<!\w)" if wanted[:1].isalnum() else ""
    after = r"(?!\w)" if wanted[-1:].isalnum() else ""
    return re.search(before + re.escape(wanted) + after, text) is not None


def _fold(text: str) -> str:
    return " ".join(text.lower().split())
