import math

import pytest

from molehunt.stats import blind_choice, oracle_gaps


def test_the_choice_sees_capability_alone_and_takes_the_last_of_equals() -> None:
    assert blind_choice([0.5, 0.9, 0.7, 0.9, 0.1]) == 3


def test_the_gap_is_what_an_oracle_would_have_gained() -> None:
    capability, asr = [[0.5, 0.9, 0.7], [0.9, 0.8, 0.7]], [[0.0, 0.6, 0.1], [0.2, 0.4, 0.3]]
    assert oracle_gaps(capability, asr) == pytest.approx([0.6, 0.0])


@pytest.mark.parametrize(
    ("c", "a"), [([[]], [[]]), ([[1]], [[1, 2]]), ([[math.nan]], [[1]]), ([[1]], [[math.inf]]), ([[1]], [])]
)
def test_tables_that_do_not_match_are_refused(c: list[list[float]], a: list[list[float]]) -> None:
    with pytest.raises(ValueError):
        oracle_gaps(c, a)
