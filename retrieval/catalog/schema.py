"""The tables of the catalogue, in SQLAlchemy Core.

File names are bytes on most systems, so paths are stored as bytes (`FilePath`): any name can be
kept, and all that lies below a folder is one range of the index, compared byte by byte.

`files` 1 to n `items` 1 to n `embeddings`, `texts`, `tags`. `full_text` keeps tables of its own
beside these, made from them. A change here needs a new
`SCHEMA_VERSION` and a step in `retrieval.catalog.migrations`. `info["since"]` of a column is the
version that brought its fact, 3 where nothing is said.
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
from sqlalchemy.types import TypeDecorator, TypeEngine

SCHEMA_VERSION = 5
# Counts up when reading a picture's file yields a further fact; rows that lack it are read again.
FACTS_VERSION = 3


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


class PlainText(TypeDecorator[str]):
    """Text that both databases keep, compare and sort alike: by its code points."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Text; on PostgreSQL with the collation of SQLite."""
        is_server = dialect.name == "postgresql"
        return dialect.type_descriptor(Text(collation="C") if is_server else Text())

    def process_bind_param(self, value: str | None, dialect: Dialect) -> Any:
        """The text, without what PostgreSQL cannot keep."""
        is_server = value is not None and dialect.name == "postgresql"
        return value.replace("\0", "") if is_server and value is not None else value


# SQLite numbers rows by itself only in a column of the exact type INTEGER.
_RowId = BigInteger().with_variant(Integer, "sqlite")

metadata = MetaData()

info = Table(
    "info",
    metadata,
    Column("key", PlainText, primary_key=True),
    Column("value", PlainText, nullable=False),
)

roots = Table(
    "roots",
    metadata,
    Column("id", _RowId, primary_key=True),
    Column("path", FilePath, nullable=False, unique=True),
    sqlite_autoincrement=True,
)

files = Table(
    "files",
    metadata,
    Column("id", _RowId, primary_key=True),
    Column("root_id", _RowId, ForeignKey("roots.id"), nullable=False),
    Column("path", FilePath, nullable=False, comment="relative to the root, with /"),
    Column("size_bytes", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    Column("content_hash", LargeBinary(16), nullable=False),
    Column("media_kind", PlainText, nullable=False, comment="image"),
    Column("facts_version", Integer, nullable=False, comment="0: the file is to be read again"),
    UniqueConstraint("root_id", "path"),
    Index("files_by_content", "content_hash"),
    sqlite_autoincrement=True,
)

# What a question finds: a picture file is one item, a video has many.
items = Table(
    "items",
    metadata,
    Column("id", _RowId, primary_key=True),
    Column("file_id", _RowId, ForeignKey("files.id"), nullable=False),
    Column("position", Integer, nullable=False, comment="within the file, from 0"),
    Column("time_ms", BigInteger, comment="within a video"),
    Column("width_px", Integer, nullable=False),
    Column("height_px", Integer, nullable=False),
    # The facts of `ImageMetadata` that are one number or name, under its names.
    Column("taken_at", DateTime, comment="as the camera's clock showed it", info={"since": 2}),
    Column("camera_make", PlainText),
    Column("camera_model", PlainText),
    Column("lens", PlainText),
    Column("focal_length_mm", Float),
    Column("focal_length_35mm", Float),
    Column("aperture", Float),
    Column("exposure_s", Float),
    Column("iso", Integer),
    Column("latitude", Float),
    Column("longitude", Float),
    Column("altitude_m", Float),
    Column("orientation", Integer),
    Column("rating", Integer),
    Column("software", PlainText),
    UniqueConstraint("file_id", "position"),
    Index("items_by_time", "taken_at"),
    Index("items_by_place", "latitude", "longitude"),
    # An id is never given twice, so that a copy of the index cannot take a new item for an old.
    sqlite_autoincrement=True,
)

# What an encoder's vectors live in. `info` says under `space` which one answers questions; another
# may be in the making.
spaces = Table(
    "spaces",
    metadata,
    Column("id", _RowId, primary_key=True),
    Column("name", PlainText, nullable=False),
    Column("dim", Integer, nullable=False),
    Column("fingerprint", PlainText, nullable=False),
)

embeddings = Table(
    "embeddings",
    metadata,
    Column("item_id", _RowId, ForeignKey("items.id"), primary_key=True),
    Column("space_id", _RowId, ForeignKey("spaces.id"), primary_key=True),
    Column("generation", BigInteger, nullable=False),
    Column("vector", LargeBinary, nullable=False, comment="float16, little-endian, unit length"),
    Index("embeddings_by_generation", "space_id", "generation"),
)

texts = Table(
    "texts",
    metadata,
    Column("item_id", _RowId, ForeignKey("items.id"), primary_key=True),
    Column(
        "kind",
        PlainText,
        primary_key=True,
        comment="title, caption, creator, copyright; caption by NAME: a model's",
    ),
    Column("language", PlainText, primary_key=True, comment="empty where it is not known"),
    Column("text", PlainText, nullable=False),
)

tags = Table(
    "tags",
    metadata,
    Column("item_id", _RowId, ForeignKey("items.id"), primary_key=True),
    Column("tag", PlainText, primary_key=True),
    Column(
        "source", PlainText, primary_key=True, comment="file: a keyword in the file itself; labels"
    ),
    Column("score", Float, comment="how sure it is; empty for what people wrote"),
    Index("tags_by_tag", "tag"),
)

# Items whose words `full_text` is to write anew when the transaction ends.
words_due = Table("words_due", metadata, Column("item_id", _RowId, nullable=False))

saved_searches = Table(
    "saved_searches",
    metadata,
    Column("name", PlainText, primary_key=True),
    Column("question", PlainText, nullable=False, comment="JSON of `question` and `options`"),
    Column("saved_at", Float, nullable=False, comment="seconds since 1970"),
    info={"since": 4},
)

marks = Table(
    "marks",
    metadata,
    Column("question", PlainText, primary_key=True, comment="as `key_of` spells it"),
    Column("item_id", _RowId, ForeignKey("items.id"), primary_key=True),
    Column("is_right", Integer, nullable=False, comment="1: right for the question, 0: wrong"),
    Column("marked_at", Float, nullable=False, comment="seconds since 1970"),
    Index("marks_by_item", "item_id"),
)

removals = Table(
    "removals",
    metadata,
    Column("item_id", _RowId, primary_key=True),
    Column("generation", BigInteger, nullable=False, index=True),
)

failures = Table(
    "failures",
    metadata,
    Column("root_id", _RowId, ForeignKey("roots.id"), primary_key=True),
    Column("path", FilePath, primary_key=True),
    Column("size_bytes", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    Column("kind", PlainText, nullable=False),
    Column("reason", PlainText, nullable=False),
    Column("failed_at", Float, nullable=False, comment="seconds since 1970"),
)
