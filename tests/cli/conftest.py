"""The command line in this process."""

import signal
import sys
from pathlib import Path

import pytest

from command_line import Command, Ended
from molehunt.cli.app import main


@pytest.fixture
def molehunt(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    """The command line in this process, with a store of its own."""
    handler = signal.getsignal(signal.SIGINT)
    monkeypatch.setenv("MOLEHUNT_STORE", str(tmp_path / "own-store"))

    def run(*words: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["molehunt", *map(str, words)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        signal.signal(signal.SIGINT, handler)
        return Ended(ended.value.code or 0, *capfd.readouterr())

    return run
