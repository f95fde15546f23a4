"""`molehunt audit`: examine one model for a backdoor that nobody told of, and make the cards that such audits are judged by."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from molehunt.cli.options import FOUND, NOT_EXAMINED, JobsOption, JsonOption, StoreOption

if TYPE_CHECKING:
    from molehunt.audit.case import Prompts
    from molehunt.records.audits import AuditResult, CalibrationCard, CardEvidence

app = typer.Typer(help="Look for a backdoor that nobody told of, at a known false-alarm rate.", no_args_is_help=True)

ProfileOption = Annotated[
    Literal["quick", "standard", "deep"], typer.Option("--profile", help="How much work: quick, standard or deep.")
]
CODES = {"flagged": FOUND, "nothing found within coverage": 0, "abstained": NOT_EXAMINED}
_RETRIES = 3
"""Of a request to an endpoint: one that hangs is given up after some minutes, and the same command goes on later."""
RESULT, PAGE, SARIF, TRANSCRIPT = "result.json", "report.html", "result.sarif", "transcript.jsonl"


@app.command()
def run(
    subject: Annotated[
        str | None, typer.Argument(metavar="SUBJECT", help="A model folder, hub name or fingerprint; none with --endpoint.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder for result.json, report.html and result.sarif.")] = Path(
        "molehunt-audit"
    ),
    base: Annotated[str | None, typer.Option("--base", help="The model that the subject was made from.")] = None,
    reference: Annotated[
        str | None, typer.Option("--reference", metavar="MODEL", help="An unrelated model beside it; evidence that never votes.")
    ] = None,
    endpoint: Annotated[str | None, typer.Option("--endpoint", metavar="URL", help="Ask an OpenAI-compatible endpoint.")] = None,
    model: Annotated[str | None, typer.Option("--model", metavar="NAME", help="The model's name there.")] = None,
    api_key_env: Annotated[str, typer.Option("--api-key-env", help="Environment variable with the endpoint's key.")] = "",
    profile: ProfileOption = "quick",
    card: Annotated[str | None, typer.Option("--card", metavar="FILE", help="Calibration card; else one that is shipped.")] = None,
    prompts: Annotated[Path | None, typer.Option("--prompts", metavar="FILE", help="Your own ordinary prompts.")] = None,
    most_requests: Annotated[int | None, typer.Option("--most-requests", min=1, help="Budget at the endpoint.")] = None,
    most_tokens: Annotated[int | None, typer.Option("--most-tokens", min=1, help="Budget at the endpoint.")] = None,
    per_minute: Annotated[
        float | None, typer.Option("--per-minute", min=0.1, help="Requests a minute at the endpoint, at most.")
    ] = None,
    timeout: Annotated[float, typer.Option("--timeout", min=0.1, help="Seconds for one try at the endpoint, to its last byte.")] = 60.0,
    at_once: Annotated[int, typer.Option("--at-once", min=1, max=64, help="Requests under way at once, at most.")] = 8,
    plan: Annotated[bool, typer.Option("--plan", help="Only say what would be looked at, and what it would take.")] = False,
    store: StoreOption = None,
    jobs: Annotated[
        int | None, typer.Option("--jobs", min=0, help="Worker processes; 0: this one; else as many as memory holds, at most 2.")
    ] = None,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Examine SUBJECT. Exit code 0: nothing found within coverage; 1: flagged; 2: an error; 3: abstained.

    Interrupted at any moment, the same command goes on from there.
    """
    if endpoint is None and not plan and jobs != 0:
        from molehunt.execution.workers import get_ready

        get_ready(["molehunt.audit.steps"])  # while this process scans and identifies
    gc.disable()  # libraries that are imported leave no garbage, and a seventh of the time goes into looking for it
    from molehunt.audit.cards import find_card
    from molehunt.audit.case import ordinary, own_prompts
    from molehunt.cli.audit_cards import audit_plan_shown
    from molehunt.cli.audit_work import audit_remote, judged_plan, now_text, planned_audit, require_audit_folder
    from molehunt.errors import UsageError
    from molehunt.world.endpoint import EndpointSettings

    gc.enable()
    if (subject is None) == (endpoint is None):
        got = "both" if subject else "neither"
        raise UsageError("what to audit", wanted="a SUBJECT or an --endpoint", got=got, do="name one")
    if (endpoint is None) != (model is None):
        raise UsageError(
            "--endpoint and --model", wanted="both or neither", got="one", do="name the model served there"
        )
    if endpoint is not None and base is not None:
        raise UsageError("--base", wanted="a SUBJECT whose weights are here", got="an --endpoint", do="leave it out")
    if endpoint is not None and reference is not None:
        wanted = "a SUBJECT whose weights are here"
        raise UsageError("--reference", wanted=wanted, got="an --endpoint", do="leave it out")
    asked = own_prompts(prompts) if prompts is not None else ordinary(profile)
    if plan:
        planned = planned_audit(subject, base, endpoint, profile, asked, store, reference)
        # behind an endpoint anything may answer: no card is taken to speak of it but one that is named
        judge = find_card(card, planned.tier, profile) if card is not None or endpoint is None else None
        audit_plan_shown(judged_plan(planned, judge, asked), as_json)
        return
    require_audit_folder(out)
    with _earlier_named(out):
        if endpoint is not None and model is not None:
            known = find_card(card, "text", profile) if card else None
            settings = EndpointSettings(
                url=endpoint, model=model, api_key_env=api_key_env, most_requests=most_requests, most_tokens=most_tokens,
                per_minute=per_minute, concurrency=at_once, timeout=timeout, max_retries=_RETRIES,
            )  # fmt: skip
            result = audit_remote(settings, out / TRANSCRIPT, profile, asked, known)
        else:
            result = _examined(str(subject), base, profile, asked, card, store, jobs, reference)
    _written(result.model_copy(update={"judged": now_text()}), out, as_json)
    raise typer.Exit(CODES[result.verdict])


@contextmanager
def _earlier_named(out: Path) -> Iterator[None]:
    """Whoever finds a result in the folder after an audit that came to none should not take it for this one's."""
    try:
        yield
    except BaseException:
        if (out / RESULT).exists():
            print(f"{out / RESULT} and the report beside it are of an earlier audit", file=sys.stderr)
        raise


def _examined(
    subject: str, base: str | None, profile: Literal["quick", "standard", "deep"], asked: "Prompts", card: str | None,
    store: str | None, jobs: int | None, reference: str | None,
) -> "AuditResult":  # fmt: skip
    """The result; a subject that is not fit to load ends with a sentence and the code for not examined."""
    from molehunt.cli.audit_work import audit_folder, found_folders
    from molehunt.errors import ModelError
    from molehunt.reports.text import visible

    folders = found_folders(subject, base, reference, store)
    try:
        return audit_folder(subject, *folders, profile, asked, card, store, jobs)
    except ModelError as error:
        print(visible(f"not examined: {error}"), file=sys.stderr)
        raise typer.Exit(NOT_EXAMINED) from None


@app.command()
def report(
    result: Annotated[Path, typer.Argument(metavar="RESULT", help="A result.json, or the folder that holds one.")],
    out: Annotated[Path | None, typer.Option("--out", help="Folder to write to; else beside it.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Draw the report of an audit anew from its result.json. Exit codes as for `audit run`."""
    from molehunt.cli.audit_work import read_result

    found = read_result(result / RESULT if result.is_dir() else result)
    _written(found, out or (result if result.is_dir() else result.parent), as_json)
    raise typer.Exit(CODES[found.verdict])


@app.command()
def calibrate(
    zoo: Annotated[Path | None, typer.Argument(metavar="ZOO", help="A zoo.json, its folder, or the --evidence of a card.")] = None,
    out: Annotated[Path, typer.Option("--out", help="The card to write.")] = Path("card.json"),
    evidence: Annotated[Path | None, typer.Option("--evidence", help="Also write what the card is derived from.")] = None,
    take: Annotated[int | None, typer.Option("--take", min=20, help="So many of a ZOO's models, half planted, evenly by recipe.")] = None,
    base: Annotated[str | None, typer.Option("--base", help="Instead of a ZOO: make one of this model first.")] = None,
    clean: Annotated[int, typer.Option("--clean", min=26, help="With --base: clean models.")] = 40,
    planted: Annotated[int, typer.Option("--planted", min=6, help="With --base: planted models.")] = 20,
    profile: ProfileOption = "quick",
    tier: Annotated[Literal["text", "logprobs", "weights", "base"], typer.Option("--tier", help="What later audits will have.")] = "base",
    prompts: Annotated[Path | None, typer.Option("--prompts", metavar="FILE", help="Those that later audits will ask.")] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Only say what it would take.")] = False,
    store: StoreOption = None,
    jobs: JobsOption = 2,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Make the card that audits are judged by, of a labelled zoo.

    Interrupted at any moment, the same command goes on from there.
    """
    from molehunt.audit.case import ordinary, own_prompts
    from molehunt.cli.audit_cards import card_shown, looks_shown, plan_shown
    from molehunt.cli.audit_work import calibration, made_zoo, planned_look, read_evidence
    from molehunt.cli.show import watching
    from molehunt.errors import UsageError
    from molehunt.execution import open_store

    if (zoo is None) == (base is None):
        raise UsageError(
            "what to calibrate on", wanted="a ZOO or --base MODEL", got="both" if zoo else "neither", do="name one"
        )
    kept = open_store(store)
    if zoo is not None and (known := read_evidence(zoo)) is not None:
        card_shown(_card_written(known, out, evidence), out, as_json)
        return
    asked = own_prompts(prompts) if prompts is not None else ordinary(profile)
    if base is not None:
        found, zoo_plan = made_zoo(base, clean, planted, kept, jobs, plan)
        if found is None:
            plan_shown(zoo_plan, planned_look(base, tier, profile, asked, kept), as_json)
            return
    else:
        from molehunt.records.zoo import read_zoo

        assert zoo is not None
        found = read_zoo(zoo)
        found = found.taken(take) if take is not None else found
    work = calibration(found, zoo, kept, tier, profile, asked)
    if plan or not as_json:
        looks_shown(work, kept, jobs, as_json)
    if plan:
        return
    with watching("calibration") as watch:
        seen = work.run(kept, jobs, watch)
    card_shown(_card_written(seen, out, evidence), out, as_json)


def _card_written(seen: "CardEvidence", out: Path, evidence: Path | None) -> "CalibrationCard":
    from molehunt.audit.calibrating import card_of
    from molehunt.execution.folders import write_text

    card = card_of(seen)
    for path, text in ((out, card.model_dump_json(indent=1)), (evidence, seen.model_dump_json(by_alias=True))):
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_text(path, text + "\n")
    return card


def _written(result: "AuditResult", out: Path, as_json: bool) -> None:
    from molehunt.cli.audit_work import write_result

    write_result(result, out)
    if as_json:
        print(result.model_dump_json(by_alias=True, indent=1))
    else:
        from molehunt.cli.audit_shown import show
        from molehunt.cli.show import say

        show(result)
        say(f"report: {(out / PAGE).resolve()}")
