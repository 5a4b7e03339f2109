"""Filter conditions as data: what a picture must be besides looking like the question.

>>> Camera("X100") & Taken(after=datetime(2021, 6, 1)) & ~Tagged("people")

Each is about what is known of a picture. What is not known of it does not fit: `Rating(4)` leaves
out a picture without a rating, and `~Rating(4)` keeps it. `catalog.filters` turns them into SQL.
All raise ValueError for values that make no sense.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from retrieval.utf8 import is_utf8

Shape = Literal["portrait", "landscape", "square"]
SHAPES: tuple[Shape, ...] = ("portrait", "landscape", "square")
# Months of the northern half of the earth.
SEASONS = {
    "spring": frozenset({3, 4, 5}),
    "summer": frozenset({6, 7, 8}),
    "autumn": frozenset({9, 10, 11}),
    "winter": frozenset({12, 1, 2}),
}


class Filter:
    """A condition; `&`, `|` and `~` make one of others."""

    def __and__(self, other: Filter) -> Filter:
        return And((*_parts(self, And), *_parts(other, And)))

    def __or__(self, other: Filter) -> Filter:
        return Or((*_parts(self, Or), *_parts(other, Or)))

    def __invert__(self) -> Filter:
        return self.part if isinstance(self, Not) else Not(self)


@dataclass(frozen=True)
class And(Filter):
    """All of the parts."""

    parts: tuple[Filter, ...]

    def __post_init__(self) -> None:
        _require(len(self.parts) > 1, "a combination takes two conditions or more")


@dataclass(frozen=True)
class Or(Filter):
    """Any of the parts."""

    parts: tuple[Filter, ...]

    def __post_init__(self) -> None:
        _require(len(self.parts) > 1, "a combination takes two conditions or more")


@dataclass(frozen=True)
class Not(Filter):
    """What the part does not fit, also where what it asks for is not known."""

    part: Filter


@dataclass(frozen=True)
class Below(Filter):
    """In this folder or below it, or this very file. An absolute path."""

    folder: Path

    def __post_init__(self) -> None:
        _require(self.folder.is_absolute(), "a folder is given by its whole path")


@dataclass(frozen=True)
class Name(Filter):
    """The file's name fits a pattern with `*`, `?` and `[...]`; capitals of ASCII do not matter."""

    pattern: str

    def __post_init__(self) -> None:
        _require(bool(self.pattern) and "/" not in self.pattern, "a name is not empty and has no /")
        _require(is_utf8(self.pattern), "a name is UTF-8")


@dataclass(frozen=True)
class FileType(Filter):
    """The file's suffix, as `jpg`; `jpeg` is the same, as are `tif`, `tiff` and `heic`, `heif`."""

    suffix: str

    def __post_init__(self) -> None:
        _require(self.suffix.isalnum(), "a file type is a suffix such as jpg")


@dataclass(frozen=True)
class Taken(Filter):
    """Taken at `after` or later, and before `before`; by the camera's clock, without a zone."""

    after: datetime | None = None
    before: datetime | None = None

    def __post_init__(self) -> None:
        times = [time for time in (self.after, self.before) if time is not None]
        _require(all(time.tzinfo is None for time in times), "times have no zone")
        if self.after is not None and self.before is not None:
            _require(self.after < self.before, "the first time is earlier than the second")


@dataclass(frozen=True)
class TimeOfDay(Filter):
    """Taken from the hour `start` on, until the hour `end`, 0 to 24; over midnight if they turn."""

    start: int
    end: int

    def __post_init__(self) -> None:
        fits = 0 <= self.start <= 23 and 1 <= self.end <= 24 and self.start != self.end
        _require(fits, "hours go from 0 to 24")


@dataclass(frozen=True)
class Month(Filter):
    """Taken in one of these months, 1 to 12, of any year; a season is three of them."""

    months: frozenset[int]

    def __post_init__(self) -> None:
        _require(bool(self.months) and self.months <= set(range(1, 13)), "months go from 1 to 12")


@dataclass(frozen=True)
class Camera(Filter):
    """Maker and model of the camera have this text in them; capitals of ASCII do not matter."""

    text: str

    def __post_init__(self) -> None:
        _require(bool(self.text), "a camera has a name")
        _require(is_utf8(self.text), "a camera's name is UTF-8")


@dataclass(frozen=True)
class Lens(Filter):
    """The lens's name has this text in it; capitals of ASCII do not matter."""

    text: str

    def __post_init__(self) -> None:
        _require(bool(self.text), "a lens has a name")
        _require(is_utf8(self.text), "a lens's name is UTF-8")


@dataclass(frozen=True)
class Near(Filter):
    """Taken within `radius_km` of a place, in degrees (WGS84), along the earth's surface."""

    latitude: float
    longitude: float
    radius_km: float

    def __post_init__(self) -> None:
        _require_place(self.latitude, self.longitude)
        _require(0 < self.radius_km <= 20_100, "a radius is from 0 to 20,100 km")


@dataclass(frozen=True)
class InBox(Filter):
    """Taken between two parallels and two meridians, in degrees; over 180° if west > east."""

    south: float
    west: float
    north: float
    east: float

    def __post_init__(self) -> None:
        _require_place(self.south, self.west)
        _require_place(self.north, self.east)
        _require(self.south <= self.north, "south lies below north")


@dataclass(frozen=True)
class InCountry(Filter):
    """Taken nearest to a town of this country, by its code of two capitals (ISO 3166-1)."""

    code: str

    def __post_init__(self) -> None:
        is_code = len(self.code) == 2 and self.code.isascii() and self.code.isupper()
        _require(is_code, "a country is given by its code of two capitals")


@dataclass(frozen=True)
class Megapixels(Filter):
    """From `least` to `most` million pixels, both included."""

    least: float = 0.0
    most: float = math.inf

    def __post_init__(self) -> None:
        _require_range(self.least, self.most)


@dataclass(frozen=True)
class Aspect(Filter):
    """Width over height of the upright picture, from `least` to `most`, both included."""

    least: float = 0.0
    most: float = math.inf

    def __post_init__(self) -> None:
        _require_range(self.least, self.most)


@dataclass(frozen=True)
class Shaped(Filter):
    """Portrait, landscape, or square, which is to within a twentieth."""

    shape: Shape

    def __post_init__(self) -> None:
        _require(self.shape in SHAPES, f"a shape is one of {', '.join(SHAPES)}")


@dataclass(frozen=True)
class Rating(Filter):
    """From `least` to `most` stars, both included; -1 is rejected, 0 not rated by choice."""

    least: int = -1
    most: int = 5

    def __post_init__(self) -> None:
        _require(-1 <= self.least <= self.most <= 5, "ratings go from -1 to 5")


@dataclass(frozen=True)
class Tagged(Filter):
    """A keyword, whole; capitals of ASCII do not matter."""

    tag: str

    def __post_init__(self) -> None:
        _require(bool(self.tag.strip()), "a keyword is not empty")
        _require(is_utf8(self.tag), "a keyword is UTF-8")


def conditions(filter_: Filter) -> list[Filter]:
    """The conditions that a filter is made of, without what joins them."""
    if isinstance(filter_, And | Or):
        return [leaf for part in filter_.parts for leaf in conditions(part)]
    return conditions(filter_.part) if isinstance(filter_, Not) else [filter_]


def _parts(filter_: Filter, kind: type[And] | type[Or]) -> tuple[Filter, ...]:
    return filter_.parts if isinstance(filter_, kind) else (filter_,)


def _require(is_right: bool, rule: str) -> None:
    if not is_right:
        raise ValueError(f"This filter makes no sense: {rule}.")


def _require_place(latitude: float, longitude: float) -> None:
    _require(-90 <= latitude <= 90, "latitudes go from -90 to 90")
    _require(-180 <= longitude <= 180, "longitudes go from -180 to 180")


def _require_range(least: float, most: float) -> None:
    _require(0 <= least <= most, "a range begins at 0 or above and does not end before it begins")
