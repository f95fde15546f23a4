"""The options of `molehunt gateway`, one by one."""

from pathlib import Path
from typing import Annotated

import typer

Log = Annotated[Path, typer.Option("--log", metavar="DIR", help="Folder of the log.")]
Policy = Annotated[
    Path | None,
    typer.Option("--policy", metavar="DIR", help="Folder of *.cedar files; without it every tool is denied."),
]
State = Annotated[
    Path | None, typer.Option("--state", metavar="DIR", help="What workers share; default: .state in the log's folder.")
]
Keys = Annotated[Path | None, typer.Option("--keys", metavar="FILE", help="Clients' keys; see `gateway key`.")]
Ledger = Annotated[Path | None, typer.Option("--ledger", metavar="DIR", help="Approvals; a revoked model is refused.")]
LedgerOwner = Annotated[
    Path | None, typer.Option("--ledger-owner", metavar="PEM", help="Public key that must have signed its roles.")
]
Audit = Annotated[
    Path | None, typer.Option("--audit", metavar="FILE", help="result.json of an audit of these weights.")
]

# What is asked
Upstream = Annotated[
    list[str] | None,
    typer.Option("--upstream", metavar="[MODEL=]URL", help="Server to ask, up to /v1; several, by model."),
]
Model = Annotated[
    Path | None, typer.Option("--model", metavar="DIR", help="A model folder, served behind the gateway.")
]
KeyEnv = Annotated[
    str, typer.Option("--key-env", metavar="VARIABLE", help="Environment variable with the upstream's key.")
]
Digest = Annotated[str, typer.Option("--digest", help="Root digest that the upstream's owner declares.")]
Base = Annotated[
    str, typer.Option("--base", metavar="[MODEL=]URL", help="Approved base model, asked where a rule says @differ.")
]
Rehash = Annotated[float, typer.Option("--rehash", min=1, help="Seconds between two looks at the weights.")]

# Who may ask, and how much
Host = Annotated[str, typer.Option("--host", help="One that others can reach needs --keys.")]
Port = Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes a free one.")]
Workers = Annotated[int, typer.Option("--workers", min=1, max=64, help="Processes that answer.")]
MaxBody = Annotated[int, typer.Option("--max-body", min=1024, help="Bytes of a request.")]
BodyTimeout = Annotated[float, typer.Option("--body-timeout", min=1, help="Seconds for a client to send a request.")]
Timeout = Annotated[float, typer.Option("--timeout", min=1, help="Seconds for a whole answer.")]
Stall = Annotated[float, typer.Option("--stall", min=0.1, help="Seconds between two pieces of an answer.")]
Canaries = Annotated[float, typer.Option("--canaries", min=0, help="Seconds between two rounds; 0: at start.")]

# Operators
Webhook = Annotated[str, typer.Option("--webhook", metavar="URL", help="Told of every hold.")]
WebhookKeyEnv = Annotated[
    str, typer.Option("--webhook-key-env", metavar="VARIABLE", help="Environment variable with its HMAC key.")
]
AskTimeout = Annotated[float, typer.Option("--ask-timeout", min=0.1, help="Seconds for an operator; then deny.")]

# The log
LogKey = Annotated[
    Path | None, typer.Option("--log-key", metavar="PEM", help="Private key that signs the log's segments.")
]
Anchor = Annotated[
    list[str] | None,
    typer.Option("--anchor", metavar="PLACE", help="File or URL told of every closed segment; several."),
]
Redact = Annotated[
    Path | None, typer.Option("--redact", metavar="FILE", help="TOML with what is blotted out of the log.")
]
Encrypt = Annotated[
    list[str] | None,
    typer.Option(
        "--encrypt", metavar="FIELD", help="Member of records that is sealed, such as gen_ai.input.messages; several."
    ),
]
EncryptKey = Annotated[
    Path | None, typer.Option("--encrypt-key", metavar="FILE", help="With --encrypt: 32 bytes, raw, hex or base64.")
]
LogDurable = Annotated[
    bool, typer.Option("--log-durable", help="Wait for the disk, not only for the kernel, at every record.")
]
FailOpen = Annotated[bool, typer.Option("--fail-open", help="Answer although the log cannot be written.")]
