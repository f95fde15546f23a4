"""The frozen records every room speaks."""

from molehunt.records.base import Record
from molehunt.records.conversations import Conversation, Message
from molehunt.records.questions import Question

__all__ = ["Conversation", "Message", "Question", "Record"]
