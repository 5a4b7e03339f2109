"""The file behind an item, as it was when it was indexed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Rows = Callable[[str, Sequence[Any]], list[tuple[Any, ...]]]

_ORIGINAL = """
SELECT roots.path, files.path, files.size_bytes, files.mtime_ns, files.content_hash,
    items.width_px, items.height_px, items.time_ms
FROM items JOIN files ON files.id = items.file_id JOIN roots ON roots.id = files.root_id
WHERE items.id = ?
"""
_HASHES = """
SELECT items.id, files.content_hash FROM items JOIN files ON files.id = items.file_id
WHERE items.id IN (SELECT value FROM json_each(?))
"""
_NEIGHBOURS = """
SELECT items.id FROM items JOIN files ON files.id = items.file_id
WHERE files.root_id = (SELECT f.root_id FROM items i JOIN files f ON f.id = i.file_id
                       WHERE i.id = ?)
ORDER BY items.taken_at IS NULL, items.taken_at, files.path, items.id
"""


@dataclass(frozen=True)
class Original:
    """A file as it was indexed: `content_hash` has 16 bytes, the size in pixels is upright.

    `time_ms`: where in a video the item is, None for a picture.
    """

    path: Path
    size_bytes: int
    mtime_ns: int
    content_hash: bytes
    width_px: int
    height_px: int
    time_ms: int | None = None


def original_of(rows: Rows, item_id: int) -> Original | None:
    """The file of an item; None for an id that is not there. `rows` runs a statement."""
    found = rows(_ORIGINAL, (item_id,))
    if not found:
        return None
    root, path, size, mtime_ns, content, width_px, height_px, time_ms = found[0]
    whole = Path(os.fsdecode(root)) / os.fsdecode(path)
    return Original(whole, size, mtime_ns, bytes(content), width_px, height_px, time_ms)


def content_hashes_of(rows: Rows, item_ids: Sequence[int]) -> dict[int, bytes]:
    """The hashes of the files of these items, by id; an id that is not there is left out."""
    return {row[0]: bytes(row[1]) for row in rows(_HASHES, (json.dumps(list(item_ids)),))}


def neighbours_of(rows: Rows, item_id: int, count: int) -> tuple[list[int], list[int]]:
    """Up to `count` ids before and after an item among its root's pictures, by time, then path."""
    ids = [row[0] for row in rows(_NEIGHBOURS, (item_id,))]
    if item_id not in ids:
        return [], []
    place = ids.index(item_id)
    return ids[max(0, place - count) : place], ids[place + 1 : place + 1 + count]
