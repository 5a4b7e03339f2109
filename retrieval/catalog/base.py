"""A catalogue's database as all that reads it shares it: connections, version, facts in `info`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Column, Connection, Engine, null, select
from sqlalchemy.sql.elements import ColumnElement

from retrieval.catalog.schema import SCHEMA_VERSION, info
from retrieval.catalog.sqlite.connection import damaged, database_errors
from retrieval.storage.closing import Closing

# SQLite's default bound on the host parameters of one statement is 32,766; stay far below it.
IDS_A_STATEMENT = 10_000
ROWS_A_CHUNK = 16_384
T = TypeVar("T")


class CatalogBase(Closing):
    """The tables of one catalogue, of this version or an older one. Thread-safe."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._version = SCHEMA_VERSION

    @property
    def version(self) -> int:
        """The version of its tables when it was opened."""
        return self._version

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with database_errors(self._engine), self._engine.connect() as connection:
            yield connection

    @property
    def _path(self) -> Path:
        return Path(self._engine.url.database or "")

    def _read_number(self, connection: Connection, key: str) -> int:
        value = read_info(connection, key)
        if value is None or not value.isdecimal():
            raise damaged(self._path, f"its {key} is {value!r}")
        return int(value)

    def _column(self, column: Column[Any]) -> ColumnElement[Any]:
        """The column; NULL in its place where the catalogue is of a time before it."""
        if self._version >= column.info.get("since", 1):
            return column
        return null().label(column.name)


def read_info(connection: Connection, key: str) -> str | None:
    """What stands under a key in `info`; None where nothing does."""
    value: str | None = connection.execute(
        select(info.c.value).where(info.c.key == key)
    ).scalar_one_or_none()
    return value


def chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """The items in their order, `size` at a time."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
