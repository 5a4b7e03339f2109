"""Version 5: answers that were marked right or wrong for a question."""

from __future__ import annotations

from alembic.operations import Operations
from sqlalchemy import BigInteger, Column, Float, ForeignKey, Integer, Text

_RowId = BigInteger().with_variant(Integer, "sqlite")


def upgrade(operations: Operations) -> None:
    """Make the table of marks."""
    operations.create_table(
        "marks",
        Column("question", Text, primary_key=True, comment="as `key_of` spells it"),
        Column("item_id", _RowId, ForeignKey("items.id"), primary_key=True),
        Column("is_right", Integer, nullable=False, comment="1: right for the question, 0: wrong"),
        Column("marked_at", Float, nullable=False, comment="seconds since 1970"),
    )
    operations.create_index("marks_by_item", "marks", ["item_id"])
