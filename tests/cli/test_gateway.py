"""Words of `molehunt gateway` that are off, found out before anything is started."""

from pathlib import Path

import pytest

from command_line import Command, assert_refused

UP = ("--upstream", "http://127.0.0.1:9/v1")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--upstream", "nonsense"), "--upstream"),
        (("--upstream", "ftp://host/v1"), "--upstream"),
        (("--upstream", "http://host:99999/v1"), "--upstream"),
        (("--upstream", "http://user:key@host/v1"), "without user"),
        (("--upstream", "name=nonsense"), "--upstream"),
        ((*UP, "--base", "nonsense"), "--base"),
        ((*UP, "--webhook", "nonsense"), "--webhook"),
        ((*UP, "--anchor", "ftp://host/x"), "--anchor"),
        ((*UP, "--digest", "xyz"), "--digest"),
        ((), "either --upstream or --model"),
        ((*UP, "--host", "0.0.0.0"), "--keys"),
    ],
)
def test_a_gateway_is_not_started_with_words_that_are_off(
    molehunt: Command, tmp_path: Path, words: tuple[str, ...], told: str
) -> None:
    assert_refused(molehunt("gateway", "serve", "--log", tmp_path / "log", *words), told)
    assert not (tmp_path / "log").exists()
