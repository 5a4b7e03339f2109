"""A file has items, an item its facts, texts and tags; all of it is read back as it was written."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import datetime
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects import sqlite

from retrieval.catalog import FileFacts, ItemFacts, QuickReader
from retrieval.catalog.facts import COLUMNS, KEYWORDS, TEXT_KINDS
from retrieval.catalog.items import _ITEMS
from retrieval.catalog.schema import items
from retrieval.catalog.sqlite import quick_reader
from retrieval.images.facts import ImageMetadata
from tests.support.catalog_places import CatalogPlaces, examples
from tests.support.rows import bound_catalog, picture

EYE = np.eye(4, dtype=np.float32)
words = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12
)
numbers = st.floats(allow_nan=False, allow_infinity=False, width=32)
metadata = st.builds(
    ImageMetadata,
    taken_at=st.none() | st.datetimes(datetime(1826, 1, 1), datetime(2100, 1, 1)),
    camera_make=st.none() | words,
    lens=st.none() | words,
    focal_length_mm=st.none() | numbers,
    iso=st.none() | st.integers(1, 10**6),
    latitude=st.none() | st.floats(-90, 90),
    longitude=st.none() | st.floats(-180, 180),
    rating=st.none() | st.integers(-1, 5),
    title=st.none() | words,
    caption=st.none() | words,
    keywords=st.lists(words, unique=True, max_size=4).map(sorted).map(tuple),
    creator=st.none() | words,
)


def test_every_fact_has_one_place() -> None:
    facts = {field.name for field in fields(ImageMetadata)}
    assert set(COLUMNS) | set(TEXT_KINDS) | {KEYWORDS} == facts
    own = {"id", "file_id", "position", "time_ms", "width_px", "height_px"}
    assert {column.name for column in items.c} == own | set(COLUMNS)


def test_the_quick_reader_asks_what_the_whole_catalogue_asks() -> None:
    def parts(statement: str) -> tuple[list[str], list[str]]:
        selected, rest = statement.split("WHERE")[0].split("FROM")
        columns = selected.strip().removeprefix("SELECT").split(",")
        return [name.split(" AS ")[0].strip() for name in columns], rest.split()

    whole = str(_ITEMS.where(items.c.id.in_([])).compile(dialect=sqlite.dialect()))
    assert parts(whole) == parts(quick_reader._ITEMS)


def test_facts_are_read_back_by_both_readers(places: CatalogPlaces) -> None:
    @given(facts=st.lists(metadata, min_size=1, max_size=4), later=metadata)
    def check(facts: list[ImageMetadata], later: ImageMetadata) -> None:
        where = places.fresh()
        with bound_catalog(where) as catalog, QuickReader.open(where) as reader:
            with catalog.transaction() as change:
                root = change.add_root(Path("/r"))
                added = [picture(f"{n}.jpg", n, metadata=own) for n, own in enumerate(facts)]
                ids = change.add_files(root.id, added, EYE[: len(facts)])
            assert [catalog.items(ids)[id_].metadata for id_ in ids] == facts
            assert reader.items(ids) == catalog.items(ids)
            # The file was read again, and says something else of itself.
            (file_id,) = catalog.file_ids_of(ids[:1])
            with catalog.transaction() as change:
                change.touch_file(file_id, replace(added[0][0], mtime_ns=99), later)
            assert catalog.items(ids)[ids[0]].metadata == later
            assert reader.items(ids) == catalog.items(ids)

    examples(places, 40)(check)()


def video(path: str, content: int, moments: int) -> tuple[FileFacts, list[ItemFacts]]:
    file = FileFacts(path, 1, 2, content.to_bytes(16, "big"), media_kind="video")
    return file, [ItemFacts(64, 48, time_ms=1000 * n) for n in range(moments)]


def test_a_file_may_have_many_items_that_come_and_go_with_it(places: CatalogPlaces) -> None:
    with bound_catalog(places.fresh()) as catalog:
        with catalog.transaction() as change:
            root = change.add_root(Path("/r"))
            ids = change.add_files(root.id, [video("a.mp4", 1, 3), picture("b.jpg", 2)], EYE)
        assert [catalog.items(ids)[id_].time_ms for id_ in ids] == [0, 1000, 2000, None]
        assert {catalog.items(ids)[id_].path for id_ in ids[:3]} == {Path("/r/a.mp4")}
        assert [file.item_ids for file in catalog.stored_files(root.id)] == [
            tuple(ids[:3]),
            (ids[3],),
        ]
        # Another cut of it, which is shorter: what is left keeps its ids.
        with catalog.transaction() as change:
            shorter = change.add_files(root.id, [video("a.mp4", 3, 2)], EYE[2:])
        assert shorter == ids[:2]
        assert set(catalog.vectors(ids)) == {*ids[:2], ids[3]}
        with catalog.changes_since(2) as (_generation, gone, _written):
            assert gone.tolist() == [ids[2]]
        with catalog.transaction() as change:
            assert change.remove_files(catalog.file_ids_of(ids[:1])) == ids[:2]
        assert catalog.item_ids().tolist() == [ids[3]]
        assert catalog.check_integrity() == []


def test_a_copy_of_a_file_gets_all_that_is_known_of_it(places: CatalogPlaces) -> None:
    facts = ImageMetadata(camera_model="X100", title="Pier", keywords=("sea", "wood"), rating=4)
    with bound_catalog(places.fresh()) as catalog:
        with catalog.transaction() as change:
            root = change.add_root(Path("/r"))
            (first,) = change.add_files(root.id, [picture("a.jpg", 7, metadata=facts)], EYE[:1])
        (file_id,) = catalog.file_ids_of([first])
        with catalog.transaction() as change:
            ((source, copy),) = change.copy_file(file_id, root.id, picture("b.jpg", 7)[0])
        assert source == first
        assert catalog.items([copy])[copy].metadata == facts
        assert catalog.items([copy])[copy].path == Path("/r/b.jpg")
        np.testing.assert_array_equal(catalog.vectors([copy])[copy], EYE[0].astype(np.float16))
        # Each is its own from then on.
        with catalog.transaction() as change:
            change.remove_files([file_id])
        assert catalog.items([copy])[copy].metadata == facts
        counted = "SELECT item_id, count(*) FROM tags GROUP BY item_id"
        assert catalog.raw_rows(counted, ()) == [(copy, 2)]
        if not places.is_server:
            assert catalog.raw_rows("PRAGMA foreign_key_check", ()) == []
