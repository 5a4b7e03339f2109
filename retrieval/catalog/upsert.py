"""Rows that replace those of the same keys, in either database's words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import sqlite


def upsert(
    connection: Connection, table: Table, keys: Sequence[str], rows: list[dict[str, Any]]
) -> None:
    """Insert rows; where one with the same keys stands, overwrite its other columns."""
    if not rows:
        return
    statement: Any = sqlite.insert(table)
    if connection.dialect.name == "postgresql":
        # Here, since it would cost every question a twentieth of a second.
        from sqlalchemy.dialects import postgresql

        statement = postgresql.insert(table)
    changed = {name: statement.excluded[name] for name in rows[0] if name not in keys}
    connection.execute(
        statement.on_conflict_do_update(index_elements=list(keys), set_=changed), rows
    )
