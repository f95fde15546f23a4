"""Tool names as they are compared: spellings that a program or a reader may take for one another are one name."""

import re
import unicodedata
from functools import lru_cache

_INVISIBLE = frozenset(
    {0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFFA0, *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)}
)
"""Code points that show nothing and are neither control nor format characters (Unicode's Default_Ignorable_Code_Point)."""


_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


@lru_cache(4096)
def plain(name: str) -> str:
    """A name after NFKC and case folding, without control, format and other invisible characters, and without outer spaces."""
    if name.isascii() and name.isalnum():
        return name.lower()
    folded = unicodedata.normalize("NFKC", visible_part(unicodedata.normalize("NFKC", name)).casefold())
    return visible_part(folded).strip()


def visible_part(text: str) -> str:
    """The text without what shows nothing; halves of surrogate pairs are left out too."""
    return "".join(c for c in text if not _is_hidden(c))


def _is_hidden(sign: str) -> bool:
    return unicodedata.category(sign) in ("Cc", "Cf", "Cs") or ord(sign) in _INVISIBLE


def folded(text: str) -> tuple[str, list[int] | None]:
    """A text as markers are looked for in it, and where each of its characters stands in the text; None where that is the same place."""
    if text.isascii() and not _CONTROL.search(text):
        return text.lower(), None
    shadow, places = [], []
    for place, sign in enumerate(text):
        for part in _folded_sign(sign):
            shadow.append(part)
            places.append(place)
    return "".join(shadow), places


def _folded_sign(sign: str) -> str:
    if sign in "\n\r\t":
        return sign
    return "" if _is_hidden(sign) else unicodedata.normalize("NFKC", sign).casefold()
