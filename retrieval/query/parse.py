"""One text syntax for questions with conditions, and back.

    a dog on a beach camera:"X100" -tag:people (rating:>=4 or is:portrait)

Words and terms may stand in any order. A term is `key:value`, `-` before it or before a group turns
it around, terms side by side are joined by and, `or` between terms joins them by or. Whatever is no
term is a word of the question: `10:30` is, and so is `or` between words.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime

from retrieval.errors import QueryError
from retrieval.paths import absolute
from retrieval.query import filters as f
from retrieval.query.dates import parse_interval

_QUOTED = r'"(?:[^"\\]|\\.)*"'
_LEXEME = re.compile(
    rf"""(?P<space>\s+) | (?P<open>-?\() | (?P<close>\))
    | (?P<term>-?[a-z]+:(?:{_QUOTED}|[^\s()"])+)
    | (?P<quoted>{_QUOTED}) | (?P<word>(?:[^\s()"])+|["(])""",
    re.VERBOSE | re.IGNORECASE,
)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
# Far beyond what anyone writes, and far below what a parser that calls itself can bear.
_DEEPEST = 100
_NUMBER = r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?"


@dataclass(frozen=True)
class ParsedQuestion:
    """The words of a question, empty where there are none, and its filter, None where none is."""

    words: str
    filter: f.Filter | None


def parse(text: str, today: date | None = None) -> ParsedQuestion:
    """Read a question; `today` is what times such as `last summer` are told from.

    Raises QueryError, which shows the place, where a term makes no sense.
    """
    parser = _Parser(text, today)
    words: list[str] = []
    found: list[f.Filter] = []
    while parser.current is not None:
        start = parser.place
        term = parser.expression()
        if term is not None:
            found.append(term)
            continue
        parser.place = start
        words.append(parser.word())
    # A question without conditions stays as it was written, its own brackets and quotes included.
    said = " ".join(words) if found else " ".join(text.split())
    return ParsedQuestion(said, _joined(f.And, found))


def keys() -> tuple[str, ...]:
    """The keys that a term may have."""
    return tuple(_TERMS)


def parse_filter(text: str, today: date | None = None) -> f.Filter:
    """A filter alone. Raises QueryError where there is none, or where there are words beside it."""
    parsed = parse(text, today)
    if parsed.filter is None or parsed.words:
        stray = parsed.words.split()[0] if parsed.words else text
        raise QueryError(
            f"{stray!r} is no condition: write KEY:VALUE, the keys being {', '.join(_TERMS)}."
        )
    return parsed.filter


def format_filter(filter_: f.Filter) -> str:
    """The text that `parse_filter` makes this filter of."""
    if isinstance(filter_, f.And):
        return " ".join(_in_group(part) for part in filter_.parts)
    if isinstance(filter_, f.Or):
        return "(" + " or ".join(_in_group(part) for part in filter_.parts) + ")"
    if isinstance(filter_, f.Not):
        is_term = not isinstance(filter_.part, f.And | f.Or | f.Not)
        return f"-{format_filter(filter_.part)}" if is_term else f"-({format_filter(filter_.part)})"
    return _WRITERS[type(filter_)](filter_)


@dataclass(frozen=True)
class _Lexeme:
    kind: str
    text: str
    start: int

    @property
    def as_word(self) -> str:
        return _unquoted(self.text) if self.kind == "quoted" else self.text


class _Parser:
    """Goes through the lexemes of one text; what turns out to be no filter is gone back over."""

    def __init__(self, text: str, today: date | None) -> None:
        self._text = text
        self._today = today
        self._lexemes = [
            _Lexeme(match.lastgroup or "", match.group(), match.start())
            for match in _LEXEME.finditer(text)
            if match.lastgroup != "space"
        ]
        self.place = 0
        self._depth = 0

    @property
    def current(self) -> _Lexeme | None:
        return self._lexemes[self.place] if self.place < len(self._lexemes) else None

    def take(self) -> _Lexeme:
        lexeme = self._lexemes[self.place]
        self.place += 1
        return lexeme

    def word(self) -> str:
        """Take a word of the question; a key without a value is none."""
        lexeme = self.take()
        key = lexeme.text.removeprefix("-").removesuffix(":").lower()
        if lexeme.kind == "word" and lexeme.text.endswith(":") and key in _TERMS:
            raise self._error(
                lexeme,
                f"{key}: is followed by its value without a space; in quotes it is a word.",
            )
        return lexeme.as_word

    def expression(self) -> f.Filter | None:
        """Conditions joined by and, and these by or; None where none stands here."""
        parts: list[f.Filter] = []
        part = self._all_of()
        while part is not None:
            parts.append(part)
            before = self.place
            if not self._take_word("or"):
                break
            part = self._all_of()
            if part is None:
                self.place = before
        return _joined(f.Or, parts)

    def _all_of(self) -> f.Filter | None:
        parts: list[f.Filter] = []
        part = self._one()
        while part is not None:
            parts.append(part)
            before = self.place
            self._take_word("and")
            part = self._one()
            if part is None:
                self.place = before
        return _joined(f.And, parts)

    def _one(self) -> f.Filter | None:
        start = self.place
        lexeme = self.current
        if lexeme is None:
            return None
        if lexeme.kind == "term":
            self.place += 1
            found = self._term(lexeme)
            if found is None:
                self.place = start
            return found
        if lexeme.kind == "open":
            self.place += 1
            with self._deeper(lexeme):
                inner = self.expression()
            if inner is not None and self.current is not None and self.current.kind == "close":
                self.place += 1
                return f.Not(inner) if lexeme.text.startswith("-") else inner
            # A bracket of the question's own.
            self.place = start
            return None
        if self._take_word("not"):
            with self._deeper(lexeme):
                inner = self._one()
            if inner is not None:
                return ~inner
            self.place = start
        return None

    @contextmanager
    def _deeper(self, lexeme: _Lexeme) -> Iterator[None]:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._error(lexeme, f"conditions are nested deeper than {_DEEPEST} times.")
        yield
        self._depth -= 1

    def _take_word(self, word: str) -> bool:
        lexeme = self.current
        if lexeme is not None and lexeme.kind == "word" and lexeme.text.lower() == word:
            self.place += 1
            return True
        return False

    def _term(self, lexeme: _Lexeme) -> f.Filter | None:
        key, value = lexeme.text.removeprefix("-").split(":", 1)
        read = _TERMS.get(key.lower())
        if read is None:
            near = difflib.get_close_matches(key.lower(), _TERMS, n=1, cutoff=0.7)
            if near:
                raise self._error(lexeme, f"there is no key {key!r}, did you mean {near[0]!r}?")
            return None
        try:
            found = read(_unquoted(value), self._today)
        except (ValueError, OverflowError) as error:
            reason = str(error).removeprefix("This filter makes no sense: ").rstrip(".")
            raise self._error(lexeme, f"{reason}.") from error
        return f.Not(found) if lexeme.text.startswith("-") else found

    def _error(self, lexeme: _Lexeme, reason: str) -> QueryError:
        return QueryError(
            f"At {lexeme.text!r}, character {lexeme.start + 1} of the question: {reason}",
            term=lexeme.text,
            position=lexeme.start,
        )


# -- values to conditions ---------------------------------------------------------------------


def _taken(value: str, today: date | None) -> f.Filter:
    if "T" in value:
        first, _, last = value.partition("..")
        after, before = datetime.fromisoformat(first), datetime.fromisoformat(last)
        return f.Taken(after, before)
    return f.Taken(*parse_interval(value, today))


def _moment(value: str, today: date | None, end: bool = False) -> datetime:
    return datetime.fromisoformat(value) if "T" in value else parse_interval(value, today)[end]


def _month(value: str, _today: date | None) -> f.Filter:
    months: set[int] = set()
    for part in value.lower().split(","):
        named = part.strip()[:3]
        months.add(_MONTHS.index(named) + 1 if named in _MONTHS else _whole(part))
    return f.Month(frozenset(months))


def _season(value: str, _today: date | None) -> f.Filter:
    name = "autumn" if value.lower() == "fall" else value.lower()
    if name not in f.SEASONS:
        raise ValueError(f"seasons are {', '.join(f.SEASONS)}")
    return f.Month(f.SEASONS[name])


def _hour(value: str, _today: date | None) -> f.Filter:
    first, between, last = value.partition("..")
    start = _whole(first)
    return f.TimeOfDay(start, _whole(last) if between else start + 1)


def _near(value: str, _today: date | None) -> f.Filter:
    parts = [part.strip() for part in value.split(",")]
    radius = _radius_km(parts[-1]) if len(parts) > 1 else None
    has_letters = any(letter.isalpha() for letter in parts[0])
    # A number may have one, the e of its exponent.
    if not has_letters or re.fullmatch(_NUMBER, parts[0]):
        if len(parts) != 3:
            raise ValueError(
                "write a place or latitude, longitude and radius, as near:Munich or "
                "near:48.1,11.5,5km"
            )
        return f.Near(
            _number(parts[0]), _number(parts[1]), _number(parts[2]) if radius is None else radius
        )
    # Here, since few questions name a place.
    from retrieval.query.places import find_place

    place = find_place(",".join(parts if radius is None else parts[:-1]))
    return f.Near(place.latitude, place.longitude, radius or round(place.radius_km, 1))


def _country(value: str, _today: date | None) -> f.Filter:
    # Here, since few questions name a country.
    from retrieval.query.places import country_code

    return f.InCountry(country_code(value))


def _radius_km(text: str) -> float | None:
    """A distance as `5km` or `500m`; None where it is none."""
    match = re.fullmatch(rf"({_NUMBER})\s*(k?m)", text.lower())
    if match is None:
        return None
    return float(match[1]) / (1 if match[2] == "km" else 1000)


def _box(value: str, _today: date | None) -> f.Filter:
    parts = value.split(",")
    if len(parts) != 4:
        raise ValueError("write south, west, north and east, as box:48.0,11.3,48.3,11.8")
    return f.InBox(*(_number(part) for part in parts))


def _size(value: str, _today: date | None) -> f.Filter:
    return f.Megapixels(*_range(re.sub(r"mp\b", "", value.lower())))


def _aspect(value: str, _today: date | None) -> f.Filter:
    return f.Aspect(*_range(value))


def _is(value: str, _today: date | None) -> f.Filter:
    shape = next((shape for shape in f.SHAPES if shape == value.lower()), None)
    if shape is None:
        raise ValueError(f"a picture is {', '.join(f.SHAPES)}")
    return f.Shaped(shape)


def _rating(value: str, _today: date | None) -> f.Filter:
    strict = re.fullmatch(r"([<>])\s*(-?\d+)", value)
    if strict is not None:
        stars = int(strict[2])
        return f.Rating(stars + 1, 5) if strict[1] == ">" else f.Rating(-1, stars - 1)
    least, most = _range(value, floor=-1)
    if least != int(least) or (most < math.inf and most != int(most)):
        raise ValueError("ratings are whole numbers")
    return f.Rating(int(least), 5 if most == math.inf else int(most))


def _range(value: str, floor: float = 0) -> tuple[float, float]:
    """`4`, `3..5`, `>=4`, `<2`; for a number with a fraction, > is as >=."""
    value = value.replace(" ", "")
    if ".." in value:
        first, last = value.split("..", 1)
        return _number(first), _number(last)
    bound = re.fullmatch(rf"(>=?|<=?)({_NUMBER})", value)
    if bound is None:
        exact = _number(value)
        return exact, exact
    amount = float(bound[2])
    return (amount, math.inf) if bound[1].startswith(">") else (floor, amount)


def _number(text: str) -> float:
    if re.fullmatch(_NUMBER, text.strip()) is None:
        raise ValueError(f"{text.strip()!r} is no number")
    return float(text)


def _whole(text: str) -> int:
    if not text.strip().isdecimal():
        raise ValueError(f"{text.strip()!r} is no whole number")
    return int(text)


def _folder(value: str, _today: date | None) -> f.Filter:
    return f.Below(absolute(value))


_TERMS: dict[str, Callable[[str, date | None], f.Filter]] = {
    "in": _folder,
    "name": lambda value, _: f.Name(value),
    "type": lambda value, _: f.FileType(value),
    "taken": _taken,
    "after": lambda value, today: f.Taken(after=_moment(value, today)),
    "before": lambda value, today: f.Taken(before=_moment(value, today)),
    "month": _month,
    "season": _season,
    "hour": _hour,
    "camera": lambda value, _: f.Camera(value),
    "lens": lambda value, _: f.Lens(value),
    "near": _near,
    "country": _country,
    "box": _box,
    "size": _size,
    "aspect": _aspect,
    "is": _is,
    "rating": _rating,
    "tag": lambda value, _: f.Tagged(value),
}


# -- conditions to text -----------------------------------------------------------------------


def _write_taken(filter_: f.Taken) -> str:
    after, before = filter_.after, filter_.before
    if after is not None and before is not None:
        return f"taken:{after.isoformat()}..{before.isoformat()}"
    if after is not None:
        return f"after:{after.isoformat()}"
    return f"before:{before.isoformat()}" if before is not None else "after:0001-01-01T00:00:00"


def _write_range(key: str, least: float, most: float, unit: str = "") -> str:
    last = f"..{most!r}{unit}" if most < math.inf else ""
    return f"{key}:{least!r}{unit}{last}" if last else f"{key}:>={least!r}{unit}"


_WRITERS: dict[type[f.Filter], Callable[..., str]] = {
    f.Below: lambda one: f"in:{_quoted(str(one.folder))}",
    f.Name: lambda one: f"name:{_quoted(one.pattern)}",
    f.FileType: lambda one: f"type:{one.suffix}",
    f.Taken: _write_taken,
    f.Month: lambda one: f"month:{','.join(str(month) for month in sorted(one.months))}",
    f.TimeOfDay: lambda one: f"hour:{one.start}..{one.end}",
    f.Camera: lambda one: f"camera:{_quoted(one.text)}",
    f.Lens: lambda one: f"lens:{_quoted(one.text)}",
    f.Near: lambda one: f"near:{one.latitude!r},{one.longitude!r},{one.radius_km!r}km",
    f.InBox: lambda one: f"box:{one.south!r},{one.west!r},{one.north!r},{one.east!r}",
    f.InCountry: lambda one: f"country:{one.code}",
    f.Megapixels: lambda one: _write_range("size", one.least, one.most, "mp"),
    f.Aspect: lambda one: _write_range("aspect", one.least, one.most),
    f.Shaped: lambda one: f"is:{one.shape}",
    f.Rating: lambda one: f"rating:{one.least}..{one.most}",
    f.Tagged: lambda one: f"tag:{_quoted(one.tag)}",
}


def _in_group(filter_: f.Filter) -> str:
    return f"({format_filter(filter_)})" if isinstance(filter_, f.And) else format_filter(filter_)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _unquoted(value: str) -> str:
    """A value without its quotes; quotes may stand around a part of it, as in a shell."""
    parts = re.split(f"({_QUOTED})", value)
    return "".join(
        re.sub(r"\\(.)", r"\1", part[1:-1], flags=re.DOTALL) if place % 2 else part
        for place, part in enumerate(parts)
    )


def _joined(kind: type[f.And] | type[f.Or], parts: list[f.Filter]) -> f.Filter | None:
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else kind(tuple(parts))
