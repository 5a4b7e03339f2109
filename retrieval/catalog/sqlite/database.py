"""A catalogue in an SQLite file."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, inspect

from retrieval.catalog import full_text
from retrieval.catalog.filters import SQLITE
from retrieval.catalog.schema import info
from retrieval.catalog.sqlite.connection import (
    damaged,
    database_errors,
    raw_connection,
    sqlite_engine,
)
from retrieval.errors import CatalogError, DamagedCatalogError, IndexMissingError
from retrieval.storage.patch_tokens import Tokens


class SqliteDatabase:
    """See `retrieval.catalog.database.Database`. One process at a time writes, under a lock."""

    def __init__(self, path: Path) -> None:
        self.file: Path | None = path
        self.engine = sqlite_engine(path)
        # A transaction of SQLite sees one state, whatever it does.
        self.reading = self.asking = self.engine
        self.expressions = SQLITE
        self._path = path

    def errors(self) -> AbstractContextManager[None]:
        """See `Database`."""
        return database_errors(self.engine)

    def damaged(self, reason: str) -> DamagedCatalogError:
        """See `Database`."""
        return damaged(self._path, reason)

    def missing(self) -> IndexMissingError:
        """See `Database`."""
        folder = self._path.parent
        return IndexMissingError(f"There is no index in {folder}.", folder=folder)

    def exists(self) -> bool:
        """See `Database`."""
        return self._path.exists()

    def make_room(self) -> None:
        """See `Database`."""
        folder = self._path.parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CatalogError(
                f"The index folder {folder} cannot be made ({error.strerror}).",
                code="index-denied",
                folder=folder,
            ) from error

    def has_tables(self, connection: Connection) -> bool:
        """See `Database`."""
        if inspect(connection).has_table(info.name):
            return True
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        # A copy of its vectors, or more than the first page, says that there was something once.
        if pages > 1 or any(self._path.parent.glob("vectors-*.faiss")):
            raise self.damaged("its tables are gone")
        return False

    def lock_making(self, connection: Connection) -> None:
        """Nothing to do: only the process that holds the writer's lock does that."""

    def lock_writing(self, connection: Connection) -> None:
        """Nothing to do: only the process that holds the writer's lock does that."""

    def install(self, connection: Connection) -> None:
        """See `Database`."""
        raw = raw_connection(connection)
        if raw is not None:
            full_text.install(raw)

    def hold_writing(self, *, shared: bool) -> AbstractContextManager[None]:
        """See `Database`."""
        return nullcontext()

    def patch_tokens(self, fingerprint: str) -> None:
        """See `Database`."""

    def put_patch_tokens(
        self, connection: Connection, fingerprint: str, ids: Sequence[int], tokens: Tokens
    ) -> bool:
        """See `Database`."""
        return False

    def refresh_words(self, connection: Connection) -> None:
        """See `Database`."""
        raw = raw_connection(connection)
        if raw is not None:
            full_text.refresh(raw)

    def full_text(self, rows: full_text.Rows) -> full_text.FullText:
        """See `Database`."""
        return full_text.FullText(rows)

    def rows(
        self, connection: Connection, statement: str, values: Sequence[Any]
    ) -> list[tuple[Any, ...]]:
        """See `Database`."""
        return [tuple(row) for row in connection.exec_driver_sql(statement, tuple(values))]

    def work_queue(self, root_id: int, below: str) -> None:
        """See `Database`."""

    def complaints(self, connection: Connection, *, quickly: bool) -> list[str]:
        """See `Database`. Quickly means without comparing tables and their indexes."""
        check = "quick_check" if quickly else "integrity_check"
        lines = connection.exec_driver_sql(f"PRAGMA {check}").scalars().all()
        return [] if lines == ["ok"] else [str(line) for line in lines]
