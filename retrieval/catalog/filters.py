"""Filters as SQL over the catalogue's tables, for SQLAlchemy and for the quick reader alike.

A compiled filter is text with named parameters, since a question that is filtered should not wait
for SQLAlchemy either. The SQL is what SQLite and PostgreSQL share, but for what `Expressions`
says. Only the tables that it needs are joined: a million rows are gone through in
tenths of a second, and a million look-ups in another table are not.
"""

from __future__ import annotations

import math
import os
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from retrieval.catalog.facts import KEYWORDS
from retrieval.catalog.records import Root
from retrieval.errors import QueryError
from retrieval.query import filters as f

EARTH_RADIUS_KM = 6371.0088
_KM_A_DEGREE = math.pi * EARTH_RADIUS_KM / 180
_SQUARE = 1.05
_ALIKE = {"jpg": ("jpg", "jpeg"), "jpeg": ("jpg", "jpeg"), "tif": ("tif", "tiff"),
          "tiff": ("tif", "tiff"), "heic": ("heic", "heif"), "heif": ("heic", "heif")}  # fmt: skip
# A parameter's place in the text, of its value.
Value = Callable[[Any], str]

# SQLite reads some 900 conditions that are joined by OR, and as little as 23 that turn each other
# around.
_MOST_CONDITIONS, _DEEPEST = 500, 20


class Expressions(Protocol):
    """What a database writes in its own way. `value` gives a parameter its place in the text.

    `path`: a file's path as text. `distance_km` of four numbers is a function that it has.
    """

    path: str

    def matches(self, text: str, pattern: str, value: Value) -> str:
        """Whether an expression of lower case is as a pattern in Unix shells' manner."""
        ...

    def contains(self, text: str, part: str, value: Value) -> str:
        """Whether an expression has a text in it, whatever the case of its ASCII letters."""
        ...

    def in_country(self, latitude: str, longitude: str, code: str, value: Value) -> str:
        """Whether a place, which is known, is in the country of a code."""
        ...


class _SqliteExpressions:
    """SQLite's; its connections have the functions, see `register_functions`."""

    path = "CAST(files.path AS TEXT)"

    def matches(self, text: str, pattern: str, value: Value) -> str:
        """See `Expressions`."""
        return f"{text} GLOB {value(pattern)}"

    def contains(self, text: str, part: str, value: Value) -> str:
        """See `Expressions`."""
        return f"{text} LIKE {value(containing(part))} ESCAPE '\\'"

    def in_country(self, latitude: str, longitude: str, code: str, value: Value) -> str:
        """See `Expressions`."""
        return f"country_at({latitude}, {longitude}) = {value(code)}"


SQLITE: Expressions = _SqliteExpressions()


@dataclass
class CompiledFilter:
    """A condition in SQL, its named parameters, and the columns of `items` that it asks for."""

    condition: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    columns: set[str] = field(default_factory=set)
    needs_files: bool = False

    @property
    def statement(self) -> str:
        """What selects the ids that fit, in any order.

        Asked to sort, SQLite would go through all rows by their ids rather than through an index
        on what the filter is about.
        """
        joined = " JOIN files ON files.id = items.file_id" if self.needs_files else ""
        return f"SELECT items.id FROM items{joined} WHERE {self.condition}"


def compile_filter(
    filter_: f.Filter, roots: Sequence[Root], expressions: Expressions = SQLITE
) -> CompiledFilter:
    """The filter as SQL, in a catalogue of these roots."""
    compiler = _Compiler(roots, expressions)
    compiler.compiled.condition = compiler.sql(filter_)
    return compiler.compiled


def register_functions(connection: sqlite3.Connection) -> None:
    """Give a connection the functions that compiled filters call."""
    connection.create_function("distance_km", 4, distance_km, deterministic=True)
    connection.create_function("country_at", 2, country_at_place, deterministic=True)


def distance_km(
    latitude: float | None, longitude: float | None, other_latitude: float, other_longitude: float
) -> float | None:
    """Between two places in degrees, along a sphere: the haversine formula."""
    if latitude is None or longitude is None:
        return None
    south, north = math.radians(latitude), math.radians(other_latitude)
    east = math.radians(other_longitude - longitude)
    half = (
        math.sin((north - south) / 2) ** 2
        + math.cos(south) * math.cos(north) * math.sin(east / 2) ** 2
    )
    return 2 * EARTH_RADIUS_KM * math.asin(min(1.0, math.sqrt(half)))


def country_at_place(latitude: float | None, longitude: float | None) -> str | None:
    """The code of the country that a place, in degrees, is in; None where that is not known."""
    # Here, since few questions name a country.
    from retrieval.query.places import country_at

    if latitude is None or longitude is None:
        return None
    # To a kilometre, so that a place that many pictures are of is looked up once.
    return country_at(round(latitude, 2), round(longitude, 2))


class _Compiler:
    """Collects the parameters of one filter."""

    def __init__(self, roots: Sequence[Root], expressions: Expressions) -> None:
        self.compiled = CompiledFilter()
        self._expressions = expressions
        self._roots = roots
        self._count = 0
        self._depth = 0

    def sql(self, filter_: f.Filter) -> str:
        """The condition, true where it fits and false or NULL where not.

        Raises QueryError for more conditions than a database reads in one statement.
        """
        self._count += 1
        self._depth += 1
        if self._count > _MOST_CONDITIONS or self._depth > _DEEPEST:
            raise QueryError(
                f"Too many conditions: {_MOST_CONDITIONS} at most, one in another "
                f"{_DEEPEST} deep at most."
            )
        found = _RULES[type(filter_)](self, filter_)
        self._depth -= 1
        return found

    def value(self, value: Any) -> str:
        """A parameter's place in the text."""
        name = f"p{len(self.compiled.parameters)}"
        self.compiled.parameters[name] = value
        return f":{name}"

    def column(self, name: str) -> str:
        """A column of `items`."""
        self.compiled.columns.add(name)
        return f"items.{name}"

    # -- one rule for each condition ----------------------------------------------------------

    def both(self, filter_: f.And) -> str:
        return "(" + " AND ".join(self.sql(part) for part in filter_.parts) + ")"

    def either(self, filter_: f.Or) -> str:
        return "(" + " OR ".join(self.sql(part) for part in filter_.parts) + ")"

    def none_of(self, filter_: f.Not) -> str:
        # What is not known is NULL, which would else keep out what the part does not fit.
        return f"NOT coalesce({self.sql(filter_.part)}, FALSE)"

    def below(self, filter_: f.Below) -> str:
        places = []
        for root in self._roots:
            if root.path == filter_.folder or filter_.folder in root.path.parents:
                self.compiled.needs_files = True
                places.append(f"files.root_id = {self.value(root.id)}")
            elif root.path in filter_.folder.parents:
                path = os.fsencode(filter_.folder.relative_to(root.path).as_posix())
                # "0" follows "/": this range holds just the paths that begin with "path/".
                first, last = self.value(path + b"/"), self.value(path + b"0")
                # Two searches of the index; with an OR, SQLite goes through all of the root.
                of_root = f"SELECT id FROM files WHERE root_id = {self.value(root.id)}"
                places.append(
                    f"items.file_id IN ({of_root} AND path = {self.value(path)}"
                    f" UNION ALL {of_root} AND path >= {first} AND path < {last})"
                )
        return f"({' OR '.join(places)})" if places else "FALSE"

    def name(self, filter_: f.Name) -> str:
        self.compiled.needs_files = True
        path = self._expressions.path
        # What is behind the last slash: rtrim takes away all but slashes from the end.
        name = f"substr({path}, length(rtrim({path}, replace({path}, '/', ''))) + 1)"
        pattern = _ascii_lower(filter_.pattern)
        return self._expressions.matches(f"lower({name})", pattern, self.value)

    def file_type(self, filter_: f.FileType) -> str:
        self.compiled.needs_files = True
        suffix = filter_.suffix.lower()
        path = f"lower({self._expressions.path})"
        ends = [
            self._expressions.matches(path, f"*.{alike}", self.value)
            for alike in _ALIKE.get(suffix, (suffix,))
        ]
        return f"({' OR '.join(ends)})"

    def taken(self, filter_: f.Taken) -> str:
        column = self.column("taken_at")
        bounds = [f"{column} IS NOT NULL"]
        if filter_.after is not None:
            bounds.append(f"{column} >= {self.value(_as_stored(filter_.after))}")
        if filter_.before is not None:
            bounds.append(f"{column} < {self.value(_as_stored(filter_.before))}")
        return f"({' AND '.join(bounds)})"

    def time_of_day(self, filter_: f.TimeOfDay) -> str:
        hour = f"CAST(substr(CAST({self.column('taken_at')} AS TEXT), 12, 2) AS INTEGER)"
        start, end = self.value(filter_.start), self.value(filter_.end)
        joined = "AND" if filter_.start < filter_.end else "OR"
        return f"({hour} >= {start} {joined} {hour} < {end})"

    def month(self, filter_: f.Month) -> str:
        months = ", ".join(self.value(month) for month in sorted(filter_.months))
        month = f"CAST(substr(CAST({self.column('taken_at')} AS TEXT), 6, 2) AS INTEGER)"
        return f"{month} IN ({months})"

    def camera(self, filter_: f.Camera) -> str:
        make, model = self.column("camera_make"), self.column("camera_model")
        both = f"(coalesce({make}, '') || ' ' || coalesce({model}, ''))"
        return self._expressions.contains(both, filter_.text, self.value)

    def lens(self, filter_: f.Lens) -> str:
        return self._expressions.contains(self.column("lens"), filter_.text, self.value)

    def near(self, filter_: f.Near) -> str:
        reach = filter_.radius_km / _KM_A_DEGREE
        south, north = filter_.latitude - reach, filter_.latitude + reach
        # A circle reaches furthest in longitude off its centre; one around a pole, everywhere.
        if south <= -90 or north >= 90:
            west, east = -180.0, 180.0
        else:
            share = math.sin(math.radians(reach)) / math.cos(math.radians(filter_.latitude))
            wide = math.degrees(math.asin(min(1.0, share)))
            west, east = _wrapped(filter_.longitude - wide), _wrapped(filter_.longitude + wide)
        box = self._box(max(south, -90.0), west, min(north, 90.0), east)
        place = f"{self.column('latitude')}, {self.column('longitude')}"
        centre = f"{self.value(filter_.latitude)}, {self.value(filter_.longitude)}"
        radius = self.value(filter_.radius_km)
        return f"({box} AND distance_km({place}, {centre}) <= {radius})"

    def in_box(self, filter_: f.InBox) -> str:
        return self._box(filter_.south, filter_.west, filter_.north, filter_.east)

    def in_country(self, filter_: f.InCountry) -> str:
        from retrieval.query.places import require_gazetteer

        try:
            require_gazetteer()
        except ValueError as error:
            # Inside of the database it would be no sentence.
            raise QueryError(f"A country cannot be looked for: {error}.") from error
        latitude, longitude = self.column("latitude"), self.column("longitude")
        # Only where a place is known: a function of Python for each picture would take long.
        is_there = self._expressions.in_country(latitude, longitude, filter_.code, self.value)
        return f"({latitude} IS NOT NULL AND {is_there})"

    def _box(self, south: float, west: float, north: float, east: float) -> str:
        latitude, longitude = self.column("latitude"), self.column("longitude")
        joined = "AND" if west <= east else "OR"
        return (
            f"({latitude} >= {self.value(south)} AND {latitude} <= {self.value(north)}"
            f" AND ({longitude} >= {self.value(west)} {joined} {longitude} <= {self.value(east)}))"
        )

    def megapixels(self, filter_: f.Megapixels) -> str:
        return self._between(
            "CAST(items.width_px AS DOUBLE PRECISION) * items.height_px / 1e6",
            filter_.least,
            filter_.most,
        )

    def aspect(self, filter_: f.Aspect) -> str:
        ratio = "CAST(items.width_px AS DOUBLE PRECISION) / items.height_px"
        return self._between(ratio, filter_.least, filter_.most)

    def shaped(self, filter_: f.Shaped) -> str:
        ratio = "CAST(items.width_px AS DOUBLE PRECISION) / items.height_px"
        if filter_.shape == "square":
            return self._between(ratio, 1 / _SQUARE, _SQUARE)
        side = f"< {self.value(1 / _SQUARE)}" if filter_.shape == "portrait" else (
            f"> {self.value(_SQUARE)}"
        )  # fmt: skip
        return f"{ratio} {side}"

    def rating(self, filter_: f.Rating) -> str:
        return self._between(self.column("rating"), filter_.least, filter_.most)

    def tagged(self, filter_: f.Tagged) -> str:
        self.compiled.columns.add(KEYWORDS)
        tag = self.value(_ascii_lower(filter_.tag.strip()))
        return f"items.id IN (SELECT item_id FROM tags WHERE lower(tag) = {tag})"

    def _between(self, amount: str, least: float, most: float) -> str:
        bounds = [f"{amount} >= {self.value(least)}"]
        if most < math.inf:
            bounds.append(f"{amount} <= {self.value(most)}")
        return f"({' AND '.join(bounds)})"


_RULES: dict[type[f.Filter], Callable[[_Compiler, Any], str]] = {
    f.And: _Compiler.both,
    f.Or: _Compiler.either,
    f.Not: _Compiler.none_of,
    f.Below: _Compiler.below,
    f.Name: _Compiler.name,
    f.FileType: _Compiler.file_type,
    f.Taken: _Compiler.taken,
    f.TimeOfDay: _Compiler.time_of_day,
    f.Month: _Compiler.month,
    f.Camera: _Compiler.camera,
    f.Lens: _Compiler.lens,
    f.Near: _Compiler.near,
    f.InBox: _Compiler.in_box,
    f.InCountry: _Compiler.in_country,
    f.Megapixels: _Compiler.megapixels,
    f.Aspect: _Compiler.aspect,
    f.Shaped: _Compiler.shaped,
    f.Rating: _Compiler.rating,
    f.Tagged: _Compiler.tagged,
}


def _as_stored(moment: datetime) -> str:
    """As SQLAlchemy writes a DateTime to SQLite, so that text compares as time does."""
    return moment.isoformat(" ", "microseconds")


def containing(text: str) -> str:
    """The pattern of LIKE for what has a text in it, with \\ before what would stand for others."""
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"


def _ascii_lower(text: str) -> str:
    # SQLite's lower() knows ASCII alone, and so do PostgreSQL's columns of collation C.
    return "".join(letter.lower() if letter.isascii() else letter for letter in text)


def _wrapped(longitude: float) -> float:
    return (longitude + 180) % 360 - 180
