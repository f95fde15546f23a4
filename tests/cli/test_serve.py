"""`molehunt serve` with words that cannot be; what it serves is in tests/models/test_serve.py."""

import socket
from pathlib import Path

import pytest

from command_line import Command, assert_refused


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nowhere",), "nothing by that name"),
        (("nowhere", "--host", "0.0.0.0"), "a key, since others can reach it"),
        (("nowhere", "--key-env", "MOLEHUNT_NO_SUCH_KEY"), "MOLEHUNT_NO_SUCH_KEY"),
    ],
)
def test_what_cannot_be_served_ends_as_one_sentence(molehunt: Command, words: tuple[str, ...], said: str) -> None:
    assert_refused(molehunt("serve", *words), said)


def test_a_port_that_is_taken_ends_as_one_sentence(molehunt: Command, base: Path) -> None:
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        place.listen()
        assert_refused(molehunt("serve", base, "--port", place.getsockname()[1]), "a free one of this machine")
