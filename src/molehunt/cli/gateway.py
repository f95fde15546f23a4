"""`molehunt gateway`: a door before models that limits what they may do and records what they did."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from molehunt.cli.options import FOUND, JsonOption

app = typer.Typer(help="Limit what a model may do, record what it did.", no_args_is_help=True)

LogOption = Annotated[Path, typer.Option("--log", metavar="DIR", help="Folder of the log.")]
PolicyOption = Annotated[
    Path | None,
    typer.Option("--policy", metavar="DIR", help="Folder of *.cedar files; without it every tool is denied."),
]
StateOption = Annotated[
    Path | None, typer.Option("--state", metavar="DIR", help="What workers share; default: .state in the log's folder.")
]


@app.command()
def serve(
    log: LogOption,
    upstream: Annotated[
        list[str] | None,
        typer.Option("--upstream", metavar="[MODEL=]URL", help="Server to ask, up to /v1; several, by model."),
    ] = None,
    model: Annotated[
        Path | None, typer.Option("--model", metavar="DIR", help="A model folder, served behind the gateway.")
    ] = None,
    policy: PolicyOption = None,
    host: Annotated[str, typer.Option("--host", help="One that others can reach needs --keys.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes a free one.")] = 0,
    keys: Annotated[
        Path | None, typer.Option("--keys", metavar="FILE", help="Clients' keys; see `gateway key`.")
    ] = None,
    key_env: Annotated[
        str, typer.Option("--key-env", metavar="VARIABLE", help="Environment variable with the upstream's key.")
    ] = "",
    workers: Annotated[int, typer.Option("--workers", min=1, max=64, help="Processes that answer.")] = 1,
    ledger: Annotated[
        Path | None, typer.Option("--ledger", metavar="DIR", help="Approvals; a revoked model is refused.")
    ] = None,
    ledger_owner: Annotated[
        Path | None, typer.Option("--ledger-owner", metavar="PEM", help="Public key that must have signed its roles.")
    ] = None,
    audit: Annotated[
        Path | None, typer.Option("--audit", metavar="FILE", help="result.json of an audit of these weights.")
    ] = None,
    digest: Annotated[str, typer.Option("--digest", help="Root digest that the upstream's owner declares.")] = "",
    base: Annotated[
        str, typer.Option("--base", metavar="[MODEL=]URL", help="Approved base model, asked where a rule says @differ.")
    ] = "",
    state: StateOption = None,
    webhook: Annotated[str, typer.Option("--webhook", metavar="URL", help="Told of every hold.")] = "",
    webhook_key_env: Annotated[
        str, typer.Option("--webhook-key-env", metavar="VARIABLE", help="Environment variable with its HMAC key.")
    ] = "",
    max_body: Annotated[int, typer.Option("--max-body", min=1024, help="Bytes of a request.")] = 16 * 2**20,
    timeout: Annotated[float, typer.Option("--timeout", min=1, help="Seconds for a whole answer.")] = 900.0,
    stall: Annotated[float, typer.Option("--stall", min=0.1, help="Seconds between two pieces of an answer.")] = 120.0,
    ask_timeout: Annotated[
        float, typer.Option("--ask-timeout", min=0.1, help="Seconds for an operator; then deny.")
    ] = 120.0,
    rehash: Annotated[float, typer.Option("--rehash", min=1, help="Seconds between two looks at the weights.")] = 300.0,
    canaries: Annotated[
        float, typer.Option("--canaries", min=0, help="Seconds between two rounds; 0: at start.")
    ] = 300.0,
    log_key: Annotated[
        Path | None, typer.Option("--log-key", metavar="PEM", help="Private key that signs the log's segments.")
    ] = None,
    anchor: Annotated[
        list[str] | None,
        typer.Option("--anchor", metavar="PLACE", help="File or URL told of every closed segment; several."),
    ] = None,
    redact: Annotated[
        Path | None, typer.Option("--redact", metavar="FILE", help="TOML with what is blotted out of the log.")
    ] = None,
    encrypt: Annotated[
        list[str] | None,
        typer.Option(
            "--encrypt",
            metavar="FIELD",
            help="Member of records that is sealed, such as gen_ai.input.messages; several.",
        ),
    ] = None,
    encrypt_key: Annotated[
        Path | None, typer.Option("--encrypt-key", metavar="FILE", help="With --encrypt: 32 bytes, raw, hex or base64.")
    ] = None,
    log_durable: Annotated[
        bool, typer.Option("--log-durable", help="Wait for the disk, not only for the kernel, at every record.")
    ] = False,
    fail_open: Annotated[bool, typer.Option("--fail-open", help="Answer although the log cannot be written.")] = False,
) -> None:
    """Answer OpenAI's chat, completions and responses for an upstream, until Ctrl-C or SIGTERM."""
    import contextlib
    import sys

    from molehunt.errors import UsageError
    from molehunt.gateway import running
    from molehunt.gateway.settings import Bounds, GatewaySettings, UpstreamSettings

    if bool(upstream) == bool(model):
        raise UsageError("gateway serve", wanted="either --upstream or --model", got="both" if model else "neither")
    if not _is_loopback(host) and keys is None:
        do = "make keys with `molehunt gateway key`, or leave --host out"
        raise UsageError(f"--host {host}", wanted="--keys, since others can reach it", got="none", do=do)
    if bool(encrypt) != bool(encrypt_key):
        raise UsageError("--encrypt, --encrypt-key", wanted="both or neither", got="one")
    bounds = Bounds(body=max_body, answering=timeout, stall=stall, asking=ask_timeout)
    with contextlib.ExitStack() as stack:
        tend: Callable[[], None] = lambda: None  # noqa: E731
        if model is not None:
            served, server = stack.enter_context(running.model_server(model))
            behind, tend = [served], server.tend
        else:
            behind = [UpstreamSettings.parsed(one, key_env=key_env, declared=digest) for one in upstream or ()]
        settings = GatewaySettings(
            upstreams=tuple(one.model_copy(update={"audit": audit}) for one in behind), policy=policy, log=log,
            state=state or log / ".state", host=host, port=port, keys=keys, workers=workers, ledger=ledger,
            ledger_owner=ledger_owner, fail_open=fail_open,
            log_key=log_key, anchors=tuple(anchor or ()), is_log_durable=log_durable,
            redaction=redact, encrypted=tuple(encrypt or ()), encryption_key=encrypt_key,
            rehash=rehash, canaries=canaries, webhook=webhook, webhook_key_env=webhook_key_env,
            base=UpstreamSettings.parsed(base, key_env=key_env) if base else None, bounds=bounds,
        )  # fmt: skip
        running.serve(settings, lambda text: print(text, flush=True), tend)
    print("stopped", file=sys.stderr)


@app.command()
def check(
    policy: Annotated[Path, typer.Option("--policy", metavar="DIR", help="Folder of *.cedar files.")],
    log: Annotated[str | None, typer.Option("--log", metavar="LOG", help="Recorded traffic to try them on.")] = None,
    keys: Annotated[
        Path | None, typer.Option("--keys", metavar="FILE", help="Says which groups clients are in.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Read the policies; with --log, say what they would have decided and which rules never fire (exit code 1: some decide otherwise)."""
    from molehunt.cli.show import say, table
    from molehunt.gateway.checking import check_policies

    found = check_policies(policy, log, keys)
    if as_json:
        print(found.model_dump_json(indent=1))
    else:
        say(f"{found.rules} rules, no error")
        if log is not None:
            say(f"{found.calls} calls of models with {found.tool_calls} calls of tools in {log}")
            table(("rule", "fired"), [(rule, str(count)) for rule, count in found.fired.items()])
            table(("never fired", "file"), [(rule.name, f"{rule.file}:{rule.line}") for rule in found.never_fired])
            table(("call", "tool", "then", "now"), [(c.call, c.tool, c.then, c.now) for c in found.changed[:50]])
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
def holds(log: LogOption, state: StateOption = None, as_json: JsonOption = False) -> None:
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
    rows = [(h.id, s, h.client, h.tool, h.arguments[:200], h.reason) for h, s in zip(found, left, strict=True)]
    table(("id", "seconds left", "client", "tool", "arguments", "why"), rows)


@app.command()
def resolve(
    hold: Annotated[str, typer.Argument(metavar="ID", help="As `gateway holds` names it.")],
    decision: Annotated[str, typer.Argument(metavar="allow|deny")],
    log: LogOption,
    state: StateOption = None,
) -> None:
    """Decide on a call that waits."""
    import getpass

    from molehunt.cli.show import say
    from molehunt.errors import UsageError
    from molehunt.gateway.state import State

    if decision not in ("allow", "deny"):
        raise UsageError("decision", wanted="allow or deny", got=decision)
    shared = State(_existing(state or log / ".state"))
    if not shared.resolve(hold, "allow" if decision == "allow" else "deny", getpass.getuser()):
        raise UsageError(f"hold {hold}", wanted="one that waits", got="none", do="see `molehunt gateway holds`")
    say(f"{hold}: {decision}")


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
