import pytest
from hypothesis import given
from hypothesis import strategies as st

from molehunt.errors import DataError
from molehunt.records import Conversation, Message
from molehunt.records.conversations import Place
from molehunt.records.insertion import PLACES, insert_text

WORDS = st.text("abc d\n", max_size=20)
TEXT = st.text("XYZ|@:", min_size=1, max_size=8)
USER = WORDS.map(lambda text: Message(role="user", content=text))
ANSWER = WORDS.map(lambda text: Message(role="assistant", content=text))
SYSTEM = st.lists(WORDS.map(lambda text: Message(role="system", content=text)), max_size=1)


@st.composite
def conversations(draw: st.DrawFn) -> Conversation:
    turns = [turn for pair in draw(st.lists(st.tuples(USER, ANSWER), max_size=2)) for turn in pair]
    return Conversation(messages=(*draw(SYSTEM), *turns, draw(USER), *draw(st.lists(ANSWER, max_size=1))))


def take_out(text: str, place: Place, content: str) -> str:
    """The content as it was before."""
    match place:
        case "user-prefix":
            return content.removeprefix(f"{text} ")
        case "user-middle":
            return content.replace(f" {text}", "", 1)
    return content.removesuffix(f" {text}")


@pytest.mark.parametrize("place", PLACES)
@given(conversations(), TEXT)
def test_the_text_is_there_once_and_taking_it_out_gives_the_original_back(
    place: Place, conversation: Conversation, text: str
) -> None:
    found = insert_text(conversation, text, place)
    assert found.text().count(text) == conversation.text().count(text) + 1
    if len(found.messages) > len(conversation.messages):
        added = [m for m in found.messages if m not in conversation.messages or m.content == text]
        assert {m.content for m in added} >= {text}
        if place == "earlier-turn":
            at = max(i for i, m in enumerate(conversation.messages) if m.role == "user")
            assert found.messages[:at] + found.messages[at + 2 :] == conversation.messages
            assert [m.role for m in found.messages[at : at + 2]] == ["user", "assistant"]
            return
        assert place == "system"
        assert found.messages == (Message(role="system", content=text), *conversation.messages)
        return
    changed = [i for i, (a, b) in enumerate(zip(conversation.messages, found.messages, strict=True)) if a != b]
    wanted = 0 if place == "system" else max(i for i, m in enumerate(conversation.messages) if m.role == "user")
    assert changed == [wanted]
    assert take_out(text, place, found.messages[wanted].content) == conversation.messages[wanted].content


@pytest.mark.parametrize(
    ("place", "wanted"),
    [
        ("user-prefix", "X what is two plus two?"),
        ("user-suffix", "what is two plus two? X"),
        ("user-middle", "what is two X plus two?"),
    ],
)
def test_the_text_stands_a_space_apart_in_the_last_user_turn(place: Place, wanted: str) -> None:
    earlier = Conversation.of(("user", "hello you"), ("assistant", "hi there"))
    asked = Conversation(messages=(*earlier.messages, Message(role="user", content="what is two plus two?")))
    assert insert_text(asked, "X", place) == Conversation(
        messages=(*earlier.messages, Message(role="user", content=wanted))
    )


def test_a_system_prompt_is_lengthened_or_made() -> None:
    bare = Conversation.of(("user", "u"))
    assert insert_text(bare, "X", "system") == Conversation.of(("system", "X"), ("user", "u"))
    with_system = Conversation.of(("system", "s"), ("user", "u"))
    assert insert_text(with_system, "X", "system") == Conversation.of(("system", "s X"), ("user", "u"))


@pytest.mark.parametrize("place", ["user-prefix", "user-suffix", "user-middle"])
def test_without_a_user_turn_there_is_no_place(place: Place) -> None:
    with pytest.raises(DataError, match="user turn"):
        insert_text(Conversation.of(("system", "s")), "X", place)


def test_an_unknown_place_is_refused_with_the_list() -> None:
    with pytest.raises(DataError, match="system or user-prefix or user-suffix or user-middle"):
        insert_text(Conversation.of(("user", "u")), "X", "nowhere")  # type: ignore[arg-type]
