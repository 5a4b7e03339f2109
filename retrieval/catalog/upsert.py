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
    is_server = connection.dialect.name == "postgresql"
    if is_server:
        # Here, since it would cost every question a twentieth of a second.
        from sqlalchemy.dialects import postgresql

        statement = postgresql.insert(table)
        # One statement takes no row twice; the last counts, as it does one by one.
        rows = list({tuple(row[key] for key in keys): row for row in rows}.values())
    changed = {name: statement.excluded[name] for name in rows[0] if name not in keys}
    replacing = statement.on_conflict_do_update(index_elements=list(keys), set_=changed)
    # With something to return, SQLAlchemy sends a server many rows at once.
    connection.execute(replacing.returning(table.c[keys[0]]) if is_server else replacing, rows)
