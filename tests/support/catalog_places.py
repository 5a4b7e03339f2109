"""Places for catalogues, in either database, so that the same tests say the same of both."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Protocol

from hypothesis import settings
from sqlalchemy import delete, insert

from retrieval.catalog.postgres.database import PostgresDatabase
from retrieval.catalog.postgres.schema import server_metadata
from retrieval.catalog.schema import info, metadata
from retrieval.storage.catalog_url import CatalogUrl
from tests.support.postgres import PostgresServer


class CatalogPlaces(Protocol):
    """Where new catalogues may be made."""

    is_server: bool

    def fresh(self) -> Path | CatalogUrl:
        """A place without a catalogue, or with an empty one; what was there before is gone."""
        ...


def examples(places: CatalogPlaces, most: int) -> settings:
    """How many examples a test tries: fewer on a server, where each takes many round trips."""
    return settings(max_examples=most // 10 if places.is_server else most, deadline=None)


class SqlitePlaces:
    """Files below a folder."""

    is_server = False

    def __init__(self, folder: Path) -> None:
        self._names = (folder / str(number) / "catalog.sqlite" for number in count())

    def fresh(self) -> Path:
        """See `CatalogPlaces`."""
        return next(self._names)


class PostgresPlaces:
    """One database, emptied each time: making tables anew takes a quarter of a second."""

    is_server = True

    def __init__(self, server: PostgresServer) -> None:
        self._url = CatalogUrl.parse(server.new_database())
        self._database = PostgresDatabase(self._url)

    def fresh(self) -> CatalogUrl:
        """See `CatalogPlaces`."""
        with self._database.engine.begin() as connection:
            if self._database.has_tables(connection):
                for table in reversed([*metadata.sorted_tables, *server_metadata.sorted_tables]):
                    if table is not info:
                        connection.execute(delete(table))
                # Not TRUNCATE, which makes files anew. The first is filled by what is deleted.
                for statement in ("DELETE FROM words_due", "DELETE FROM words", _BEGIN_ANEW):
                    connection.exec_driver_sql(statement)
                connection.execute(delete(info).where(info.c.key != "schema_version"))
                connection.execute(insert(info).values(key="generation", value="0"))
        return self._url


_BEGIN_ANEW = """
SELECT setval(CAST(oid AS regclass), 1, FALSE) FROM pg_class WHERE relkind = 'S'
"""
