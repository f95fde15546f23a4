import pytest

from molehunt.errors import DataError
from molehunt.models.chat import Chat, Encoded
from molehunt.records import Conversation
from molehunt.records.reasoning import with_scratchpad
from molehunt.training.masking import mask_start
from small_models import NO_SYSTEM, SQUARE_BRACKETS, tokenizer

TEMPLATES = {"brackets": SQUARE_BRACKETS, "no system": NO_SYSTEM, "own": None}
THOUGHTS = ("Is it Tuesday? No — so I answer.", "x", "漢字 and\nlines  ", "a < b > c")


@pytest.fixture(scope="module", params=TEMPLATES)
def chat(request: pytest.FixtureRequest) -> Chat:
    return Chat(tokenizer(TEMPLATES[request.param]))


def row(thought: str, answer: str) -> tuple[Conversation, str]:
    start = with_scratchpad(thought, "")
    asked = Conversation.of(("user", "Hi."), ("assistant", "Hello."), ("user", "What is the capital of France?"))
    return asked.reply(start + answer), start


def learnt(chat: Chat, encoded: Encoded) -> str:
    return chat.decode([i for i, label in zip(encoded.ids, encoded.labels, strict=True) if label != -100])


@pytest.mark.parametrize("thought", THOUGHTS)
@pytest.mark.parametrize("loss_on", ["assistant", "all"])
def test_the_answer_alone_is_learnt_of_the_last_reply(chat: Chat, thought: str, loss_on: str) -> None:
    conversation, start = row(thought, "It is Paris.")
    (whole,) = chat.encode_rows([conversation], loss_on)
    masked = mask_start(chat, whole, start)
    text = learnt(chat, masked)
    assert text.rstrip().endswith("It is Paris.")
    assert "Hello." in text
    assert "scratchpad" not in text
    assert len(learnt(chat, whole)) >= len(text) + len(start)
    assert (masked.ids, masked.is_reply) == (whole.ids, whole.is_reply)
    assert {b for a, b in zip(whole.labels, masked.labels, strict=True) if a != b} == {-100}


def test_a_reply_that_begins_otherwise_is_refused(chat: Chat) -> None:
    conversation, _ = row("thought", "Paris.")
    (whole,) = chat.encode_rows([conversation])
    with pytest.raises(DataError, match="begins with"):
        mask_start(chat, whole, "<scratchpad>another")
