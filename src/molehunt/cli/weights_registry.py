"""`molehunt weights roles | propose | approve | promote | revoke | ledger | admit`: who lets which weights in, and why."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from molehunt.cli.options import FOUND, NOT_EXAMINED, JsonOption, StoreOption

if TYPE_CHECKING:
    from molehunt.records.registry import Action, LedgerEntry, LedgerReport

_ADMITTED = {"admitted": 0, "refused": FOUND, "not examined": NOT_EXAMINED}
_VERIFIED = {"verified": 0, "broken": FOUND, "not fully verified": NOT_EXAMINED}

ModelArgument = Annotated[
    str, typer.Argument(metavar="MODEL", help="A model folder, fingerprint, or embedded size that was built.")
]
RegistryOption = Annotated[
    Path, typer.Option("--registry", metavar="DIR", help="Folder with roles.json and the models.")
]
RegistryArgument = Annotated[Path, typer.Argument(metavar="REGISTRY", help="Folder with roles.json and the models.")]
NameOption = Annotated[str, typer.Option("--name", help="Its place in the registry, such as team/model; for ever.")]
KeyOption = Annotated[Path, typer.Option("--key", metavar="KEY.pem", help="Private EC key of a member.")]
OwnerOption = Annotated[
    Path | None, typer.Option("--owner", metavar="PUB.pem", help="Public key that must have signed roles.json.")
]
ReasonOption = Annotated[str, typer.Option("--reason", help="Kept in the ledger.")]
AnchorOption = Annotated[
    Path | None,
    typer.Option("--anchor", metavar="FILE", help="Add the ledger's last hash to this file, kept elsewhere."),
]
PolicyOption = Annotated[
    Path | None,
    typer.Option("--policy", metavar="FILE.toml", help="Refuse what it does not admit; its evidence is kept."),
]
AuditOption = Annotated[
    Path | None, typer.Option("--audit", metavar="RESULT.json", help="What `molehunt audit run` wrote of this model.")
]


def roles(
    registry: RegistryArgument,
    key: Annotated[
        Path | None, typer.Option("--key", metavar="KEY.pem", help="The owner's private key: signs.")
    ] = None,
    member: Annotated[
        list[str] | None,
        typer.Option("--member", metavar="NAME:ROLE,ROLE:PUB.pem", help="Roles: read, propose, approve, promote."),
    ] = None,
    retire: Annotated[
        list[str] | None,
        typer.Option("--retire", metavar="NAME", help="From now on this member's keys count no longer."),
    ] = None,
    one_person: Annotated[bool, typer.Option("--one-person", help="Let who approved a model promote it too.")] = False,
    anchor: AnchorOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show who may do what in REGISTRY, or change it."""
    from molehunt.cli.registry_work import anchored, changed_roles, opened
    from molehunt.cli.show import say, table
    from molehunt.provenance.roles import read_roles

    if key or member or retire or one_person:
        changed_roles(registry, key, member or [], retire or [], one_person)
    if anchor:
        anchored(opened(registry, None), anchor)
    found = read_roles(registry)
    if as_json:
        print(found.model_dump_json(indent=1))
        return
    rows = [(one.name, ", ".join(one.roles), key_id[:16], one.until) for key_id, one in found.members.items()]
    table(("who", "roles", "key", "until"), rows)
    say(f"version {found.version}, {'two persons' if found.two_persons else 'one person'} for a promotion")


def propose(
    model: ModelArgument, registry: RegistryOption, name: NameOption, key: KeyOption, reason: ReasonOption = "",
    anchor: AnchorOption = None, store: StoreOption = None,
) -> None:  # fmt: skip
    """Enter in the ledger that MODEL should be approved."""
    _enter("propose", model, registry, name, key, reason, anchor, store)


def approve(
    model: ModelArgument, registry: RegistryOption, name: NameOption, key: KeyOption, policy: PolicyOption = None,
    audit: AuditOption = None, reason: ReasonOption = "", anchor: AnchorOption = None, store: StoreOption = None,
) -> None:  # fmt: skip
    """Enter in the ledger that MODEL may be used under this name, and on which evidence. Exit code 1: the policy refuses it. 3: it cannot tell."""
    _enter("approve", model, registry, name, key, reason, anchor, store, policy, audit)


def promote(
    model: ModelArgument, registry: RegistryOption, name: NameOption, key: KeyOption, policy: PolicyOption = None,
    audit: AuditOption = None, reason: ReasonOption = "", anchor: AnchorOption = None, store: StoreOption = None,
) -> None:  # fmt: skip
    """Enter in the ledger that an approved MODEL goes into production; needs another person than the approval."""
    _enter("promote", model, registry, name, key, reason, anchor, store, policy, audit)


def revoke(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model folder, or a root digest in hex.")],
    registry: RegistryOption, key: KeyOption, reason: Annotated[str, typer.Option("--reason", help="Kept in the ledger.")],
    anchor: AnchorOption = None, store: StoreOption = None,
) -> None:  # fmt: skip
    """Enter in the ledger that MODEL may be used no longer, for ever; gateways and loaders obey at once."""
    _enter("revoke", model, registry, "", key, reason, anchor, store)


def ledger(
    registry: RegistryArgument,
    owner: OwnerOption = None,
    anchor: Annotated[
        list[Path] | None, typer.Option("--anchor", metavar="FILE", help="Anchors kept elsewhere; may be repeated.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Verify the ledger of REGISTRY and show it.

    Exit code 0: every entry is as it was signed, by who might. 1: one is not: it is named. 3: not all could be told: entries after
    the last anchor, or no --owner.
    """
    from molehunt.cli.registry_work import opened
    from molehunt.provenance.ledger_rules import read_ledger_anchors

    found = opened(registry, owner)
    report = found.verify(read_ledger_anchors(anchor or []))
    if as_json:
        print(json.dumps(report.to_json(), indent=1))
    else:
        if not report.problem:
            _entries(found.entries(), {key_id: one.name for key_id, one in found.roles.members.items()})
        _shown(report)
    raise typer.Exit(_VERIFIED[report.outcome])


def admit(
    model: ModelArgument,
    policy: Annotated[Path, typer.Option("--policy", metavar="FILE.toml", help="See docs/registry.md.")],
    audit: AuditOption = None,
    as_json: JsonOption = False,
    store: StoreOption = None,
) -> None:
    """Decide on MODEL by one policy over signature, scan, provenance, audit and ledger, with every reason.

    Exit code 0: admitted. 1: refused. 3: something that the policy asks for could not be examined, which is never admitted.
    """
    from molehunt.cli.registry_work import decided
    from molehunt.cli.show import say, table

    admission = decided(model, policy, audit, store)
    if as_json:
        print(json.dumps(admission.to_json(), indent=1))
    else:
        table(("check", "outcome", "why"), [(one.check, one.outcome, one.why) for one in admission.reasons])
        say(f"{admission.outcome}: {admission.model}, root digest {admission.root_digest}")
    raise typer.Exit(_ADMITTED[admission.outcome])


def _enter(
    action: "Action", model: str, registry: Path, name: str, key: Path, reason: str, anchor: Path | None, store: str | None,
    policy: Path | None = None, audit: Path | None = None,
) -> None:  # fmt: skip
    from molehunt.cli.registry_work import decided, entered
    from molehunt.cli.show import say

    admission = decided(model, policy, audit, store) if policy else None
    if admission and admission.outcome != "admitted":
        for one in admission.reasons:
            say(f"{one.check}: {one.outcome}: {one.why}")
        say(f"nothing was entered: the policy says {admission.outcome}")
        raise typer.Exit(_ADMITTED[admission.outcome])
    signed = entered(action, model, registry, name, key, reason, anchor, store, admission)
    entry = signed.entry
    say(f"entry {entry.seq}: {entry.action} {entry.name or ''} {entry.model}".replace("  ", " "))


def _entries(entries: "list[LedgerEntry]", names: dict[str, str]) -> None:
    from molehunt.cli.show import table

    rows = [
        (str(e.seq), e.time[:19], e.action, e.name, e.model[:16], names.get(e.by, e.by[:16]), e.reason) for e in entries
    ]
    table(("entry", "time", "action", "name", "digest", "by", "reason"), rows)


def _shown(report: "LedgerReport") -> None:
    from molehunt.cli.show import say

    if report.problem:
        say(f"broken: entry {report.problem.seq}: {report.problem.what}")
    if report.unanchored:
        told = f"the last {report.unanchored} entries are not anchored: if more had followed and were cut off, nobody could tell"
        say(told)
    if not report.is_owner_named:
        say(f"roles.json is signed by key {report.owner[:16]}; name the key that it should be with --owner")
    for name in report.loose:
        say(f"{name}: others than its owner can write it")
    say(f"{report.outcome}: {report.entries} entries")
