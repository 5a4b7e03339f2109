"""Every condition finds what it says, in both readers, and what is not known fits nothing."""

from __future__ import annotations

import fnmatch
import math
import sqlite3
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.catalog import Catalog, Item, QuickReader
from retrieval.catalog.filters import compile_filter, distance_km, register_functions
from retrieval.errors import QueryError
from retrieval.images.facts import ImageMetadata
from retrieval.query import filters as f
from retrieval.query.places import country_at
from tests.support.catalog_places import CatalogPlaces, examples
from tests.support.filters import filters, latitudes, longitudes, times
from tests.support.rows import bound_catalog, picture

paths = st.lists(st.sampled_from(["a", "b", "c", "A%_", "x.jpg", "y.JPEG"]), min_size=1, max_size=3)
facts = st.builds(
    ImageMetadata,
    taken_at=st.none() | times,
    camera_make=st.none() | st.sampled_from(["Fuji", "Canon"]),
    camera_model=st.none() | st.sampled_from(["X100", "EOS R5"]),
    lens=st.none() | st.sampled_from(["23mm", "50 mm F1.2"]),
    rating=st.none() | st.integers(-1, 5),
    keywords=st.lists(st.sampled_from(["sea", "People"]), unique=True).map(tuple),
)
place = st.none() | st.tuples(latitudes, longitudes)
pictures = st.tuples(paths, facts, place, st.integers(1, 60), st.integers(1, 60))


def nested(depth: int) -> f.Filter:
    found: f.Filter = f.Rating(3, 5)
    for level in range(1, depth):
        found = f.And((found, f.Rating(1, 5))) if level % 2 else f.Not(found)
    return found


def test_as_many_conditions_as_are_taken_can_be_asked(tmp_path: Path) -> None:
    one = f.Name("*.jpg")
    with bound_catalog(tmp_path / "catalog.sqlite") as catalog:
        for most in (f.Or((one,) * 499), nested(20), f.Not(f.Not(nested(18)))):
            assert catalog.ids_matching(most).tolist() == []
        for more in (f.Or((one,) * 500), nested(21)):
            with pytest.raises(QueryError, match="Too many conditions: 500 at most"):
                catalog.ids_matching(more)


def in_place(facts: ImageMetadata, where: tuple[float, float] | None) -> ImageMetadata:
    from dataclasses import replace

    return facts if where is None else replace(facts, latitude=where[0], longitude=where[1])


RULES: dict[type[f.Filter], Callable[..., bool]] = {
    f.And: lambda one, item: all(fits(part, item) for part in one.parts),
    f.Or: lambda one, item: any(fits(part, item) for part in one.parts),
    f.Not: lambda one, item: not fits(one.part, item),
    f.Below: lambda one, item: item.path.is_relative_to(one.folder),
    f.Name: lambda one, item: fnmatch.fnmatchcase(item.path.name.lower(), one.pattern.lower()),
    f.FileType: lambda one, item: (
        item.path.suffix.lower()[1:].replace("jpeg", "jpg") == one.suffix.replace("jpeg", "jpg")
    ),
    f.Taken: lambda one, item: (
        item.metadata.taken_at is not None
        and (one.after or datetime.min) <= item.metadata.taken_at < (one.before or datetime.max)
    ),
    f.TimeOfDay: lambda one, item: (
        item.metadata.taken_at is not None
        and (
            one.start <= item.metadata.taken_at.hour < one.end
            if one.start < one.end
            else not one.end <= item.metadata.taken_at.hour < one.start
        )
    ),
    f.Month: lambda one, item: (
        item.metadata.taken_at is not None and item.metadata.taken_at.month in one.months
    ),
    f.Camera: lambda one, item: (
        one.text.lower()
        in f"{item.metadata.camera_make or ''} {item.metadata.camera_model or ''}".lower()
    ),
    f.Lens: lambda one, item: one.text.lower() in (item.metadata.lens or "\n").lower(),
    f.Near: lambda one, item: (
        item.metadata.latitude is not None
        and distance_km(
            item.metadata.latitude, item.metadata.longitude, one.latitude, one.longitude
        )
        <= one.radius_km
    ),
    f.InBox: lambda one, item: (
        item.metadata.latitude is not None
        and one.south <= item.metadata.latitude <= one.north
        and (
            one.west <= item.metadata.longitude <= one.east
            if one.west <= one.east
            else item.metadata.longitude >= one.west or item.metadata.longitude <= one.east
        )
    ),
    f.InCountry: lambda one, item: (
        item.metadata.latitude is not None
        and country_at(round(item.metadata.latitude, 2), round(item.metadata.longitude, 2))
        == one.code
    ),
    f.Megapixels: lambda one, item: one.least <= item.width_px * item.height_px / 1e6 <= one.most,
    f.Aspect: lambda one, item: one.least <= item.width_px / item.height_px <= one.most,
    f.Shaped: lambda one, item: shape_of(item.width_px / item.height_px) == one.shape,
    f.Rating: lambda one, item: (
        item.metadata.rating is not None and one.least <= item.metadata.rating <= one.most
    ),
    f.Tagged: lambda one, item: (
        one.tag.strip().lower() in [tag.lower() for tag in item.metadata.keywords]
    ),
}


def shape_of(ratio: float) -> str:
    if 1 / 1.05 <= ratio <= 1.05:
        return "square"
    return "portrait" if ratio < 1 else "landscape"


def fits(filter_: f.Filter, item: Item) -> bool:
    return RULES[type(filter_)](filter_, item)


def has_pattern(filter_: f.Filter) -> bool:
    """Whether a name's pattern means one thing to GLOB and another to fnmatch."""
    return any(
        isinstance(one, f.Name) and (set("[]!^") & set(one.pattern) or not one.pattern.isascii())
        for one in f.conditions(filter_)
    )


def test_a_filter_finds_what_it_says_in_both_readers(places: CatalogPlaces) -> None:
    @given(
        drawn=st.lists(
            pictures, min_size=1, max_size=8, unique_by=lambda picture: "/".join(picture[0])
        ),
        asked=st.lists(filters.filter(lambda one: not has_pattern(one)), min_size=1, max_size=6),
    )
    def check(
        drawn: list[tuple[list[str], ImageMetadata, tuple[float, float] | None, int, int]],
        asked: list[f.Filter],
    ) -> None:
        where = places.fresh()
        with bound_catalog(where) as catalog, QuickReader.open(where) as reader:
            with catalog.transaction() as change:
                for number, root in enumerate(("/a", "/b/c")):
                    mine = drawn[number::2]
                    added = [
                        picture(
                            "/".join(names), number, width, height, None, in_place(known, where)
                        )
                        for names, known, where, width, height in mine
                    ]
                    vectors = np.ones((len(mine), 4), np.float32) / 2
                    change.add_files(change.add_root(Path(root)).id, added, vectors)
            items = catalog.items(catalog.item_ids().tolist())
            for filter_ in asked:
                expected = [id_ for id_, item in sorted(items.items()) if fits(filter_, item)]
                assert catalog.ids_matching(filter_).tolist() == expected
                assert reader.ids_matching(filter_).tolist() == expected

    examples(places, 150)(check)()


@pytest.mark.parametrize("apart", [5e-324, 1e-308, 1e-200, 1e-12])
def test_places_next_to_one_another_are_near(places: CatalogPlaces, apart: float) -> None:
    with bound_catalog(places.fresh()) as catalog:
        with catalog.transaction() as change:
            known = ImageMetadata(latitude=apart, longitude=-apart)
            change.add_files(
                change.add_root(Path("/r")).id,
                [picture("a.jpg", metadata=known)],
                np.ones((1, 4), np.float32) / 2,
            )
        assert len(catalog.ids_matching(f.Near(0.0, 0.0, 0.01))) == 1


def test_a_circle_holds_what_is_a_little_nearer_than_its_radius(places: CatalogPlaces) -> None:
    """Every direction, over the poles and the date line too: the box around it is wide enough."""

    @given(
        latitude=latitudes,
        longitude=longitudes,
        radius_km=st.floats(0.01, 5000),
        bearing=st.floats(0, 360),
    )
    def check(latitude: float, longitude: float, radius_km: float, bearing: float) -> None:
        reach = 0.999 * radius_km / 6371.0088
        north, turn = math.radians(latitude), math.radians(bearing)
        there = math.asin(
            max(-1, min(1, math.sin(north) * math.cos(reach)
            + math.cos(north) * math.sin(reach) * math.cos(turn)))
        )  # fmt: skip
        east = math.radians(longitude) + math.atan2(
            math.sin(turn) * math.sin(reach) * math.cos(north),
            math.cos(reach) - math.sin(north) * math.sin(there),
        )
        where = (math.degrees(there), (math.degrees(east) + 180) % 360 - 180)
        with bound_catalog(places.fresh()) as catalog:
            with catalog.transaction() as change:
                known = in_place(ImageMetadata(), where)
                change.add_files(
                    change.add_root(Path("/r")).id,
                    [picture("a.jpg", metadata=known)],
                    np.ones((1, 4), np.float32) / 2,
                )
            assert len(catalog.ids_matching(f.Near(latitude, longitude, radius_km))) == 1

    examples(places, 100)(check)()


def test_the_road_from_paris_to_london_is_as_long_as_it_is() -> None:
    assert distance_km(48.8566, 2.3522, 51.5074, -0.1278) == pytest.approx(343.6, abs=0.5)
    assert distance_km(None, 2.0, 51.0, 0.0) is None


@pytest.mark.parametrize(
    "make",
    [
        lambda: f.Below(Path("photos")),
        lambda: f.Name("a/b"),
        lambda: f.Taken(datetime(2021, 1, 2), datetime(2021, 1, 1)),
        lambda: f.TimeOfDay(25, 3),
        lambda: f.Month(frozenset()),
        lambda: f.Near(91, 0, 1),
        lambda: f.Near(0, 0, -1),
        lambda: f.InBox(2, 0, 1, 0),
        lambda: f.InCountry("Germany"),
        lambda: f.InCountry("de"),
        lambda: f.Megapixels(3, 2),
        lambda: f.Rating(4, 6),
        lambda: f.Tagged(" "),
        lambda: f.And((f.Tagged("a"),)),
    ],
)
def test_values_that_make_no_sense_are_refused(make: Callable[[], f.Filter]) -> None:
    with pytest.raises(ValueError, match="makes no sense"):
        make()


def test_conditions_join_without_nesting() -> None:
    a, b, c = f.Tagged("a"), f.Tagged("b"), f.Tagged("c")
    assert a & b & c == f.And((a, b, c))
    assert a | b | c == f.Or((a, b, c))
    assert ~~a == a
    assert f.conditions(~(a & b) | c) == [a, b, c]


def test_a_fact_that_an_old_catalogue_does_not_know_is_an_error(tmp_path: Path) -> None:
    import shutil

    from retrieval.errors import CatalogError

    stored = Path(__file__).parents[2] / "data" / "catalogs"
    shutil.copyfile(stored / "v2.sqlite", tmp_path / "catalog.sqlite")
    with Catalog.open(tmp_path / "catalog.sqlite") as catalog:
        assert len(catalog.ids_matching(f.Taken(after=datetime(2021, 1, 1)))) == 1
        assert len(catalog.ids_matching(f.FileType("png"))) == 2
        for unknown in (f.Camera("X"), f.Tagged("sea"), ~f.Rating(3)):
            with pytest.raises(CatalogError, match="does not know yet"):
                catalog.ids_matching(unknown)


@pytest.mark.parametrize(
    ("filter_", "searched"),
    [
        (f.Below(Path("/photos/2020/05")), "path>? AND path<?"),
        (f.Taken(after=datetime(2020, 5, 1)), "taken_at>?"),
        (f.Taken(datetime(2020, 5, 1), datetime(2020, 6, 1)), "taken_at>? AND taken_at<?"),
        (f.Near(48.1, 11.5, 5.0), "latitude>? AND latitude<?"),
    ],
)
def test_a_filter_that_keeps_few_is_found_through_an_index(
    tmp_path: Path, filter_: f.Filter, searched: str
) -> None:
    with Catalog.create(tmp_path / "catalog.sqlite") as catalog:
        with catalog.transaction() as change:
            change.add_root(Path("/photos"))
        compiled = compile_filter(filter_, catalog.roots())
    with sqlite3.connect(tmp_path / "catalog.sqlite") as connection:
        register_functions(connection)
        plan = connection.execute(
            f"EXPLAIN QUERY PLAN {compiled.statement}", compiled.parameters
        ).fetchall()
    assert any(searched in step for *_, step in plan), plan
