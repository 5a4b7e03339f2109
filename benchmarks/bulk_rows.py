"""A catalogue of many millions of rows, written by SQL alone.

Through the classes that an indexer uses, twenty million rows take most of an hour. The tables are
theirs; the rows come from here: files of twelve years in folders by month and event, half of them
with a place, all with a time and a camera. Their words are not made ready to be found, as in an
index from before there was a search by words.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.pipeline.scan import ScannedFile
from retrieval.catalog import Catalog
from retrieval.catalog.schema import FACTS_VERSION
from retrieval.encoders.compact import CompactEncoder
from retrieval.storage.index_dir import resolve_index_dir

_ROWS_A_STEP = 20_000
_FIRST = datetime(2013, 1, 1)
_SECONDS = 12 * 365 * 86_400
_EVENTS = ("at the lake", "birthday", "garden", "city trip", "school", "in the mountains", "snow")
_CAMERAS = (
    ("Canon", "EOS R6"), ("FUJIFILM", "X100V"), ("Apple", "iPhone 12"), ("NIKON", "Z 6"),
    ("Google", "Pixel 7"), ("SONY", "ILCE-7M3"), ("OLYMPUS", "E-M10"), ("Apple", "iPhone 8"),
)  # fmt: skip
_TOWNS = np.array(
    [(48.14, 11.58), (52.52, 13.4), (45.44, 12.33), (40.71, -74.0), (35.68, 139.7), (-33.9, 18.4)]
)

Vectors = NDArray[np.float16]


def fill_by_sql(
    index_dir: Path, vectors: Vectors, present: Sequence[ScannedFile] | None = None
) -> None:
    """Write a catalogue with a row for each vector, (n, dim); ids count from 1 in their order.

    The root is the folder `photos` beside the index. `present` are as many files that are there, to
    be known as they are; else the files are made up.
    """
    location = resolve_index_dir(index_dir)
    with Catalog.create(location.catalog) as catalog, catalog.transaction() as change:
        change.set_encoder(CompactEncoder().space)
        change.add_root(index_dir.parent / "photos")
    connection = sqlite3.connect(location.catalog, isolation_level=None)
    try:
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -2000000"):
            connection.execute(f"PRAGMA {pragma}")
        later = _set_aside(connection)
        for start in range(0, len(vectors), _ROWS_A_STEP):
            connection.execute("BEGIN")
            stop = start + _ROWS_A_STEP
            files = None if present is None else present[start:stop]
            _write(connection, start, vectors[start:stop], files)
            connection.execute("COMMIT")
        for statement in later:
            connection.execute(statement)
        connection.execute("ANALYZE")
        connection.execute("PRAGMA journal_mode = WAL")
    finally:
        connection.close()


def _set_aside(connection: sqlite3.Connection) -> list[str]:
    """Drop indexes and triggers, which are quicker made at the end; returns what makes them."""
    statement = (
        "SELECT type, name, sql FROM sqlite_master"
        " WHERE sql IS NOT NULL AND type IN ('index', 'trigger')"
    )
    found = connection.execute(statement).fetchall()
    for kind, name, _sql in found:
        connection.execute(f"DROP {kind} {name}")
    return [sql for _kind, _name, sql in found]


def _write(
    connection: sqlite3.Connection,
    start: int,
    vectors: Vectors,
    present: Sequence[ScannedFile] | None,
) -> None:
    random = np.random.default_rng(start)
    ids = range(start + 1, start + 1 + len(vectors))
    facts = list(_facts(random, len(vectors)))
    hashes = random.bytes(16 * len(vectors))
    files = (
        [(own["path"] % id_, own["size"], 0) for id_, own in zip(ids, facts, strict=True)]
        if present is None
        else [(os.fsencode(file.path), file.size_bytes, file.mtime_ns) for file in present]
    )
    connection.executemany(
        f"INSERT INTO files VALUES (?, 1, ?, ?, ?, ?, 'image', {FACTS_VERSION})",
        (
            (id_, *file, hashes[16 * place : 16 * place + 16])
            for place, (id_, file) in enumerate(zip(ids, files, strict=True))
        ),
    )
    connection.executemany(
        "INSERT INTO items (id, file_id, position, width_px, height_px, taken_at, camera_make,"
        " camera_model, latitude, longitude, rating)"
        " VALUES (?, ?, 0, 4000, 3000, ?, ?, ?, ?, ?, ?)",
        (
            (id_, id_, own["taken_at"], *own["camera"], *own["place"], own["rating"])
            for id_, own in zip(ids, facts, strict=True)
        ),
    )
    whole = np.ascontiguousarray(vectors, dtype="<f2").tobytes()
    size = len(whole) // len(vectors)
    connection.executemany(
        "INSERT INTO embeddings VALUES (?, 1, 1, ?)",
        ((id_, whole[place * size : place * size + size]) for place, id_ in enumerate(ids)),
    )


def _facts(random: np.random.Generator, count: int) -> Iterator[dict[str, Any]]:
    seconds = np.sort(random.integers(0, _SECONDS, count)).tolist()
    events = random.integers(0, len(_EVENTS), count).tolist()
    cameras = random.integers(0, len(_CAMERAS), count).tolist()
    towns = random.integers(0, 2 * len(_TOWNS), count).tolist()
    near = random.normal(0, 0.1, (count, 2))
    ratings = random.integers(0, 20, count).tolist()
    sizes = random.integers(500_000, 6_000_000, count).tolist()
    for place, second in enumerate(seconds):
        taken_at = _FIRST + timedelta(seconds=second)
        folder = f"{taken_at:%Y/%m} {_EVENTS[events[place]]}/IMG_"
        has_place = towns[place] < len(_TOWNS)
        where = (_TOWNS[towns[place]] + near[place]).tolist() if has_place else (None, None)
        yield {
            "path": folder.encode() + b"%08d.jpg",
            "size": sizes[place],
            "taken_at": f"{taken_at:%Y-%m-%d %H:%M:%S}.000000",
            "camera": _CAMERAS[cameras[place]],
            "place": where,
            "rating": ratings[place] if ratings[place] <= 5 else None,
        }
