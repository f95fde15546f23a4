"""Calibration cards: those that come with Molehunt, and an examiner's own."""

from importlib.resources import files
from pathlib import Path

from pydantic import ValidationError

from molehunt.errors import DataError
from molehunt.records.audits import CalibrationCard, Profile
from molehunt.records.base import first_wrong
from molehunt.records.evidence import Tier

_SHIPPED = files("molehunt.audit") / "shipped"


def shipped() -> tuple[str, ...]:
    """Names of the cards that come with Molehunt."""
    if not _SHIPPED.is_dir():
        return ()
    return tuple(sorted(one.name.removesuffix(".json") for one in _SHIPPED.iterdir() if one.name.endswith(".json")))


def find_card(named: str | None, tier: Tier, profile: Profile) -> CalibrationCard | None:
    """The card of that name or file; without one the shipped card of the tier and profile, if there is one.

    Raises:
        DataError: if there is no such card, or the file holds none.
    """
    if named is None:
        name = f"embedded-{profile}-{tier}"
        return _read((_SHIPPED / f"{name}.json").read_text(encoding="utf-8"), name) if name in shipped() else None
    if named in shipped():
        return _read((_SHIPPED / f"{named}.json").read_text(encoding="utf-8"), named)
    try:
        return _read(Path(named).read_text(encoding="utf-8"), named)
    except (OSError, UnicodeDecodeError) as error:
        got = getattr(error, "strerror", None) or str(error)
        wanted = f"a calibration card, or one of {', '.join(shipped()) or 'none shipped'}"
        raise DataError(f"card {named}", wanted=wanted, got=got, do="make one: molehunt audit calibrate") from None


def _read(text: str, name: str) -> CalibrationCard:
    try:
        return CalibrationCard.model_validate_json(text)
    except ValidationError as error:
        other = next((str(one["input"])[:80] for one in error.errors() if one["loc"] == ("schema",)), "")
        raise DataError(
            f"card {name}", wanted="a calibration card that Molehunt wrote", got=other or first_wrong(error),
            do="give the --out of molehunt audit calibrate",
        ) from None  # fmt: skip
