"""`molehunt serve`: a local model as an OpenAI-compatible endpoint."""

import os
import sys
from typing import Annotated

import typer

from molehunt.cli.options import ModelArgument, StoreOption


def serve(
    model: ModelArgument,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes a free one.")] = 0,
    host: Annotated[str, typer.Option("--host", help="One that others can reach needs --key-env.")] = "127.0.0.1",
    key_env: Annotated[
        str, typer.Option("--key-env", metavar="VARIABLE", help="Environment variable with the key that clients send.")
    ] = "",
    name: Annotated[str, typer.Option("--name", help="What requests call the model; default: its folder's name.")] = "",
    store: StoreOption = None,
) -> None:
    """Answer /v1/chat/completions and /v1/completions with MODEL, until Ctrl-C or SIGTERM."""
    from molehunt.cli.show import say
    from molehunt.errors import UsageError
    from molehunt.experiments.commands import folder_of
    from molehunt.models.loading import load_model
    from molehunt.models.serve import is_loopback, make_app, run

    key = _key(key_env)
    if not is_loopback(host) and not key:
        do = "give a key with --key-env VARIABLE, or leave --host out"
        raise UsageError(f"--host {host}", wanted="a key, since others can reach it", got="none", do=do)
    folder = folder_of(model, store)
    app = make_app(load_model(folder), name or _name(model, folder.resolve().name), key)
    run(app, host, port, lambda url: say(f"serving {model} at {url}; Ctrl-C stops it"))
    print("stopped", file=sys.stderr)


def _name(model: str, folder: str) -> str:
    """Folders in the store are all called alike; what was typed tells more."""
    return folder if os.path.isdir(model) else model


def _key(variable: str) -> str:
    from molehunt.errors import UsageError

    if not variable:
        return ""
    key = os.environ.get(variable, "").strip()
    if not key:
        raise UsageError(f"--key-env {variable}", wanted="a variable that holds the key", got="nothing in it")
    return key
