"""Conditions in a question's text: understood, refused in a sentence, and written back."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from retrieval.errors import QueryError
from retrieval.query import filters as f
from retrieval.query.dates import parse_interval
from retrieval.query.parse import format_filter, keys, parse, parse_filter
from tests.support.filters import filters

TODAY = date(2026, 11, 27)


@pytest.mark.parametrize(
    ("text", "words", "expected"),
    [
        ("a dog", "a dog", None),
        ('"camera:" in a shop', '"camera:" in a shop', None),
        ("not not type:jpg", "", f.FileType("jpg")),
        ("a clock showing 10:30", "a clock showing 10:30", None),
        ("note: urgent (really) or not", "note: urgent (really) or not", None),
        ("https://example.org/a:b", "https://example.org/a:b", None),
        ('a "red" car', 'a "red" car', None),
        ("a dog camera:X100", "a dog", f.Camera("X100")),
        ('camera:"EOS R5" a dog', "a dog", f.Camera("EOS R5")),
        ("dog -tag:people", "dog", f.Not(f.Tagged("people"))),
        ("dog not tag:people", "dog", f.Not(f.Tagged("people"))),
        ("rating:>=4", "", f.Rating(4, 5)),
        ("rating:>3", "", f.Rating(4, 5)),
        ("rating:<3", "", f.Rating(-1, 2)),
        ("rating:2..3", "", f.Rating(2, 3)),
        ("size:>12mp", "", f.Megapixels(12)),
        ("aspect:1.5..2", "", f.Aspect(1.5, 2)),
        ("is:Portrait", "", f.Shaped("portrait")),
        ("season:winter", "", f.Month(frozenset({12, 1, 2}))),
        ("month:june,7", "", f.Month(frozenset({6, 7}))),
        ("hour:22..4", "", f.TimeOfDay(22, 4)),
        ("near:48.1,11.5,5km", "", f.Near(48.1, 11.5, 5)),
        ("near:48.1,11.5,500m", "", f.Near(48.1, 11.5, 0.5)),
        ("box:48,11.3,48.3,11.8", "", f.InBox(48, 11.3, 48.3, 11.8)),
        ("in:/photos/2021", "", f.Below(Path("/photos/2021"))),
        ("taken:2021", "", f.Taken(datetime(2021, 1, 1), datetime(2022, 1, 1))),
        ("taken:2019..2020-06", "", f.Taken(datetime(2019, 1, 1), datetime(2020, 7, 1))),
        ('taken:"last summer"', "", f.Taken(datetime(2026, 6, 1), datetime(2026, 9, 1))),
        ("after:2021-07-18", "", f.Taken(after=datetime(2021, 7, 18))),
        ("type:jpg or type:png", "", f.Or((f.FileType("jpg"), f.FileType("png")))),
        (
            "a cat (type:jpg or type:png) and -rating:0",
            "a cat",
            f.And((f.Or((f.FileType("jpg"), f.FileType("png"))), f.Not(f.Rating(0, 0)))),
        ),
        ("cat tag:a or dog", "cat or dog", f.Tagged("a")),
    ],
)
def test_conditions_are_told_from_words(text: str, words: str, expected: f.Filter | None) -> None:
    parsed = parse(text, TODAY)
    assert (parsed.words, parsed.filter) == (words, expected)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a dog camra:X100", r"'camra:X100', character 7 .*did you mean 'camera'"),
        ("rating:9", "ratings go from -1 to 5"),
        ("rating:good", "'good' is no number"),
        ("taken:2021-13", "in no calendar"),
        ("taken:soonish", "is no time: write"),
        ("taken:2021..2019", "ends before it begins"),
        ("near:48.1,5km", "write a place or latitude, longitude and radius"),
        ("near:Lisboa5", "no place called 'Lisboa5' is known, did you mean 'Lisbon'"),
        ("near:95,0,1km", "latitudes go from -90 to 90"),
        ("box:1,2,3", "write south, west, north and east"),
        ("hour:25", "hours go from 0 to 24"),
        ("is:round", "portrait, landscape, square"),
        ("season:rainy", "seasons are"),
        ("size:large", "'large' is no number"),
        ("type:.jpg", "suffix"),
        ("a dog camera: X100", "'camera:', character 7 .*without a space"),
        ("tag:caf\udce9", "a keyword is UTF-8"),
        ("(" * 400 + "type:jpg" + ")" * 400, "nested deeper than 100 times"),
        ("not " * 480 + "type:jpg", "nested deeper than 100 times"),
    ],
)
def test_a_condition_that_makes_no_sense_is_refused_with_its_place(text: str, says: str) -> None:
    with pytest.raises(QueryError, match=says) as caught:
        parse(text, TODAY)
    assert str(caught.value).count(". ") == 0


def test_a_filter_alone_has_no_words() -> None:
    for text in ("", "dog", "dog tag:x"):
        with pytest.raises(QueryError, match="is no condition: write KEY:VALUE"):
            parse_filter(text)


@settings(max_examples=400, deadline=None)
@given(filters)
@example(f.Not(f.Not(f.And((f.Tagged('a "b" \\'), f.Tagged("c"))))))
@example(f.Or((f.And((f.Tagged("a"), f.Tagged("b"))), f.Or((f.Tagged("c"), f.Tagged("d"))))))
def test_what_is_written_is_read_as_it_was(filter_: f.Filter) -> None:
    text = format_filter(filter_)
    assert parse_filter(text) == filter_
    parsed = parse(f"a dog {text}")
    assert (parsed.words, parsed.filter) == ("a dog", filter_)


pieces = st.sampled_from([f"{key}:" for key in keys()]) | st.sampled_from(
    ["(", ")", '"', "-", " ", "or", "and", "not", "..", ">=", "2021", "4", ",", "\\", "km", "dog"]
)


@settings(max_examples=10_000, deadline=None)
@given(st.lists(pieces | st.text(max_size=4), max_size=8).map("".join))
@example("folder:~0")
@example("folder:~\0")
def test_any_text_is_understood_or_refused_in_a_sentence(text: str) -> None:
    try:
        parsed = parse(text, TODAY)
    except QueryError as error:
        assert "character" in str(error) and str(error).endswith((".", "?"))
    else:
        if parsed.filter is not None:
            assert parse_filter(format_filter(parsed.filter)) == parsed.filter


@pytest.mark.parametrize(
    ("text", "after", "before"),
    [
        ("today", (2026, 11, 27), (2026, 11, 28)),
        ("yesterday", (2026, 11, 26), (2026, 11, 27)),
        ("last week", (2026, 11, 16), (2026, 11, 23)),
        ("this month", (2026, 11, 1), (2026, 12, 1)),
        ("last year", (2025, 1, 1), (2026, 1, 1)),
        ("last winter", (2025, 12, 1), (2026, 3, 1)),
        ("summer 2019", (2019, 6, 1), (2019, 9, 1)),
        ("winter of 2019", (2019, 12, 1), (2020, 3, 1)),
        ("christmas 2020", (2020, 12, 24), (2020, 12, 27)),
        ("june 2021", (2021, 6, 1), (2021, 7, 1)),
        ("18 July 2021", (2021, 7, 18), (2021, 7, 19)),
        ("between june 2019 and 2020", (2019, 6, 1), (2021, 1, 1)),
        ("from 2019 to 2019-03", (2019, 1, 1), (2019, 4, 1)),
    ],
)
def test_times_are_read_as_people_write_them(
    text: str, after: tuple[int, int, int], before: tuple[int, int, int]
) -> None:
    assert parse_interval(text, TODAY) == (datetime(*after), datetime(*before))


@given(st.dates(date(1900, 1, 1), date(2090, 1, 1)))
def test_the_last_season_is_over_and_this_one_is_on_or_of_this_year(today: date) -> None:
    now = datetime(today.year, today.month, today.day)
    for season in f.SEASONS:
        last, this = (parse_interval(f"{which} {season}", today) for which in ("last", "this"))
        assert last[1] <= now
        assert this[0] <= now < this[1] or this[0].year == today.year
