"""The items of files that have many: the moments of videos, in their order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

Rows = Callable[[str, Sequence[Any]], list[tuple[Any, ...]]]

_IDS_A_STATEMENT = 500
_OF_FILE = "SELECT id, position, time_ms FROM items WHERE file_id = ? ORDER BY position"
_CONTENT = "SELECT content_hash FROM files WHERE id = ?"
_ALL = "SELECT id FROM items WHERE time_ms IS NOT NULL ORDER BY id"
_HAS_VIDEO = "SELECT 1 FROM items WHERE time_ms IS NOT NULL LIMIT 1"
_OF_SAME_FILES = """
SELECT items.file_id, items.id, items.position, items.time_ms FROM items
WHERE items.time_ms IS NOT NULL AND items.file_id IN
    (SELECT file_id FROM items WHERE id IN ({marks}))
ORDER BY items.file_id, items.position
"""


@dataclass(frozen=True)
class Moment:
    """An item by its id, its place in its file, and its time within the video."""

    item_id: int
    position: int
    time_ms: int | None


def moments_of_file(rows: Rows, file_id: int) -> list[Moment]:
    """The items of a file in their order. `rows` runs a statement."""
    return [Moment(*row) for row in rows(_OF_FILE, (file_id,))]


def content_hash_of_file(rows: Rows, file_id: int) -> bytes | None:
    """The hash under which a file is kept; None for an id that is not there."""
    found = rows(_CONTENT, (file_id,))
    return bytes(found[0][0]) if found else None


def has_videos(rows: Rows) -> bool:
    """Whether any moment of a video is indexed."""
    return bool(rows(_HAS_VIDEO, ()))


def ids_of_moments(rows: Rows) -> list[int]:
    """The ids of all items that are moments of videos."""
    return [row[0] for row in rows(_ALL, ())]


def moments_beside(rows: Rows, item_ids: Iterable[int]) -> dict[int, list[Moment]]:
    """All moments, in their order and by file id, of the videos that these items are of."""
    found: dict[int, list[Moment]] = {}
    wanted = list(item_ids)
    for start in range(0, len(wanted), _IDS_A_STATEMENT):
        ids = wanted[start : start + _IDS_A_STATEMENT]
        own: dict[int, list[Moment]] = {}
        for file_id, *moment in rows(_OF_SAME_FILES.format(marks=",".join("?" * len(ids))), ids):
            own.setdefault(file_id, []).append(Moment(*moment))
        found |= own
    return found
