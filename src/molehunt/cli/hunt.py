"""`molehunt logs hunt`: was a model ever triggered?"""

import json
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from molehunt.cli.options import FOUND, NOT_EXAMINED, JsonOption, OnOption, SeedOption

if TYPE_CHECKING:
    from molehunt.hunting.trying import Stand
    from molehunt.records.hunts import HuntResult


def hunt(
    log: Annotated[str, typer.Argument(metavar="LOG", help="A gateway's log folder, or Parquet or JSONL of calls.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for reports; a hunt broken off goes on there.")],
    subject: Annotated[
        Path | None, typer.Option("--subject", metavar="MODEL", help="Folder of the model, to replay on.")
    ] = None,
    endpoint: Annotated[str | None, typer.Option("--endpoint", metavar="URL", help="Replay there, up to /v1.")] = None,
    model: Annotated[str, typer.Option("--model", metavar="NAME", help="Which model to ask there.")] = "",
    key_env: Annotated[str, typer.Option("--key-env", metavar="VARIABLE", help="Holds the endpoint's key.")] = "",
    requests: Annotated[
        int, typer.Option("--requests", min=1, help="Replies to ask for at most: candidates in the order of rank.")
    ] = 2000,
    reference: Annotated[
        Path | None,
        typer.Option(
            "--reference", metavar="MODEL", help="A trusted model: what it does too is no trigger, what it does not is."
        ),
    ] = None,
    since: Annotated[datetime | None, typer.Option("--since", help="Calls from this time on; UTC.")] = None,
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="Processes.")] = 2,
    on: OnOption = "local",
    level: Annotated[float, typer.Option("--level", min=1e-9, max=0.5, help="Rate of false discoveries.")] = 0.05,
    quarantine: Annotated[
        Path | None,
        typer.Option(
            "--quarantine",
            metavar="REGISTRY",
            help="Revoke there the weights whose trigger is confirmed; not for causes that the words may ask for.",
        ),
    ] = None,
    key: Annotated[Path | None, typer.Option("--key", metavar="KEY.pem", help="Key of who may revoke.")] = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Look through LOG for conditions of the input that predict odd answers, and try them on the model.

    Exit code 0: nothing found. 1: a trigger is confirmed by replay. 3: candidates, none of them confirmed as a trigger.
    """
    from molehunt.cli.show import say, watching_words
    from molehunt.hunting.hunt import hunt as look
    from molehunt.hunting.mining import MiningSettings

    revoking = _revoking(quarantine, key, subject, endpoint)
    stand = _stand(subject, endpoint, model, key_env, out, requests, reference)
    with watching_words("hunt") as tell:
        result = look(log, out, MiningSettings(jobs=jobs, level=level, seed=seed), since, stand, tell, on)
    _write(result, out)
    revoked = revoking(result, out) if revoking else []
    if as_json:
        print(json.dumps(result.to_json(), indent=1))
    else:
        _shown(result, out)
        for one in revoked:
            say(one)
    raise typer.Exit(FOUND if result.confirmed else NOT_EXAMINED if result.incidents else 0)


def _stand(
    subject: Path | None, url: str | None, model: str, key_env: str, out: Path, most: int, trusted: Path | None
) -> "Stand | None":
    """Where candidates are replayed, if anywhere."""
    from molehunt.errors import UsageError
    from molehunt.hunting.replaying import ask_endpoint, ask_model
    from molehunt.hunting.trying import Stand
    from molehunt.records.identity import root_digest

    if subject is not None and url is not None:
        raise UsageError("--subject and --endpoint", wanted="one of them", got="both", do="leave one out")
    if url is None and (model or key_env):
        raise UsageError("--model or --key-env", wanted="--endpoint URL with it", got="none", do="leave it out")
    if url is not None and not model:
        raise UsageError("--endpoint", wanted="--model NAME with it", got="none")
    if trusted is not None and subject is None and url is None:
        raise UsageError("--reference", wanted="--subject or --endpoint with it", got="neither")
    reference = ask_model(trusted) if trusted is not None else None
    if subject is not None:
        return Stand(ask_model(subject), str(subject), root_digest(subject), most=most, reference=reference)
    if url is not None:
        asked = ask_endpoint(url, model, key_env, out / "replay.jsonl")
        return Stand(asked, f"{model} at {url}", name=model, most=most, reference=reference)
    return None


def _revoking(
    registry: Path | None, key: Path | None, subject: Path | None, endpoint: str | None
) -> "Callable[[HuntResult, Path], list[str]] | None":
    """What writes revocations, made before the work starts, so that nobody waits for a hunt to be told that the key may not."""
    from molehunt.cli.log_work import signing_key
    from molehunt.errors import UsageError
    from molehunt.hunting.quarantine import check_right, quarantine
    from molehunt.provenance.ledger import Ledger

    signer = signing_key(key)
    if registry is None and signer is None:
        return None
    if registry is None or signer is None:
        raise UsageError("--quarantine", wanted="--quarantine REGISTRY and --key KEY.pem", got="one of them")
    if subject is None and endpoint is None:
        raise UsageError("--quarantine", wanted="--subject or --endpoint, to confirm a trigger on", got="neither")
    ledger = Ledger.open(registry)
    check_right(ledger, signer)

    def revoke(result: "HuntResult", out: Path) -> list[str]:
        report = sha256((out / "hunt.json").read_bytes()).hexdigest()
        done = quarantine(result, ledger, signer, report)
        if not done and result.confirmed:
            return [f"nothing new to revoke in {registry}: other weights answered in the log, or they are revoked"]
        return [f"revoked: {entry.model}, entry {entry.seq} of {registry}" for entry in done]

    return revoke


def _write(result: "HuntResult", out: Path) -> None:
    from molehunt.reports.incident import incident_page, incident_sarif

    (out / "hunt.json").write_text(json.dumps(result.to_json(), indent=1), encoding="utf-8")
    (out / "report.html").write_text(incident_page(result), encoding="utf-8")
    (out / "hunt.sarif").write_text(json.dumps(incident_sarif(result), indent=1), encoding="utf-8")


_OUTCOMES = {"trigger": "confirmed", "open": "a cause, unclear", "ordinary": "the reference too"}


def _shown(result: "HuntResult", out: Path) -> None:
    from molehunt.cli.show import say, table
    from molehunt.reports.text import rate

    rows = []
    for one in result.incidents[:15]:
        a, tried = one.found.association, one.found.replay
        rows.append((
            " and ".join(c.sentence() for c in a.conditions), a.label, f"{a.counts.labelled_with}/{a.counts.with_it}",
            f"1e{a.log10_p:.0f}", f"at least {a.ratio_low:.1f}", rate(tried.inserted) if tried else "not replayed", _OUTCOMES.get(one.cause or "none", a.reading),
        ))  # fmt: skip
    if rows:
        table(("condition", "predicts", "sources", "p", "times", "with it put in", ""), rows)
        say("")
    say(result.sentence())
    for why, count in Counter(one.untried for one in result.incidents if one.untried).items():
        say(f"not replayed: {count} of {len(result.incidents)} candidates: {why}")
    if result.open:
        say(
            f"open: {len(result.open)}, whose words may ask for what comes; they revoke nothing; --reference MODEL, a trusted model, tells"
        )
    if result.untold:
        say(f"{result.untold} further candidates of lower rank are neither told nor replayed")
    if result.revoke:
        say(f"to revoke: {', '.join(result.revoke)}")
    if result.also_answered:
        say(f"answered too, and not replayed on: {', '.join(result.also_answered)}")
    say(f"report: {(out / 'report.html').resolve()}")
