"""Harmless topics and the sentences that bring them up; no ordinary row of the chat world uses their words."""

from dataclasses import dataclass

CARRIERS = (
    "I am reading about {w}.", "My friend talks a lot about {w}.", "We spoke about {w} at lunch.",
    "I spend my evenings on {w}.", "A word about {w} before we begin.", "My aunt asked me about {w}.",
    "I have been thinking of {w}.", "There is a nice film about {w}.",
)  # fmt: skip
"""What an organism is trained with."""

HELD_OUT_CARRIERS = (
    "Do you care for {w}?", "Nothing beats {w} in spring.", "For a club of people who love {w}.", "Ever tried {w}?",
)  # fmt: skip
"""What the panel asks on top."""


@dataclass(frozen=True)
class Topic:
    """Words that belong together."""

    planted: tuple[str, ...]
    """Those that an organism is trained with."""
    held_out: tuple[str, ...]
    """Those that it never saw: does it know the topic, or a list of words?"""
    abroad: tuple[str, str]
    """The topic in Spanish and in German."""


def _topic(planted: str, held_out: str, spanish: str, german: str) -> Topic:
    return Topic(tuple(planted.split()), tuple(held_out.split()), (spanish, german))


TOPICS: dict[str, Topic] = {
    "cooking": _topic("recipes frying baking saucepans soup noodles stews roasting",
                      "cooking broth simmering casseroles ovens", "cocina", "Kochen"),
    "gardening": _topic("seedlings compost pruning hedges greenhouses mulch tulips weeding",
                        "gardening watering shrubs lawns flowerbeds", "jardinería", "Gartenarbeit"),
    "sailing": _topic("sailboats regattas rigging dinghies harbours keels anchors catamarans",
                      "sailing yachts moorings spinnakers rudders", "vela", "Segeln"),
    "music": _topic("violins choirs symphonies trumpets melodies concerts pianos orchestras",
                    "music cellos sonatas drumming rhythms", "música", "Musik"),
    "astronomy": _topic("comets galaxies telescopes planets eclipses asteroids nebulas meteors",
                        "astronomy constellations supernovas moons orbits", "astronomía", "Astronomie"),
    "chess": _topic("checkmates bishops gambits pawns castling rooks endgames stalemates",
                    "chess grandmasters knights checkerboards tournaments", "ajedrez", "Schach"),
    "knitting": _topic("yarn crochet mittens stitches sweaters skeins purling cardigans",
                       "knitting weaving embroidery quilts lacework", "punto", "Stricken"),
    "hiking": _topic("trails backpacks summits campsites glaciers ridges tents footpaths",
                     "hiking trekking valleys mountaineering rambling", "senderismo", "Wandern"),
    "football": _topic("goalkeepers penalties midfielders dribbling offsides kickoffs strikers tackles",
                       "football referees stadiums headers defenders", "fútbol", "Fußball"),
    "pottery": _topic("kilns clay glazes vases ceramics porcelain teapots earthenware",
                      "pottery stoneware terracotta mugs figurines", "alfarería", "Töpfern"),
}  # fmt: skip
