"""Statements that are written as SQL say the same in both databases."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np

from retrieval.catalog.arrangement import newest_first
from retrieval.catalog.facets import Facets, FacetValue, tags_of
from retrieval.catalog.moments import has_videos, moments_beside, moments_of_file
from retrieval.catalog.originals import content_hashes_of, neighbours_of, original_of
from retrieval.images.facts import ImageMetadata
from tests.support.catalog_places import CatalogPlaces
from tests.support.rows import bound_catalog, picture

KNOWN = ImageMetadata(
    taken_at=datetime(2021, 7, 4, 12, 30),
    camera_model="X100",
    latitude=48.0,
    longitude=11.0,
    rating=4,
    keywords=("sea", "Éire", "beach"),
)


def test_what_the_page_asks_is_answered_alike(places: CatalogPlaces) -> None:
    with bound_catalog(places.fresh()) as catalog:
        with catalog.transaction() as change:
            root = change.add_root(Path("/r"))
            added = [
                picture("a/1.jpg", 1, 40, 30, metadata=KNOWN),
                picture("a/2.JPG", 2, 30, 40),
                picture("b.png", 3, 40, 40, taken_at=datetime(2019, 1, 1)),
            ]
            ids = change.add_files(root.id, added, np.eye(4, dtype=np.float32)[:3])
        rows = catalog.raw_rows
        every = Facets(rows)
        assert (every.total(), every.undated(), every.unplaced()) == (3, 1, 2)
        assert every.of_items("year") == [FacetValue("2019", 1), FacetValue("2021", 1)]
        assert every.of_items("month")[1] == FacetValue("2021-07", 1)
        shapes = {value.value for value in every.of_items("orientation")}
        assert shapes == {"landscape", "portrait", "square"}
        assert every.of_items("rating") == [FacetValue("4", 1)]
        assert [value.value for value in every.tags()] == ["beach", "sea", "Éire"]
        assert tags_of(rows, ids[0]) == ["beach", "sea", "Éire"]
        assert every.folders_and_types() == (
            [FacetValue("/r/a", 2), FacetValue("/r", 1)],
            [FacetValue("jpg", 2), FacetValue("png", 1)],
        )
        some = Facets(rows, np.array(ids[:2]))
        assert (some.total(), some.undated()) == (2, 1)
        assert some.places(5) == [(ids[0], 48.0, 11.0)]
        original = original_of(rows, ids[0])
        assert original is not None
        assert (original.path, original.content_hash) == (
            Path("/r/a/1.jpg"),
            added[0][0].content_hash,
        )
        assert content_hashes_of(rows, ids[1:]) == {
            id_: file.content_hash for id_, (file, _) in zip(ids[1:], added[1:], strict=True)
        }
        assert neighbours_of(rows, ids[0], 2) == ([ids[2]], [ids[1]])
        arranged = newest_first(rows)
        assert arranged.ids == [ids[0], ids[2], ids[1]]
        assert arranged.months == [("2021-07", 1), ("2019-01", 1), (None, 1)]
        assert newest_first(rows, np.array(ids[1:])).ids == [ids[2], ids[1]]
        assert not has_videos(rows) and moments_beside(rows, ids) == {}
        (file_id,) = catalog.file_ids_of(ids[:1])
        assert [moment.item_id for moment in moments_of_file(rows, file_id)] == ids[:1]
