"""Times as people write them, to an interval: `2021`, `2021-07`, `last summer`, `june 2021`.

An interval holds its first moment and not its last. Seasons are those of the northern half of the
earth; a winter begins in December of its year.
"""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta

Interval = tuple[datetime, datetime]

_SEASON_BEGINS = {"spring": 3, "summer": 6, "autumn": 9, "fall": 9, "winter": 12}
_FEASTS = {"christmas": (12, 24, 3), "new year": (12, 31, 2), "halloween": (10, 31, 1)}
_ISO = re.compile(r"(\d{4})(?:-(\d{1,2})(?:-(\d{1,2}))?)?")
_BETWEEN = re.compile(r"(?:between|from)\s+(.+?)\s+(?:and|to|until)\s+(.+)")
_NAMED = re.compile(r"(last|this)\s+(week|weekend|month|year|spring|summer|autumn|fall|winter)")
_OF_YEAR = re.compile(r"([a-z ]+?)\s+(?:of\s+)?(\d{4})")


def parse_interval(text: str, today: date | None = None) -> Interval:
    """The interval that a text names; `today` is what it is told from.

    Raises ValueError, in a sentence, where it names none.
    """
    today = today or date.today()
    words = " ".join(text.lower().split())
    both = _BETWEEN.fullmatch(words)
    if both is not None:
        return _ordered(parse_interval(both[1], today)[0], parse_interval(both[2], today)[1], text)
    if ".." in words:
        first, last = words.split("..", 1)
        return _ordered(parse_interval(first, today)[0], parse_interval(last, today)[1], text)
    found = _by_digits(words) or _by_name(words, today) or _by_library(words)
    if found is None:
        raise ValueError(
            f"{text!r} is no time: write a year, 2021-07, 2021-07-18, june 2021 or last summer"
        )
    return found


def _by_digits(words: str) -> Interval | None:
    match = _ISO.fullmatch(words)
    if match is None:
        return None
    year, month, day = (int(part) if part else None for part in match.groups())
    assert year is not None
    try:
        if month is None:
            return datetime(year, 1, 1), _after_month(year, 12)
        if day is None:
            return datetime(year, month, 1), _after_month(year, month)
        return _days(date(year, month, day), 1)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{words!r} is in no calendar") from error


def _by_name(words: str, today: date) -> Interval | None:
    if words in ("today", "yesterday"):
        return _days(today - timedelta(days=words == "yesterday"), 1)
    named = _NAMED.fullmatch(words)
    if named is not None:
        return _relative(named[1] == "last", named[2], today)
    of_year = _OF_YEAR.fullmatch(words)
    if of_year is not None:
        return _within(of_year[1], int(of_year[2]))
    return None


def _within(name: str, year: int) -> Interval | None:
    """A season or a feast of a year."""
    if name in _SEASON_BEGINS:
        return _season(name, year)
    if name in _FEASTS:
        month, day, count = _FEASTS[name]
        return _days(date(year, month, day), count)
    return None


def _relative(is_last: bool, unit: str, today: date) -> Interval:
    if unit == "week":
        monday = today - timedelta(days=today.weekday() + 7 * is_last)
        return _days(monday, 7)
    if unit == "weekend":
        saturday = today - timedelta(days=today.weekday() - 5 + 7 * is_last)
        return _days(saturday, 2)
    if unit == "month":
        first = today.replace(day=1)
        first = (first - timedelta(days=1)).replace(day=1) if is_last else first
        return datetime.combine(first, time()), _after_month(first.year, first.month)
    if unit == "year":
        year = today.year - is_last
        return datetime(year, 1, 1), datetime(year + 1, 1, 1)
    now = datetime.combine(today, time())
    # The last one is the latest that is over, this one the one that is on or comes in this year.
    if is_last:
        years = (today.year, today.year - 1, today.year - 2)
        return next(_season(unit, year) for year in years if _season(unit, year)[1] <= now)
    before = _season(unit, today.year - 1)
    return before if before[0] <= now < before[1] else _season(unit, today.year)


def _season(name: str, year: int) -> Interval:
    month = _SEASON_BEGINS[name]
    last = month + 2
    return datetime(year, month, 1), _after_month(year + (last > 12), last - 12 * (last > 12))


def _by_library(words: str) -> Interval | None:
    """Dates with the names of months, in whatever order their parts stand."""
    if not re.search(r"[a-z]", words) or not re.search(r"\d", words):
        return None
    # Here, since a plain question has no such date.
    from dateutil import parser

    try:
        # What the text does not say is taken from the default, and differs between these two.
        found = [
            parser.parse(words, default=datetime(year, month, day))
            for year, month, day in ((2000, 1, 1), (2004, 2, 2))
        ]
    except (ValueError, OverflowError):
        return None
    if found[0].year != found[1].year or found[0].time() != time():
        return None
    if found[0].month != found[1].month:
        return datetime(found[0].year, 1, 1), datetime(found[0].year + 1, 1, 1)
    if found[0].day != found[1].day:
        return found[0].replace(day=1), _after_month(found[0].year, found[0].month)
    return _days(found[0].date(), 1)


def _days(first: date, count: int) -> Interval:
    begin = datetime.combine(first, time())
    return begin, begin + timedelta(days=count)


def _after_month(year: int, month: int) -> datetime:
    return datetime(year + 1, 1, 1) if month == 12 else datetime(year, month + 1, 1)


def _ordered(after: datetime, before: datetime, text: str) -> Interval:
    if after >= before:
        raise ValueError(f"{text!r} ends before it begins")
    return after, before
