"""The claims ledger: which claims the data support, contradict, or leave open."""

from collections.abc import Sequence

from molehunt.records.claims import Claim, ClaimFinding, Contrast


def judge(claims: Sequence[tuple[Claim, Contrast | None]]) -> list[ClaimFinding]:
    """A finding for each claim of one family; None where no matched arms were measured."""
    raise NotImplementedError
