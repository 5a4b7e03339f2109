"""A catalogue's database as all that reads it shares it: connections, version, facts in `info`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy import Connection, Integer, cast, func, select
from sqlalchemy.sql.elements import ColumnElement

from retrieval.catalog.database import Database
from retrieval.catalog.schema import SCHEMA_VERSION, info
from retrieval.errors import CatalogError
from retrieval.storage.closing import Closing

# SQLite's default bound on the host parameters of one statement is 32,766; stay far below it.
IDS_A_STATEMENT = 10_000
ROWS_A_CHUNK = 16_384
# In `info`: the id of the space that answers questions.
SPACE = "space"
# In `info`: the id of the space that the index is moving to.
NEXT_SPACE = "next_space"
FIRST_SPACE = 1
T = TypeVar("T")


class CatalogBase(Closing):
    """The tables of one catalogue, of this version or an older one. Thread-safe.

    Those of an older one are seen through views, as they would be in this version.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._engine = database.engine
        self._version = SCHEMA_VERSION

    @property
    def version(self) -> int:
        """The version of its tables when they were last looked at."""
        return self._version

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    @contextmanager
    def _asking(self) -> Iterator[Connection]:
        """A connection for one statement."""
        if self._version != SCHEMA_VERSION:
            with self._reading() as connection:
                yield connection
            return
        with self._database.errors(), self._database.asking.connect() as connection:
            yield connection

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with self._database.errors():
            if self._version != SCHEMA_VERSION:
                with self._reading_old() as connection:
                    if connection is not None:
                        yield connection
                        return
            with self._database.reading.connect() as connection:
                yield connection

    @contextmanager
    def _reading_old(self) -> Iterator[Connection | None]:
        """A connection that sees an older version's tables; None once they are no longer old."""
        # Here, since a catalogue of this version does without.
        from retrieval.catalog.old_views import create_old_views

        with self._engine.connect() as connection:
            version = read_info(connection, "schema_version")
            if version == str(self._version):
                create_old_views(connection, self._version)
                try:
                    yield connection
                finally:
                    # Views live as long as their connection, which another reader may be given.
                    connection.invalidate()
                return
        # Another process has brought it to the present format meanwhile.
        self._version = SCHEMA_VERSION
        yield None

    def _read_number(self, connection: Connection, key: str) -> int:
        value = read_info(connection, key)
        if value is None or not value.isdecimal():
            raise self._database.damaged(f"its {key} is {value!r}")
        return int(value)

    def _require_known(self, fact: str, info: Mapping[str, Any]) -> None:
        """Raise CatalogError where the catalogue is of a time before this fact."""
        if self._version < info.get("since", 3):
            raise CatalogError(
                f"This index does not know yet of its pictures: {fact}.",
                code="facts-unread",
                fact=fact,
            )


def present_space() -> ColumnElement[int]:
    """The id of the space that answers questions, as an expression for statements."""
    chosen = select(cast(info.c.value, Integer)).where(info.c.key == SPACE).scalar_subquery()
    return func.coalesce(chosen, FIRST_SPACE)


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
