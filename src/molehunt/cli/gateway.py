"""`molehunt gateway`: a door before models that limits what they may do and records what they did."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from molehunt.cli import gateway_options as o
from molehunt.cli.options import FOUND, JsonOption

if TYPE_CHECKING:
    from contextlib import ExitStack

    from molehunt.gateway.settings import UpstreamSettings

app = typer.Typer(help="Limit what a model may do, record what it did.", no_args_is_help=True)


@app.command()
def serve(
    log: o.Log,
    upstream: o.Upstream = None,
    model: o.Model = None,
    policy: o.Policy = None,
    host: o.Host = "127.0.0.1",
    port: o.Port = 0,
    keys: o.Keys = None,
    key_env: o.KeyEnv = "",
    workers: o.Workers = 1,
    ledger: o.Ledger = None,
    ledger_owner: o.LedgerOwner = None,
    audit: o.Audit = None,
    digest: o.Digest = "",
    base: o.Base = "",
    state: o.State = None,
    webhook: o.Webhook = "",
    webhook_key_env: o.WebhookKeyEnv = "",
    max_body: o.MaxBody = 16 * 2**20,
    body_timeout: o.BodyTimeout = 30.0,
    timeout: o.Timeout = 900.0,
    stall: o.Stall = 120.0,
    ask_timeout: o.AskTimeout = 120.0,
    rehash: o.Rehash = 300.0,
    canaries: o.Canaries = 300.0,
    log_key: o.LogKey = None,
    anchor: o.Anchor = None,
    redact: o.Redact = None,
    encrypt: o.Encrypt = None,
    encrypt_key: o.EncryptKey = None,
    log_durable: o.LogDurable = False,
    fail_open: o.FailOpen = False,
) -> None:
    """Answer OpenAI's chat, completions and responses for an upstream, until Ctrl-C or SIGTERM."""
    import contextlib
    import sys

    from molehunt.gateway import running
    from molehunt.gateway.settings import Bounds, GatewaySettings, UpstreamSettings

    _refuse_contradictions(upstream, model, host, keys, encrypt, encrypt_key)
    _refuse_misspelt(digest, webhook, anchor or [])
    bounds = Bounds(body=max_body, reading=body_timeout, answering=timeout, stall=stall, asking=ask_timeout)
    with contextlib.ExitStack() as stack:
        behind, tend = _behind(stack, upstream, model, key_env, digest)
        settings = GatewaySettings(
            upstreams=tuple(one.model_copy(update={"audit": audit}) for one in behind), policy=policy, log=log,
            state=state or log / ".state", host=host, port=port, keys=keys, workers=workers, ledger=ledger,
            ledger_owner=ledger_owner, log_key=log_key, anchors=tuple(anchor or ()), is_log_durable=log_durable, fail_open=fail_open,
            redaction=redact, encrypted=tuple(encrypt or ()), encryption_key=encrypt_key, rehash=rehash, canaries=canaries,
            webhook=webhook, webhook_key_env=webhook_key_env, bounds=bounds,
            base=UpstreamSettings.parsed(base, "--base", key_env=key_env) if base else None,
        )  # fmt: skip
        running.serve(settings, lambda text: print(text, flush=True), tend)
    print("stopped", file=sys.stderr)


def _refuse_contradictions(
    upstream: list[str] | None,
    model: Path | None,
    host: str,
    keys: Path | None,
    encrypt: list[str] | None,
    sealing: Path | None,
) -> None:
    from molehunt.errors import UsageError

    if bool(upstream) == bool(model):
        raise UsageError("gateway serve", wanted="either --upstream or --model", got="both" if model else "neither")
    if not _is_loopback(host) and keys is None:
        do = "make keys with `molehunt gateway key`, or leave --host out"
        raise UsageError(f"--host {host}", wanted="--keys, since others can reach it", got="none", do=do)
    if bool(encrypt) != bool(sealing):
        raise UsageError("--encrypt, --encrypt-key", wanted="both or neither", got="one")


def _refuse_misspelt(digest: str, webhook: str, anchors: list[str]) -> None:
    """What would be found out only when it is needed."""
    import re

    from molehunt.errors import UsageError
    from molehunt.gateway.settings import checked_url

    if digest and not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise UsageError("--digest", wanted="a root digest, 64 of 0-9a-f", got=repr(digest[:80]))
    if webhook:
        checked_url(webhook, "--webhook", may_ask=True)
    for place in anchors:
        if "://" in place:
            checked_url(place, "--anchor", may_ask=True)


def _behind(
    stack: "ExitStack", upstream: list[str] | None, model: Path | None, key_env: str, digest: str
) -> "tuple[list[UpstreamSettings], Callable[[], None]]":
    """What is asked, and what has to be called often to keep it up."""
    from molehunt.gateway import running
    from molehunt.gateway.settings import UpstreamSettings

    if model is not None:
        served, server = stack.enter_context(running.model_server(model))
        return [served], server.tend
    return [UpstreamSettings.parsed(one, key_env=key_env, declared=digest) for one in upstream or ()], lambda: None


@app.command()
def check(
    policy: Annotated[Path, typer.Option("--policy", metavar="DIR", help="Folder of *.cedar files.")],
    log: Annotated[str | None, typer.Option("--log", metavar="LOG", help="Recorded traffic to try them on.")] = None,
    keys: Annotated[
        Path | None, typer.Option("--keys", metavar="FILE", help="Says which groups clients are in.")
    ] = None,
    ledger: Annotated[
        Path | None, typer.Option("--ledger", metavar="DIR", help="Says what standing the logged models have now.")
    ] = None,
    ledger_owner: o.LedgerOwner = None,
    audit: o.Audit = None,
    as_json: JsonOption = False,
) -> None:
    """Read the policies; with --log, say what they would have decided and which rules never fire (exit code 1: some decide otherwise)."""
    from molehunt.cli.show import say, table
    from molehunt.gateway.checking import check_policies
    from molehunt.gateway.facts import read_audit
    from molehunt.gateway.running import open_ledger

    found = check_policies(policy, log, keys, open_ledger(ledger, ledger_owner), read_audit(audit))
    if as_json:
        print(found.model_dump_json(indent=1))
    else:
        say(f"{found.rules} rules, no error")
        if log is not None:
            say(f"{found.calls} calls of models with {found.tool_calls} calls of tools in {log}")
            table(("rule", "fired"), [(rule, str(count)) for rule, count in found.fired.items()])
            table(("never fired", "file"), [(rule.name, f"{rule.file}:{rule.line}") for rule in found.never_fired])
            table(("call", "tool", "then", "now"), [(c.call, c.tool, c.then, c.now) for c in found.changed[:50]])
            for words in found.assumed:
                say(f"taken for granted, since rules ask for it: {words}")
    if found.changed:
        raise typer.Exit(FOUND)


@app.command()
def key(
    client: Annotated[str, typer.Argument(metavar="CLIENT", help="Who gets it.")],
    keys: Annotated[Path, typer.Option("--keys", metavar="FILE", help="Made if it is missing; keeps hashes alone.")],
    group: Annotated[list[str] | None, typer.Option("--group", help="Cedar's Group that it is in; several.")] = None,
    per_minute: Annotated[float | None, typer.Option("--per-minute", min=0.01, help="Requests.")] = None,
    operator: Annotated[bool, typer.Option("--operator", help="May resolve holds; asks no models.")] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Take all keys of the client away instead.")] = False,
) -> None:
    """Give a client a key, shown once; the keys that it has stay until --remove. A running gateway reads the file anew."""
    from molehunt.cli.show import say
    from molehunt.errors import UsageError
    from molehunt.gateway.keys import Client, add_key, read_keys, write_keys

    if remove:
        old = read_keys(keys)
        left = tuple(one for one in old if one.name != client)
        if len(left) == len(old):
            raise UsageError(f"client {client}", wanted=f"one that has keys in {keys}", got="none")
        write_keys(keys, left)
        say(f"{client} has no key any more")
        return
    say(add_key(keys, Client(name=client, groups=tuple(group or ()), per_minute=per_minute, operator=operator)))


@app.command()
def holds(log: o.Log, state: o.State = None, as_json: JsonOption = False) -> None:
    """List calls that wait for an operator."""
    import json
    import time

    from molehunt.cli.show import table
    from molehunt.gateway.state import State

    found = State(_existing(state or log / ".state")).waiting()
    if as_json:
        print(json.dumps([hold._asdict() for hold in found], indent=1))
        return
    left = [str(max(0, round(hold.expires - time.time()))) for hold in found]
    rows = [(h.id, s, h.client, h.tool, _shortened(h.arguments), h.reason) for h, s in zip(found, left, strict=True)]
    table(("id", "seconds left", "client", "tool", "arguments", "why"), rows)


def _shortened(arguments: str) -> str:
    """What decides may stand at the end: that something is left out is said."""
    most = 200
    return arguments if len(arguments) <= most else f"{arguments[:most]} … {len(arguments) - most} more: see --json"


@app.command()
def resolve(
    hold: Annotated[str, typer.Argument(metavar="ID", help="As `gateway holds` names it.")],
    decision: Annotated[str, typer.Argument(metavar="allow|deny")],
    log: o.Log,
    state: o.State = None,
) -> None:
    """Decide on a call that waits."""
    from molehunt.cli.show import say
    from molehunt.errors import UsageError
    from molehunt.gateway.state import State

    if decision not in ("allow", "deny"):
        raise UsageError("decision", wanted="allow or deny", got=decision)
    shared = State(_existing(state or log / ".state"))
    if not shared.resolve(hold, "allow" if decision == "allow" else "deny", f"user {_user()}"):
        raise UsageError(f"hold {hold}", wanted="one that waits", got="none", do="see `molehunt gateway holds`")
    say(f"{hold}: {decision}")


def _user() -> str:
    import getpass
    import os

    try:
        return getpass.getuser()
    except (KeyError, OSError):  # in a container a user may have no name
        return str(os.getuid())


def _existing(folder: Path) -> Path:
    from molehunt.errors import UsageError

    if not folder.is_dir():
        raise UsageError(
            f"state {folder}", wanted="the folder of a gateway's state", got="none", do="name the gateway's --log"
        )
    return folder


def _is_loopback(host: str) -> bool:
    import ipaddress

    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
