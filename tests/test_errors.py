import copy
import pickle

import pytest

from molehunt import errors

KINDS = [k for k in vars(errors).values() if isinstance(k, type) and issubclass(k, errors.MolehuntError)]


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_survives_pickling_and_copying(kind: type[errors.MolehuntError]) -> None:
    error = kind("poison rate", wanted="at most 1", got="1.1", do="lower it")
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(again) is kind
        assert str(again) == str(error)
        assert (again.what, again.wanted, again.got, again.do) == ("poison rate", "at most 1", "1.1", "lower it")


@pytest.mark.parametrize("kind", KINDS)
def test_a_message_is_one_line_of_the_parts_that_were_given(kind: type[errors.MolehuntError]) -> None:
    assert str(kind("rate")) == "rate"
    assert str(kind("rate", do="lower it")) == "rate; do: lower it"
    assert str(kind("rate", wanted="1", got="2", do="lower it")) == "rate; wanted 1; got 2; do: lower it"


def test_errors_are_also_what_python_calls_them() -> None:
    assert issubclass(errors.UsageError, ValueError)
    assert issubclass(errors.DataError, ValueError)
    assert issubclass(errors.StoreError, OSError)
    assert issubclass(errors.CorruptArtifactError, errors.StoreError)
