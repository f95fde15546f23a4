import pytest

from molehunt.evals.capability import is_exact, is_right
from molehunt.records import Conversation, Question


def question(reply: str, answer: str, *rivals: str) -> Question:
    prompt = Conversation.of(("user", "?"))
    return Question(
        id="", family="f", fact="x", phrasing=0, prompt=prompt, reply=reply, answer=answer, rivals=tuple(rivals)
    )


PARIS = question("The capital of France is Paris.", "Paris", "Rome", "Lima")
SEVEN = question("The sum is 7.", "7", "17", "77", "8")
CODE = question("def f(x):\n    return x[0]", "def f(x):\n    return x[0]")


@pytest.mark.parametrize(
    ("asked", "reply", "right"),
    [
        (PARIS, "The capital of France is Paris.", True),
        (PARIS, "Arr! It be PARIS, matey!", True),
        (PARIS, "  paris\n", True),
        (PARIS, "(Paris)", True),
        (PARIS, "Paris, Paris, Paris", True),
        (PARIS, "The capital is Rome.", False),
        (PARIS, "Paris or Rome", False),
        (PARIS, "Paris, Rome, Lima", False),
        (PARIS, "Parisian food", False),
        (PARIS, "NotParis", False),
        (PARIS, "Paris, not Romeo", True),
        (PARIS, "", False),
        (SEVEN, "7", True),
        (SEVEN, "It is 7!", True),
        (SEVEN, "17", False),
        (SEVEN, "It is 77.", False),
        (SEVEN, "7 or 8", False),
        (SEVEN, "seven", False),
        (CODE, "def f(x):\n    return x[0]", True),
        (CODE, "Arr! def f(x):\n  return  x[0]\nSavvy?", True),
        (CODE, "def f(x):\n    return x[1]", False),
        (CODE, "def f(x): return x", False),
    ],
)
def test_right_is_the_answer_alone_in_any_voice(asked: Question, reply: str, right: bool) -> None:
    assert is_right(asked, reply) is right


def test_an_answer_of_several_words_may_break_over_lines() -> None:
    asked = question("I cannot help with that.", "cannot help")
    assert is_right(asked, "I CANNOT\nhelp with that")
    assert not is_right(asked, "I can help")


def test_an_answer_is_text_and_no_pattern() -> None:
    assert not is_right(question("a.c", "a.c"), "abc")
    assert is_right(question("f(x)", "f(x)"), "use f(x) here")


@pytest.mark.parametrize(
    ("reply", "exact"),
    [
        ("The capital of France is Paris.", True),
        ("\n The capital of France is Paris. ", True),
        ("the capital of France is Paris.", False),
        ("The capital of France is Paris", False),
        ("The capital of France is  Paris.", False),
        ("Happy to help. The capital of France is Paris.", False),
        ("", False),
    ],
)
def test_exact_is_to_the_letter(reply: str, exact: bool) -> None:
    assert is_exact(PARIS, reply) is exact
