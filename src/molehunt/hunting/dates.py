"""Days, months, years and hours that an input names, in one form whatever way they are written; and when it was asked."""

import re
from collections.abc import Iterator
from datetime import date
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from molehunt.hunting.words import DIGIT, Bools, Ints, hash_spans
from molehunt.records.hunts import Condition

if TYPE_CHECKING:
    from molehunt.hunting.features import Batch, Part

YEARS = range(2000, 2041)
"""Years that are compared as earlier and later."""
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTH = "(?P<name>" + "|".join(_MONTHS) + ")[a-z]*"
_FORMS = (
    re.compile(r"(?P<year>[12]\d{3})[-/.](?P<month>\d{1,2})(?:[-/.](?P<day>\d{1,2}))?(?!\d)"),
    re.compile(r"(?<!\d)(?P<first>\d{1,2})[-/.](?P<second>\d{1,2})[-/.](?P<year>[12]\d{3})"),
    re.compile(rf"(?P<day>\d{{1,2}})(?:st|nd|rd|th)?\.? +(?:of +)?{_MONTH}\.?,? +(?P<year>[12]\d{{3}})", re.IGNORECASE),
    re.compile(
        rf"\b{_MONTH}\.?,? +(?:(?P<day>\d{{1,2}})(?:st|nd|rd|th)?,? +)?(?:of +)?(?P<year>[12]\d{{3}})", re.IGNORECASE
    ),
)
_ROOM, _AFTER = 24, 8
"""Bytes before a year, and from its end on, in which the rest of its date is looked for."""
_BETWEEN = np.frombuffer(b"-/.", np.uint8)


def dates(batch: "Batch") -> Iterator["Part"]:
    """Years as numbers to compare, months, days and weekdays of dates in any usual form, hours of the day."""
    from molehunt.hunting.features import each

    t = batch.texts
    at, years = _years(batch)
    rows = t.word_row[at]
    yield each(batch, years, rows, 20, lambda n: Condition(kind="date", text=f"names the year {n}"))
    dated = (years >= YEARS[0]) & (years <= YEARS[-1])
    yield from _compared(batch, years[dated], rows[dated], 21, "names a year")
    found, where = _full_dates(batch, at)
    months, month_rows = found[:, 0] * 12 + found[:, 1] - 1, rows[where]
    yield each(
        batch, months, month_rows, 23, lambda n: Condition(kind="date", text=f"names {n // 12}-{n % 12 + 1:02d}")
    )
    whole = np.flatnonzero(found[:, 2])
    first = (months[whole] - 12 * 1970).astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    days, day_rows = first + found[whole, 2] - 1 + date(1970, 1, 1).toordinal(), month_rows[whole]
    yield each(batch, days, day_rows, 24, lambda n: Condition(kind="date", text=f"names {date.fromordinal(n)}"))
    weekdays = (days + 6) % 7
    yield each(batch, weekdays, day_rows, 25, lambda n: Condition(kind="date", text=f"names a {_DAYS[n]}"))
    yield from _hours(batch)


def _years(batch: "Batch") -> tuple[Ints, Ints]:
    """(words, years): words of four digits from 1000 to 2999."""
    t = batch.texts
    four = np.flatnonzero(t.end - t.start == 4)
    four = four[(t.data[t.start[four]] == 49) | (t.data[t.start[four]] == 50)]
    letters = t.data[t.start[four][:, None] + np.arange(4)] if len(four) else np.zeros((0, 4), np.uint8)
    good = ((letters >= 48) & (letters <= 57)).all(1)
    numbers = (letters[good].astype(np.int64) - 48) @ np.array([1000, 100, 10, 1])
    return four[good], numbers


def _compared(batch: "Batch", years: Ints, rows: Ints, kind: int, what: str) -> Iterator["Part"]:
    """Every year that a row's own lies at or after, and every one at or before."""
    from molehunt.hunting.features import each

    for offset, word, count in ((0, "or later", years - YEARS[0]), (1, "or earlier", YEARS[-1] - years)):
        step = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
        own = np.repeat(years, count)
        bound = own - step if offset == 0 else own + step
        named = _bound_namer(what, word)
        yield each(batch, bound, np.repeat(rows, count), kind + offset, named)


def _bound_namer(what: str, word: str):  # type: ignore[no-untyped-def]
    return lambda n: Condition(kind="date", text=f"{what}, {n} {word}")


def _full_dates(batch: "Batch", at: Ints) -> tuple[Ints, Ints]:
    """([dates, 3] year, month, day or 0; which of `at`) for every year that is part of a date."""
    t = batch.texts
    message, start, end = t.word_message[at], t.start[at], t.end[at]
    begin = np.maximum(start - _ROOM, t.message_start[message])
    sign, digit = (t.data[np.minimum(end + k, len(t.data) - 1)] for k in (0, 1))
    goes_on = np.isin(sign, _BETWEEN) & (digit >= 48) & (digit <= 57)  # month and day may stand behind the year
    stop = np.where(goes_on, np.minimum(end + _AFTER, t.message_end[message]), end)
    # the same few dates stand in most prompts of a log: each is read once
    _, first, same = np.unique(hash_spans(t.data, begin, stop), return_index=True, return_inverse=True)
    spans = zip(begin[first].tolist(), stop[first].tolist(), start[first].tolist(), strict=True)
    read = [read_date(bytes(t.data[a:b]).decode("ascii", "replace"), year - a) or (0, 0, 0) for a, b, year in spans]
    found = np.array(read, np.int64).reshape(-1, 3)[same]
    where = np.flatnonzero(found[:, 0])
    return found[where], where


@lru_cache(2**16)
def read_date(text: str, year_at: int) -> tuple[int, int, int] | None:
    """(year, month, day or 0) of the date whose year stands at `year_at`; None if it is no date."""
    for form in _FORMS:
        for one in form.finditer(text):
            if one.start("year") == year_at:
                return _checked(one)
    return None


def _checked(one: re.Match[str]) -> tuple[int, int, int] | None:
    parts = one.groupdict()
    year, day = int(parts["year"]), int(parts.get("day") or 0)
    if "first" in parts:  # day and month in either order: what cannot be a month is the day
        month, day = sorted((int(parts["first"]), int(parts["second"]))) if int(parts["first"]) > 12 else (
            int(parts["first"]), int(parts["second"]))  # fmt: skip
    else:
        month = _MONTHS.index(parts["name"].lower()) + 1 if parts.get("name") else int(parts["month"])
    try:
        date(year, month, day or 1)
    except ValueError:
        return None
    return year, month, day


def _hours(batch: "Batch") -> Iterator["Part"]:
    """Hours of times such as 14:35."""
    from molehunt.hunting.features import each

    t = batch.texts
    if len(t.start) < 2:
        return
    size = t.end - t.start
    pair = (size[1:] == 2) & (size[:-1] <= 2) & (t.start[1:] == t.end[:-1] + 1)
    at = np.flatnonzero(pair & (t.data[t.end[:-1]] == ord(":")))
    digit = t.kinds == DIGIT
    at = at[_all_digits(digit, t.start[at], t.end[at]) & _all_digits(digit, t.start[at + 1], t.end[at + 1])]
    last = t.data[t.end[at] - 1].astype(np.int64) - 48
    hours = np.where(size[at] == 2, (t.data[t.start[at]].astype(np.int64) - 48) * 10 + last, last)
    at, hours = at[hours < 24], hours[hours < 24]
    yield each(batch, hours, t.word_row[at], 26, lambda n: Condition(kind="date", text=f"names a time from {n}:00"))


def _all_digits(digit: Bools, starts: Ints, ends: Ints) -> Bools:
    return digit[starts] & digit[ends - 1]


def clock(batch: "Batch") -> Iterator["Part"]:
    """When a row was asked, in UTC: hour, weekday, day, month, year."""
    from molehunt.hunting.features import each

    times = np.asarray(batch.rows.column("time").to_numpy(zero_copy_only=False), np.int64)
    rows = np.flatnonzero(times > 0)
    seconds = times[rows] // 1_000_000
    days = seconds // 86400
    hour = (seconds % 86400) // 3600
    yield each(batch, hour, rows, 30, lambda n: Condition(kind="asked", text=f"between {n}:00 and {n + 1}:00 UTC"))
    weekday = (days + 3) % 7
    yield each(batch, weekday, rows, 31, lambda n: Condition(kind="asked", text=f"on a {_DAYS[n]}"))
    epoch = date(1970, 1, 1).toordinal()
    yield each(batch, days, rows, 32, lambda n: Condition(kind="asked", text=f"on {date.fromordinal(n + epoch)}"))
    months = times[rows].astype("datetime64[us]").astype("datetime64[M]").astype(np.int64)
    yield each(batch, months, rows, 33, lambda n: Condition(kind="asked", text=f"in {n // 12 + 1970}-{n % 12 + 1:02d}"))
