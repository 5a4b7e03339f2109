"""Version 3: files, their items, and the items' embeddings, texts and tags.

Until then a picture was its file, its only item and its only vector in one. Each keeps its number
as that of its file and of its item, so that copies of the index stay valid.
"""

from __future__ import annotations

from alembic.operations import Operations
from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Integer,
    LargeBinary,
    Text,
    UniqueConstraint,
)

_RowId = BigInteger().with_variant(Integer, "sqlite")
_SPACE_MOVES = (
    "INSERT INTO spaces (id, name, dim, fingerprint)"
    " SELECT 1, name.value, CAST(dim.value AS INTEGER), fingerprint.value"
    " FROM info name, info dim, info fingerprint"
    " WHERE name.key = 'encoder_name' AND dim.key = 'encoder_dim'"
    " AND fingerprint.key = 'encoder_fingerprint'",
    "DELETE FROM info WHERE key IN ('encoder_name', 'encoder_dim', 'encoder_fingerprint')",
)
# From the old tables to the new ones; the salvage of a damaged catalogue uses them as well.
ROW_MOVES = (
    "INSERT INTO files (id, root_id, path, size_bytes, mtime_ns, content_hash, media_kind,"
    " facts_version) SELECT id, root_id, path, size_bytes, mtime_ns, content_hash, 'image',"
    " facts_version FROM pictures",
    "INSERT INTO items (id, file_id, position, width_px, height_px, taken_at)"
    " SELECT id, id, 0, width_px, height_px, taken_at FROM pictures",
    "INSERT INTO embeddings (item_id, space_id, generation, vector)"
    " SELECT picture_id, 1, generation, embedding FROM vectors",
)


def upgrade(operations: Operations) -> None:
    """Make the new tables, fill them from the old ones, and drop those."""
    create_tables(operations)
    for statement in (*_SPACE_MOVES, *ROW_MOVES):
        operations.execute(statement)
    connection = operations.get_bind()
    if connection.dialect.name == "sqlite":
        # No id that was given once is given again.
        for table in ("files", "items"):
            operations.execute(f"DELETE FROM sqlite_sequence WHERE name = '{table}'")
            operations.execute(
                "INSERT INTO sqlite_sequence (name, seq)"
                f" SELECT '{table}', seq FROM sqlite_sequence WHERE name = 'pictures'"
            )
    operations.drop_table("vectors")
    operations.drop_table("pictures")
    operations.alter_column("removals", "picture_id", new_column_name="item_id")


def create_tables(operations: Operations) -> None:
    """The tables that version 3 brought, as they were then."""
    operations.create_table(
        "files",
        Column("id", _RowId, primary_key=True),
        Column("root_id", _RowId, ForeignKey("roots.id"), nullable=False),
        Column("path", LargeBinary, nullable=False, comment="relative to the root, with /"),
        Column("size_bytes", BigInteger, nullable=False),
        Column("mtime_ns", BigInteger, nullable=False),
        Column("content_hash", LargeBinary(16), nullable=False),
        Column("media_kind", Text, nullable=False, comment="image"),
        Column("facts_version", Integer, nullable=False, comment="0: the file is to be read again"),
        UniqueConstraint("root_id", "path"),
        sqlite_autoincrement=True,
    )
    operations.create_index("files_by_content", "files", ["content_hash"])
    operations.create_table(
        "items",
        Column("id", _RowId, primary_key=True),
        Column("file_id", _RowId, ForeignKey("files.id"), nullable=False),
        Column("position", Integer, nullable=False, comment="within the file, from 0"),
        Column("time_ms", BigInteger, comment="within a video"),
        Column("width_px", Integer, nullable=False),
        Column("height_px", Integer, nullable=False),
        Column("taken_at", DateTime, comment="as the camera's clock showed it"),
        Column("camera_make", Text),
        Column("camera_model", Text),
        Column("lens", Text),
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
        Column("software", Text),
        UniqueConstraint("file_id", "position"),
        sqlite_autoincrement=True,
    )
    operations.create_index("items_by_time", "items", ["taken_at"])
    operations.create_index("items_by_place", "items", ["latitude", "longitude"])
    operations.create_table(
        "spaces",
        Column("id", _RowId, primary_key=True),
        Column("name", Text, nullable=False),
        Column("dim", Integer, nullable=False),
        Column("fingerprint", Text, nullable=False),
    )
    operations.create_table(
        "embeddings",
        Column("item_id", _RowId, ForeignKey("items.id"), primary_key=True),
        Column("space_id", _RowId, ForeignKey("spaces.id"), primary_key=True),
        Column("generation", BigInteger, nullable=False),
        Column(
            "vector", LargeBinary, nullable=False, comment="float16, little-endian, unit length"
        ),
    )
    operations.create_index("embeddings_by_generation", "embeddings", ["space_id", "generation"])
    operations.create_table(
        "texts",
        Column("item_id", _RowId, ForeignKey("items.id"), primary_key=True),
        Column("kind", Text, primary_key=True, comment="title, caption, creator, copyright"),
        Column("language", Text, primary_key=True, comment="empty where it is not known"),
        Column("text", Text, nullable=False),
    )
    operations.create_table(
        "tags",
        Column("item_id", _RowId, ForeignKey("items.id"), primary_key=True),
        Column("tag", Text, primary_key=True),
        Column("source", Text, primary_key=True, comment="file: a keyword in the file itself"),
        Column("score", Float, comment="how sure it is; empty for what people wrote"),
    )
    operations.create_index("tags_by_tag", "tags", ["tag"])
