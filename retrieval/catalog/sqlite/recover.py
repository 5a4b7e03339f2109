"""All that can be read of a damaged catalogue, written into a fresh one.

Reads rows page by page (`pages` beside it), tells by their shape which table they are of,
and leaves out what cannot be right. The damaged file is not changed.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateTable

from retrieval.catalog.base import FIRST_SPACE, SPACE
from retrieval.catalog.catalog import Catalog
from retrieval.catalog.full_text import refresh
from retrieval.catalog.integrity import LENGTH_TOLERANCE
from retrieval.catalog.migrations.to_version_3 import ROW_MOVES
from retrieval.catalog.records import CONTENT_HASH_BYTES
from retrieval.catalog.schema import (
    SCHEMA_VERSION,
    FilePath,
    PlainText,
    embeddings,
    failures,
    files,
    info,
    items,
    marks,
    removals,
    roots,
    saved_searches,
    spaces,
    tags,
    texts,
)
from retrieval.catalog.sqlite.connection import as_mmsearch_error
from retrieval.catalog.sqlite.pages import Value, index_rows, leaf_rows
from retrieval.catalog.transaction import DISKS, ELSEWHERE, REMOVED
from retrieval.errors import CatalogError
from retrieval.storage.disk import delete_database

# The tables of versions 1 and 2 that are no more; the last columns of pictures came with 2.
_old = MetaData()
old_pictures = Table(
    "pictures",
    _old,
    Column("id", Integer, primary_key=True),
    Column("root_id", BigInteger, nullable=False),
    Column("path", FilePath, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    Column("content_hash", LargeBinary(16), nullable=False),
    Column("width_px", Integer, nullable=False),
    Column("height_px", Integer, nullable=False),
    Column("taken_at", DateTime, info={"added": True}),
    Column("facts_version", Integer, nullable=False, server_default="0", info={"added": True}),
)
old_vectors = Table(
    "vectors",
    _old,
    Column("picture_id", Integer, primary_key=True),
    Column("generation", BigInteger, nullable=False),
    Column("embedding", LargeBinary, nullable=False),
)
_OLD_TABLES = (old_pictures, old_vectors)
_TABLES = (
    files,
    items,
    spaces,
    embeddings,
    texts,
    tags,
    *_OLD_TABLES,
    removals,
    failures,
    saved_searches,
    marks,
    roots,
    info,
)
_HASHED = {files.name: 5, old_pictures.name: 5}
_ROWS_A_STATEMENT = 2_000
_WAL_HEADER_BYTES = 32
_FRAME_HEADER_BYTES = 24


@dataclass(frozen=True)
class Salvaged:
    """What was found: ids of items of which anything was left, and which can be found again.

    `generation` is that of the damaged catalogue, None where it could not be read. `lost_roots`
    are made-up folders that stand for those whose names could not be read.
    """

    seen: frozenset[int]
    generation: int | None
    dim: int
    lost_roots: tuple[Path, ...]


def salvage(source: Path, target: Path, scratch: Path) -> Salvaged:
    """Make the catalogue `target` of what can be read of `source`.

    `scratch` is a name for a copy that is worked on and deleted. Items whose vector could not be
    read have rows and no vector. Raises CatalogError where a newer mmsearch made it,
    StorageError or OSError where the disk is full or fails.
    """
    try:
        Catalog.create(target).close()
        _copy_with_log(source, scratch)
        with closing(sqlite3.connect(target)) as fresh:
            fresh.execute("PRAGMA journal_mode = DELETE")
            # Synced once, as a whole, by the caller.
            fresh.execute("PRAGMA synchronous = OFF")
            with fresh:
                for table in _OLD_TABLES:
                    fresh.execute(str(CreateTable(table).compile(dialect=sqlite.dialect())))
                facts = _fill(fresh, scratch)
                _take_over_old_rows(fresh, facts)
                salvaged = _settle(fresh, facts, scratch, target.parent)
                refresh(fresh)
                return salvaged
    except sqlite3.Error as error:
        raise as_mmsearch_error(error, target) from error
    finally:
        delete_database(scratch)


def fold_log_in(path: Path) -> None:
    """Leave one file of a catalogue that nobody has open, without a log beside it."""
    try:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.Error as error:
        raise as_mmsearch_error(error, path) from error


def _copy_with_log(source: Path, scratch: Path) -> None:
    """A copy of the file with all in it that was committed to the log beside it."""
    shutil.copyfile(source, scratch)
    log = source.with_name(source.name + "-wal")
    if not log.exists() or not log.stat().st_size:
        return
    copied_log = scratch.with_name(scratch.name + "-wal")
    shutil.copyfile(log, copied_log)
    with (
        suppress(sqlite3.Error, UnicodeDecodeError),
        closing(sqlite3.connect(scratch)) as connection,
    ):
        if connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0:
            return
    if copied_log.exists():
        _apply_log(copied_log, scratch)


def _apply_log(log: Path, database: Path) -> None:
    """Write the committed pages of a log into the database, as SQLite would if it could open it."""
    with log.open("rb") as frames, database.open("r+b") as file:
        header = frames.read(_WAL_HEADER_BYTES)
        if len(header) < _WAL_HEADER_BYTES:
            return
        size = int.from_bytes(header[8:12], "big")
        pending: dict[int, bytes] = {}
        while len(frame := frames.read(_FRAME_HEADER_BYTES)) == _FRAME_HEADER_BYTES:
            number, committed = struct.unpack(">II", frame[:8])
            page = frames.read(size)
            if frame[8:16] != header[16:24] or len(page) < size or not number:
                break
            pending[number] = page
            if committed:
                for place, content in pending.items():
                    file.seek((place - 1) * size)
                    file.write(content)
                pending.clear()


def _fill(fresh: sqlite3.Connection, source: Path) -> dict[str, str]:
    """Write all rows that have the shape of one of the tables; returns the catalogue's facts."""
    facts: dict[str, str] = {}
    sequences: dict[str, int] = {}
    for table, rows in _by_table(leaf_rows(source)):
        if table is info:
            facts.update((str(key), str(value)) for key, value in rows)
            continue
        for size, alike in groupby(sorted(rows, key=len), key=len):
            names = ", ".join(column.name for column in list(table.columns)[:size])
            marks = ", ".join("?" * size)
            fresh.executemany(
                f"INSERT OR IGNORE INTO {table.name} ({names}) VALUES ({marks})", list(alike)
            )
    for _rowid, values in leaf_rows(source):
        match values:
            case (str(name), int(last)):
                sequences[name] = max(last, sequences.get(name, 0))
    sequences["files"] = max(sequences.get("files", 0), sequences.get(old_pictures.name, 0))
    sequences["items"] = max(sequences.get("items", 0), sequences.get(old_pictures.name, 0))
    for table in (files, items, roots):
        fresh.execute("DELETE FROM sqlite_sequence WHERE name = ?", (table.name,))
        (highest,) = fresh.execute(f"SELECT coalesce(max(id), 0) FROM {table.name}").fetchone()
        fresh.execute(
            "INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)",
            (table.name, max(highest, sequences.get(table.name, 0))),
        )
    return facts


def _take_over_old_rows(fresh: sqlite3.Connection, facts: dict[str, str]) -> None:
    """Make what was found of older tables rows of the present ones."""
    name, dim = facts.pop("encoder_name", None), facts.pop("encoder_dim", "")
    fingerprint = facts.pop("encoder_fingerprint", "")
    if name is not None and dim.isdecimal():
        fresh.execute(
            "INSERT OR IGNORE INTO spaces (id, name, dim, fingerprint) VALUES (1, ?, ?, ?)",
            (name, int(dim), fingerprint),
        )
    for statement in ROW_MOVES:
        fresh.execute(statement.replace("INSERT", "INSERT OR IGNORE"))
    for table in _OLD_TABLES:
        fresh.execute(f"DROP TABLE {table.name}")


def _by_table(
    rows: Iterable[tuple[int, tuple[Value, ...]]],
) -> Iterator[tuple[Table, list[tuple[Value, ...]]]]:
    """Rows with the table that they are of, many at a time; those of no table are left out."""
    waiting: dict[str, list[tuple[Value, ...]]] = {table.name: [] for table in _TABLES}
    for rowid, values in rows:
        table = next((table for table in _TABLES if _fits(table, values)), None)
        if table is None:
            continue
        mine = waiting[table.name]
        mine.append((rowid, *values[1:]) if _has_alias(table) else values)
        if len(mine) >= _ROWS_A_STATEMENT:
            yield table, mine
            mine.clear()
    for table in _TABLES:
        if waiting[table.name]:
            yield table, waiting[table.name]


def _fits(table: Table, values: Sequence[Value]) -> bool:
    columns = list(table.columns)
    needed = sum(1 for column in columns if not column.info.get("added"))
    if not needed <= len(values) <= len(columns):
        return False
    has_alias = _has_alias(table)
    for place, (column, value) in enumerate(zip(columns, values, strict=False)):
        if place == 0 and has_alias:
            if value is not None:
                return False
        elif value is None:
            if not column.nullable:
                return False
        elif not isinstance(value, _types_of(column.type)):
            return False
    if table is roots and not _is_folder(values[1]):
        return False
    hashed = _HASHED.get(table.name)
    return hashed is None or len(values[hashed]) == CONTENT_HASH_BYTES  # type: ignore[arg-type]


def _has_alias(table: Table) -> bool:
    """Whether the row's number stands for its key, which is then not written in the row."""
    return len(table.primary_key) == 1 and table not in (info, saved_searches)


def _is_folder(path: Value) -> bool:
    """Whether bytes can be a root's: the pages of the words' tables have rows of its shape."""
    name = os.fsdecode(path)  # type: ignore[arg-type]
    return Path(name).is_absolute() and not any(ord(letter) < 32 for letter in name)


def _types_of(kind: object) -> tuple[type, ...]:
    if isinstance(kind, FilePath | LargeBinary):
        return (bytes,)
    if isinstance(kind, PlainText | Text | DateTime):
        return (str,)
    # A whole number in a column of floats is stored as one.
    return (float, int) if isinstance(kind, Float) else (int,)


def _settle(
    fresh: sqlite3.Connection, facts: dict[str, str], scratch: Path, folder: Path
) -> Salvaged:
    """Drop what does not fit together, stand in for lost folders, write the facts."""
    version = facts.pop("schema_version", "")
    if version.isdecimal() and int(version) > SCHEMA_VERSION:
        raise CatalogError(
            f"The index was made by a newer mmsearch (its format is {version}, this program "
            f"knows {SCHEMA_VERSION}): update mmsearch and repair with that."
        )
    # Rows of pages whose being free was not known.
    for table, key in ((embeddings, "item_id"), (items, "id")):
        fresh.execute(f"DELETE FROM {table.name} WHERE {key} IN (SELECT item_id FROM removals)")
    fresh.execute("DELETE FROM items WHERE file_id NOT IN (SELECT id FROM files)")
    space = facts.get(SPACE, "")
    own = (int(space) if space.isdecimal() else FIRST_SPACE,)
    seen = frozenset(
        row[0]
        for row in fresh.execute(
            "SELECT id FROM items UNION SELECT item_id FROM embeddings WHERE space_id = ?", own
        )
    )
    dim = _drop_wrong_vectors(fresh, own[0])
    fresh.execute("DELETE FROM files WHERE id NOT IN (SELECT file_id FROM items)")
    for table in (embeddings, texts, tags, marks):
        fresh.execute(f"DELETE FROM {table.name} WHERE item_id NOT IN (SELECT id FROM items)")
    nameless = fresh.execute(
        "SELECT root_id FROM files UNION SELECT root_id FROM failures EXCEPT SELECT id FROM roots"
    ).fetchall()
    lost_roots: list[Path] = []
    names = _root_names(scratch)
    for root_id, path in fresh.execute("SELECT id, path FROM roots").fetchall():
        other = names.get(root_id, path)
        # Of two spellings, one of which is damaged, that of a folder that is there.
        if other != path and not Path(os.fsdecode(path)).is_dir():
            fresh.execute("UPDATE OR IGNORE roots SET path = ? WHERE id = ?", (other, root_id))
    for (root_id,) in nameless:
        name = names.get(root_id)
        if name is None:
            lost_roots.append(folder / f"lost-folder-{root_id}")
            name = os.fsencode(lost_roots[-1])
        fresh.execute("INSERT INTO roots (id, path) VALUES (?, ?)", (root_id, name))
    generation = facts.pop("generation", "")
    (latest,) = fresh.execute(
        "SELECT max(coalesce((SELECT max(generation) FROM embeddings), 0),"
        " coalesce((SELECT max(generation) FROM removals), 0))"
    ).fetchone()
    known = int(generation) if generation.isdecimal() and int(generation) >= latest else None
    facts["generation"] = str((known or latest) + 1)
    for key in (DISKS, REMOVED, ELSEWHERE):
        try:
            json.loads(facts.get(key, "[]"))
        except ValueError:
            del facts[key]
    fresh.executemany("INSERT OR REPLACE INTO info (key, value) VALUES (?, ?)", facts.items())
    return Salvaged(seen, known, dim, tuple(lost_roots))


def _root_names(source: Path) -> dict[int, bytes]:
    """The folders' paths by id, from the index over them, where their own page is gone."""
    names: dict[int, bytes] = {}
    for values in index_rows(source):
        match values:
            # The index over contents has the same shape.
            case (bytes(path), int(root_id)) if Path(os.fsdecode(path)).is_absolute():
                if len(path) != CONTENT_HASH_BYTES or os.fsdecode(path).isprintable():
                    names[root_id] = path
    return names


def _drop_wrong_vectors(fresh: sqlite3.Connection, space: int) -> int:
    """Forget vectors that are of another dimension or no unit vectors.

    Returns the dimension of the space that answers questions. Spaces in the making go altogether.
    """
    fresh.execute("DELETE FROM embeddings WHERE space_id <> ?", (space,))
    fresh.execute("DELETE FROM spaces WHERE id <> ?", (space,))
    told = fresh.execute("SELECT dim FROM spaces").fetchone()
    lengths = fresh.execute(
        "SELECT length(vector) FROM embeddings GROUP BY 1 ORDER BY count(*) DESC LIMIT 1"
    ).fetchone()
    dim: int = told[0] if told else (lengths[0] // 2 if lengths else 0)
    wrong: list[tuple[int]] = []
    for item_id, vector in fresh.execute("SELECT item_id, vector FROM embeddings"):
        if len(vector) != 2 * dim:
            wrong.append((item_id,))
            continue
        length = float(np.linalg.norm(np.frombuffer(vector, dtype="<f2").astype(np.float32)))
        if not abs(length - 1) <= LENGTH_TOLERANCE:
            wrong.append((item_id,))
    fresh.executemany("DELETE FROM embeddings WHERE item_id = ?", wrong)
    return dim
