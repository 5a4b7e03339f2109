"""Places for catalogues, in either database, so that the same tests say the same of both."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Protocol

from retrieval.storage.catalog_url import CatalogUrl
from tests.support.postgres import PostgresServer


class CatalogPlaces(Protocol):
    """Where new catalogues may be made."""

    is_server: bool

    def fresh(self) -> Path | CatalogUrl:
        """A place without a catalogue, or with an empty one; what was there before is gone."""
        ...


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

    def fresh(self) -> CatalogUrl:
        """See `CatalogPlaces`."""
        from retrieval.catalog.postgres.database import PostgresDatabase
        from retrieval.catalog.schema import info

        database = PostgresDatabase(self._url)
        with database.engine.begin() as connection:
            if database.has_tables(connection):
                names = connection.exec_driver_sql(
                    "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
                ).scalars()
                others = ", ".join(name for name in names if name != info.name)
                connection.exec_driver_sql(f"TRUNCATE {others} RESTART IDENTITY CASCADE")
                connection.exec_driver_sql("UPDATE info SET value = '0' WHERE key = 'generation'")
                connection.exec_driver_sql(
                    "DELETE FROM info WHERE key NOT IN ('generation', 'schema_version')"
                )
        database.engine.dispose()
        return self._url
