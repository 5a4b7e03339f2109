"""How many items have which value of a fact: what a person can narrow down by."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = Callable[[str, Sequence[Any]], list[tuple[Any, ...]]]

_AMONG = "items.id IN (SELECT value FROM json_each(?))"
_SHAPE = """CASE WHEN width_px IS NULL OR height_px = 0 THEN NULL
    WHEN abs(1.0 * width_px / height_px - 1) <= 0.05 THEN 'square'
    WHEN width_px > height_px THEN 'landscape' ELSE 'portrait' END"""
_OF_ITEMS = {
    "camera": "camera_model",
    "lens": "lens",
    "year": "substr(CAST(taken_at AS TEXT), 1, 4)",
    "month": "substr(CAST(taken_at AS TEXT), 1, 7)",
    "rating": "rating",
    "orientation": _SHAPE,
}


@dataclass(frozen=True)
class FacetValue:
    """A value and how many items have it."""

    value: str
    count: int


class Facets:
    """Counts over the items with these ids, int64 (n,), or over all where there are none given.

    `rows` runs a statement in SQL, as `Catalog.raw_rows`.
    """

    def __init__(self, rows: Rows, ids: NDArray[np.int64] | None = None) -> None:
        self._rows = rows
        self._where = "TRUE" if ids is None else _AMONG
        self._values = () if ids is None else (json.dumps(ids.tolist()),)

    def total(self) -> int:
        """How many items are counted over."""
        return self._number("TRUE")

    def undated(self) -> int:
        """How many have no known time."""
        return self._number("taken_at IS NULL")

    def unplaced(self) -> int:
        """How many have no known place."""
        return self._number("latitude IS NULL")

    def of_items(self, fact: str) -> list[FacetValue]:
        """Of `camera`, `lens`, `year`, `month`, `rating` or `orientation`; the most first."""
        column = _OF_ITEMS[fact]
        return self._counted(
            f"SELECT {column}, count(*) FROM items WHERE {self._where} AND {column} IS NOT NULL "
            "GROUP BY 1 ORDER BY 2 DESC, 1"
        )

    def tags(self) -> list[FacetValue]:
        """Of keywords, whoever gave them; the most first."""
        return self._counted(
            "SELECT tag, count(DISTINCT item_id) FROM tags JOIN items ON items.id = tags.item_id "
            f"WHERE {self._where} GROUP BY 1 ORDER BY 2 DESC, 1"
        )

    def folders_and_types(self) -> tuple[list[FacetValue], list[FacetValue]]:
        """Of folders by their whole paths, and of suffixes without the dot; the most first."""
        folders: Counter[tuple[bytes, bytes]] = Counter()
        types: Counter[str] = Counter()
        for root, path in self._rows(
            "SELECT roots.path, files.path FROM items JOIN files ON files.id = items.file_id "
            f"JOIN roots ON roots.id = files.root_id WHERE {self._where}",
            self._values,
        ):
            # Paths as such would take seconds for a hundred thousand.
            folder, _, name = path.rpartition(b"/")
            folders[root, folder] += 1
            stem, _, suffix = name.rpartition(b".")
            if stem and suffix.isalnum():
                types[suffix.decode().lower()] += 1
        whole = {
            str(Path(os.fsdecode(root)) / os.fsdecode(folder)): count
            for (root, folder), count in folders.items()
        }
        return _most_first(whole), _most_first(types)

    def places(self, limit: int) -> list[tuple[int, float, float]]:
        """Ids with latitude and longitude in degrees, at most `limit`, those of highest id."""
        found = self._rows(
            "SELECT id, latitude, longitude FROM items WHERE latitude IS NOT NULL AND "
            f"longitude IS NOT NULL AND {self._where} ORDER BY id DESC LIMIT {int(limit)}",
            self._values,
        )
        return [(row[0], row[1], row[2]) for row in found]

    def _number(self, condition: str) -> int:
        statement = f"SELECT count(*) FROM items WHERE {condition} AND {self._where}"
        return int(self._rows(statement, self._values)[0][0])

    def _counted(self, statement: str) -> list[FacetValue]:
        return [FacetValue(str(row[0]), row[1]) for row in self._rows(statement, self._values)]


def tags_of(rows: Rows, item_id: int) -> list[str]:
    """The keywords of an item, whoever gave them, in their order."""
    return [
        row[0]
        for row in rows("SELECT DISTINCT tag FROM tags WHERE item_id = ? ORDER BY tag", (item_id,))
    ]


def _most_first(counts: Mapping[str, int]) -> list[FacetValue]:
    ordered = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    return [FacetValue(value, count) for value, count in ordered]
