"""Version 4: names, captions and keywords can be found by their words; searches can be saved."""

from __future__ import annotations

from alembic.operations import Operations
from sqlalchemy import BigInteger, Column, Float, Integer, Text

from retrieval.catalog.full_text import install, refresh
from retrieval.catalog.sqlite.connection import raw_connection

_RowId = BigInteger().with_variant(Integer, "sqlite")


def upgrade(operations: Operations) -> None:
    """Make the tables; what is found by words is written from the rows that are there."""
    operations.create_table("words_due", Column("item_id", _RowId, nullable=False))
    operations.create_table(
        "saved_searches",
        Column("name", Text, primary_key=True),
        Column("question", Text, nullable=False, comment="JSON of `question` and `options`"),
        Column("saved_at", Float, nullable=False, comment="seconds since 1970"),
    )
    # In their present form, whatever the version: they are a copy that is made anew where it is
    # missing.
    connection = raw_connection(operations.get_bind())
    if connection is not None:
        install(connection)
        refresh(connection)
