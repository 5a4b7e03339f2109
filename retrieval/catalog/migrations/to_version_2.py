"""Version 2: when a picture was taken, and whether its file is to be read again."""

from __future__ import annotations

from alembic.operations import Operations
from sqlalchemy import Column, DateTime, Integer


def upgrade(operations: Operations) -> None:
    """Add the two columns; every row counts as lacking facts, so that its file is read once."""
    operations.add_column(
        "pictures", Column("taken_at", DateTime, comment="as the camera's clock showed it")
    )
    operations.add_column(
        "pictures",
        Column(
            "facts_version",
            Integer,
            nullable=False,
            server_default="0",
            comment="0: the file is to be read again",
        ),
    )
    operations.create_index("pictures_by_time", "pictures", ["taken_at"])
