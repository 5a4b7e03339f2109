"""The tables of the catalogue, in SQLAlchemy Core.

File names are bytes on most systems, so paths are stored as bytes (`FilePath`): any name can be
kept, and all that lies below a folder is one range of the index, compared byte by byte.

A change here needs a new `SCHEMA_VERSION` and a step in `retrieval.catalog.migrations`. A column
that was not there from the first carries the version that brought it as `info["since"]`.
"""

from __future__ import annotations

import os
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

SCHEMA_VERSION = 2
# Counts up when reading a picture's file yields a further fact; rows that lack it are read again.
FACTS_VERSION = 2


class FilePath(TypeDecorator[str]):
    """A path as Python spells it (undecodable bytes as surrogates), stored as its bytes."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> Any:
        """Python's spelling to bytes."""
        return None if value is None else os.fsencode(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:
        """Bytes to Python's spelling."""
        return None if value is None else os.fsdecode(bytes(value))


# SQLite numbers rows by itself only in a column of the exact type INTEGER.
_RowId = BigInteger().with_variant(Integer, "sqlite")

metadata = MetaData()

info = Table(
    "info",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

roots = Table(
    "roots",
    metadata,
    Column("id", _RowId, primary_key=True),
    Column("path", FilePath, nullable=False, unique=True),
    sqlite_autoincrement=True,
)

pictures = Table(
    "pictures",
    metadata,
    Column("id", _RowId, primary_key=True),
    Column("root_id", _RowId, ForeignKey("roots.id"), nullable=False),
    Column("path", FilePath, nullable=False, comment="relative to the root, with /"),
    Column("size_bytes", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    Column("content_hash", LargeBinary(16), nullable=False),
    Column("width_px", Integer, nullable=False),
    Column("height_px", Integer, nullable=False),
    Column("taken_at", DateTime, comment="as the camera's clock showed it", info={"since": 2}),
    Column(
        "facts_version",
        Integer,
        nullable=False,
        server_default="0",
        comment="0: the file is to be read again",
        info={"since": 2},
    ),
    UniqueConstraint("root_id", "path"),
    Index("pictures_by_content", "content_hash"),
    Index("pictures_by_time", "taken_at"),
    # An id is never given twice, so that a copy of the index cannot take a new picture for an old.
    sqlite_autoincrement=True,
)

vectors = Table(
    "vectors",
    metadata,
    Column("picture_id", _RowId, ForeignKey("pictures.id"), primary_key=True),
    Column("generation", BigInteger, nullable=False),
    Column("embedding", LargeBinary, nullable=False, comment="float16, little-endian, unit length"),
    Index("vectors_by_generation", "generation"),
)

removals = Table(
    "removals",
    metadata,
    Column("picture_id", _RowId, primary_key=True),
    Column("generation", BigInteger, nullable=False, index=True),
)

failures = Table(
    "failures",
    metadata,
    Column("root_id", _RowId, ForeignKey("roots.id"), primary_key=True),
    Column("path", FilePath, primary_key=True),
    Column("size_bytes", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("failed_at", Float, nullable=False, comment="seconds since 1970"),
)
