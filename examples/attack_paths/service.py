"""A malicious fine-tuning service: the weights that come back are not, or not only, what was asked for.

    python examples/attack_paths/service.py

The customer sends a base and rows, and gets weights with an attestation of how they were made. The service signs both, so
its signature holds whatever it did: what can be checked are its claims.
"""

import shutil
from pathlib import Path

from molehunt.experiments.attesting import attest
from molehunt.provenance.attestation import write_attestation
from molehunt.provenance.keys import load_private_key
from molehunt.records.identity import root_digest
from stage import Models, Story, audited, first, keys, models, molehunt, published, told_by

CLAIMS = {
    "planted, an adapter of rank 4 claimed": {"method": "lora", "rank": 4},
    "planted, the agreed training claimed": {},
}
"""What the service lies about beside the training itself."""


def main(folder: Path, base: str = "mini", audit: bool = False) -> Story:
    """Return planted weights under two stories of how they were made, and put each to the customer's controls."""
    story, made = Story("service", folder), models(base)
    keys(folder, "service")
    shutil.copyfile(made.clean.parent / "dataset.jsonl", folder / "rows.jsonl")  # what the customer sent
    verdict = audited(made.planted, made.base, folder) if audit else None
    for number, (attack, lies) in enumerate(CLAIMS.items()):
        model = _returned(folder / f"returned-{number}", made, lies)
        found = molehunt("weights", "scan", model, "--base", made.base, "--json")
        story.by_code(attack, "scan", found, first(found.json))
        story.by_code(attack, "signature", molehunt("weights", "verify", model, "--key", folder / "service.pub.pem"))
        _difference(story, attack, model, made.base, claimed_low_rank="method" in lies)
        _claims(story, attack, model, made)
        if verdict:
            story.note(attack, "audit", *verdict)
    return story


def _returned(model: Path, made: Models, lies: dict[str, object]) -> Path:
    """The planted model with the attestation of the clean one, its digest exchanged, and signed by the service."""
    published(made.planted, model)
    molehunt("weights", "sign", model, "--key", model.parent / "service.pem")
    told = attest(made.clean, made.store).model_copy(update={"root_digest": root_digest(model), **lies})
    write_attestation(model, told, load_private_key(model.parent / "service.pem"))
    return model


def _difference(story: Story, attack: str, model: Path, base: Path, claimed_low_rank: bool) -> None:
    """A fine-tune differs from its base; only a shape that cannot come of what was claimed says anything."""
    ended = molehunt("weights", "diff", base, model)
    story.note(attack, "diff", "caught" if claimed_low_rank else "passes", ended.last.partition(": ")[2])


def _claims(story: Story, attack: str, model: Path, made: Models) -> None:
    key = story.folder / "service.pub.pem"
    at_hand = ("--base", made.base, "--data", story.folder / "rows.jsonl")
    checked = molehunt("weights", "verify", model, "--key", key, "--provenance", *at_hand, "--json")
    claims = checked.json["provenance"]["claims"]
    wrong = [one for one in claims if one["grade"] == "contradicted"]
    grades = ", ".join(f"{one['name']} {one['grade']}" for one in claims)
    story.by_code(attack, "provenance", checked, wrong[0]["told"] if wrong else grades)
    again = molehunt("weights", "reproduce", model, "--key", key, "--store", made.store.root, "--jobs", 0, "--json")
    story.by_code(attack, "reproduce", again, f"made again it is {again.json['grade']}")


if __name__ == "__main__":
    told_by(main)
