from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_steps import step

from molehunt.errors import UsageError
from molehunt.execution import Graph, Step


def test_equal_steps_are_folded_into_one() -> None:
    child = step("child", {"a": step("base"), "b": step("base", label="the same again")})
    graph = Graph([child, step("base"), step("child", {"a": step("base"), "b": step("base")})])
    assert len(graph) == 2
    assert [s.config["text"] for s in graph.steps.values()] == ["base", "child"]


@given(st.lists(st.lists(st.integers(0, 30), max_size=4), min_size=1, max_size=12), st.randoms())
def test_every_step_follows_its_parents(shape: list[list[int]], rng: Random) -> None:
    steps: list[Step] = []
    for number, wanted in enumerate(shape):
        parents = {f"p{i}": steps[i % len(steps)] for i in wanted} if steps else {}
        steps.append(step(f"s{number}", parents))
    order = list(Graph(rng.sample(steps, len(steps))).steps)
    assert sorted(order) == sorted(s.fingerprint for s in steps)
    for one in steps:
        assert all(order.index(p.fingerprint) < order.index(one.fingerprint) for p in one.parents.values())


@pytest.mark.parametrize("length", [1, 2, 5])
def test_a_circle_is_refused_with_the_name_of_a_step_on_it(length: int) -> None:
    first = last = step("first")
    for number in range(length - 1):
        last = step(f"s{number}", {"p": last})
    first.parents["p"] = last
    with pytest.raises(UsageError, match=r"step \w+ depends on itself; do: remove the circle"):
        Graph([last])


@pytest.mark.timeout(10)
def test_a_ladder_of_diamonds_is_walked_without_trying_every_way_down() -> None:
    rung = step("bottom")
    for number in range(60):
        rung = step(f"s{number}", {"left": rung, "right": rung})
    assert len(Graph([rung])) == 61
