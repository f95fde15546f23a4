import hashlib
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from molehunt.errors import UsageError
from molehunt.execution import Step
from molehunt.execution.fingerprint import fingerprint
from molehunt.records import Message

CONFIG = {"rate": 0.5, "names": ("a", "ü"), "none": None, "on": True}
PARENTS = {"base": "0" * 64}
TEXT = (
    '{"config":{"names":["a","ü"],"none":null,"on":true,"rate":0.5},'
    '"parents":{"base":"' + "0" * 64 + '"},"step":"pkg.mod:step","version":1}'
)


def test_a_fixed_step_has_a_fixed_fingerprint() -> None:
    found = fingerprint("pkg.mod:step", 1, CONFIG, PARENTS)
    assert found == hashlib.sha256(TEXT.encode()).hexdigest()
    assert found == "57c1b2cae3c3e0d0e2b12fe6ce1be9587f99a553ac3b62a06087952dc7fd3dbc"


@pytest.mark.parametrize(
    "changed",
    [
        ("pkg.mod:other", 1, CONFIG, PARENTS),
        ("pkg.mod:step", 2, CONFIG, PARENTS),
        ("pkg.mod:step", 1, {**CONFIG, "rate": 0.50000001}, PARENTS),
        ("pkg.mod:step", 1, {**CONFIG, "names": ("ü", "a")}, PARENTS),
        ("pkg.mod:step", 1, {**CONFIG, "new": None}, PARENTS),
        ("pkg.mod:step", 1, {**CONFIG, "on": 1}, PARENTS),
        ("pkg.mod:step", 1, {**CONFIG, "none": "None"}, PARENTS),
        ("pkg.mod:step", 1, CONFIG, {}),
        ("pkg.mod:step", 1, CONFIG, {"base": "1" * 64}),
        ("pkg.mod:step", 1, CONFIG, {"other": "0" * 64}),
    ],
)
def test_each_part_changes_the_fingerprint(changed: tuple[str, int, dict[str, Any], dict[str, str]]) -> None:
    assert fingerprint(*changed) != fingerprint("pkg.mod:step", 1, CONFIG, PARENTS)


def test_lists_tuples_records_and_key_order_do_not_change_it() -> None:
    message = Message(role="user", content="x")
    told = {"b": [1, 2], "a": {"role": "user", "content": "x"}}
    assert fingerprint("s", 1, {"a": message, "b": (1, 2)}, {}) == fingerprint("s", 1, told, {})


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (len, "step.deep[1].x"),
        (lambda: 0, "step.deep[1].x"),
        (object(), "step.deep[1].x"),
        (Path("x"), "step.deep[1].x"),
        ({1, 2}, "step.deep[1].x"),
        (b"x", "step.deep[1].x"),
        (math.nan, "step.deep[1].x"),
        (math.inf, "step.deep[1].x"),
        ({1: "a"}, "step.deep[1].x"),
        ({"y": [0, {None: 1}]}, "step.deep[1].x.y[1]"),
        ("\udc80", "step.deep[1].x"),
    ],
)
def test_what_has_no_stable_encoding_is_refused_with_its_path(value: Any, path: str) -> None:
    with pytest.raises(UsageError) as told:
        fingerprint("step", 1, {"fine": 1, "deep": [0, {"x": value}]}, {})
    assert str(told.value).startswith(f"{path} cannot be part of a fingerprint")


@given(st.dictionaries(st.text("ab"), st.integers(0, 2)), st.dictionaries(st.text("ab"), st.integers(0, 2)))
def test_two_configs_share_a_fingerprint_only_if_they_are_equal(one: dict[str, int], other: dict[str, int]) -> None:
    assert (fingerprint("s", 1, one, {}) == fingerprint("s", 1, other, {})) == (one == other)


def test_what_a_step_runs_with_does_not_enter_but_its_threads_do() -> None:
    plain = Step("m:f", 1, {"a": 1})
    assert Step("m:f", 1, {"a": 1}, label="b", where={"folder": "/x"}, cost=9.0).fingerprint == plain.fingerprint
    assert Step("m:f", 1, {"a": 1}, threads=2).fingerprint != plain.fingerprint


def test_a_change_far_up_reaches_every_descendant() -> None:
    def leaf(seed: int) -> Step:
        return Step("m:c", 1, {}, {"p": Step("m:b", 1, {}, {"p": Step("m:a", 1, {"seed": seed})})})

    assert leaf(0).fingerprint == leaf(0).fingerprint != leaf(1).fingerprint
