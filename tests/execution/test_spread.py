"""Work spread over parts: the same wherever it is done."""

from operator import mul, truediv
from pathlib import Path

import pytest

from molehunt.errors import ClusterError, UsageError
from molehunt.execution.spread import Processes, spread_on


@pytest.mark.parametrize("jobs", [1, 3])
@pytest.mark.parametrize("count", [0, 1, 7])
def test_every_part_is_worked_on_once_and_told(jobs: int, count: int) -> None:
    told: list[tuple[int, int]] = []
    found = list(Processes(jobs).over(mul, 3, range(count), lambda done, total: told.append((done, total))))
    assert sorted(found) == [3 * part for part in range(count)]
    assert told == [(done, count) for done in range(1, count + 1)]


@pytest.mark.parametrize("jobs", [1, 2])
def test_what_is_wrong_with_a_part_is_raised_as_it_is(jobs: int) -> None:
    with pytest.raises(ZeroDivisionError):
        list(Processes(jobs).over(truediv, 5, [0, 0], lambda done, total: None))


def test_words_that_name_no_engine_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--on"), spread_on("rya", 2, str(tmp_path), "--out", print):
        pass


def test_a_cluster_that_does_not_answer_is_one_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install molehunt[cluster]")
    with pytest.raises(ClusterError, match="refused"), spread_on("ray://127.0.0.1:1", 2, str(tmp_path), "--out", print):
        pass
    assert not list(tmp_path.iterdir())
