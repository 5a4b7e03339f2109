"""What is exported of an index: items with their vectors, a chunk at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.catalog import Catalog, Item
from retrieval.images.facts import ImageMetadata
from retrieval.query.filters import Filter

_ROWS_A_CHUNK = 4096
FACTS = tuple(fact.name for fact in fields(ImageMetadata))


@dataclass(frozen=True)
class ExportedRows:
    """Items in the order of their ids, and their vectors, float16 (n, dim), as they are stored."""

    items: list[Item]
    vectors: NDArray[np.float16]


def exported_rows(
    catalog: Catalog, only: Filter | None, rows_a_chunk: int = _ROWS_A_CHUNK
) -> Iterator[ExportedRows]:
    """The items that fit a filter, all of them without one; one without a vector is left out."""
    ids = catalog.item_ids() if only is None else catalog.ids_matching(only)
    for begin in range(0, len(ids), rows_a_chunk):
        chunk = ids[begin : begin + rows_a_chunk].tolist()
        known, vectors = catalog.items(chunk), catalog.vectors(chunk)
        kept = [id_ for id_ in chunk if id_ in known and id_ in vectors]
        if kept:
            halves = np.stack([vectors[id_] for id_ in kept])
            yield ExportedRows([known[id_] for id_ in kept], halves)


def count_rows(catalog: Catalog, only: Filter | None) -> int:
    """How many items fit."""
    return catalog.count_items() if only is None else len(catalog.ids_matching(only))


def facts_of(item: Item) -> dict[str, Any]:
    """An item's facts by name, as a table takes them: its size, and all that its file says."""
    told = {name: getattr(item.metadata, name) for name in FACTS}
    told["keywords"] = list(told["keywords"])
    sizes = {"width_px": item.width_px, "height_px": item.height_px}
    return {"path": str(item.path), **sizes, **told}
