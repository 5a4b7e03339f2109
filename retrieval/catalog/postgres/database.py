"""A catalogue in a PostgreSQL database, which several machines may share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, make_url, select
from sqlalchemy.exc import ArgumentError, DBAPIError

from retrieval.catalog.filters import Expressions
from retrieval.catalog.full_text import FullText, Rows
from retrieval.catalog.postgres import full_text, lease
from retrieval.catalog.postgres.errors import as_mmsearch_error
from retrieval.catalog.postgres.expressions import FUNCTIONS, PostgresExpressions
from retrieval.catalog.postgres.schema import server_metadata
from retrieval.catalog.schema import info, items
from retrieval.errors import CatalogError, DamagedCatalogError, IndexBusyError, IndexMissingError
from retrieval.storage.catalog_url import CatalogUrl
from retrieval.storage.patch_tokens import Tokens

if TYPE_CHECKING:
    from retrieval.catalog.postgres.patch_tokens import ServerPatchTokens
    from retrieval.catalog.postgres.work_queue import WorkQueue

# Any numbers that others are not likely to lock in the same database.
MAKING, WRITING = 0x6D6D7331, 0x6D6D7332
_CONNECT_WITHIN_S = 10
# Ids as JSON: how SQLite and PostgreSQL list them.
_SQLITE_IDS = "SELECT value FROM json_each(?)"
_POSTGRES_IDS = "SELECT CAST(value AS BIGINT) FROM json_array_elements_text(CAST(? AS JSON))"


class PostgresDatabase:
    """See `retrieval.catalog.database.Database`. Any number of processes write."""

    def __init__(self, url: CatalogUrl) -> None:
        try:
            import psycopg  # noqa: F401
        except ImportError as error:
            raise CatalogError(
                "A catalogue on PostgreSQL needs `pip install 'mmsearch[postgres]'`."
            ) from error
        try:
            address = make_url(url.text)
        except ArgumentError as error:
            raise CatalogError(
                f"{url} is no address of a catalogue.", code="catalog-address"
            ) from error
        self.file: Path | None = None
        self.engine = create_engine(
            address.set(password=url.password) if url.password else address,
            connect_args={"connect_timeout": _CONNECT_WITHIN_S, "application_name": "mmsearch"},
            # A server that was begun anew meanwhile is asked through a new connection.
            pool_pre_ping=True,
            # Values may be of files and of questions; they are for nobody's log.
            hide_parameters=True,
        )
        event.listen(self.engine, "begin", _limit_writing)
        self.reading: Engine = self.engine.execution_options(isolation_level="REPEATABLE READ")
        self.asking: Engine = self.engine.execution_options(isolation_level="AUTOCOMMIT")
        self.expressions: Expressions = PostgresExpressions(self._places)
        self._url = url

    @contextmanager
    def errors(self) -> Iterator[None]:
        """See `Database`."""
        try:
            yield
        except DBAPIError as error:
            raise as_mmsearch_error(error, self._url) from error

    def damaged(self, reason: str) -> DamagedCatalogError:
        """See `Database`."""
        return DamagedCatalogError(f"The catalogue {self._url} is damaged ({reason}).", reason)

    def missing(self) -> IndexMissingError:
        """See `Database`."""
        return IndexMissingError(f"There is no catalogue in {self._url}.")

    def exists(self) -> bool:
        """See `Database`."""
        return True

    def make_room(self) -> None:
        """Nothing to do: whoever owns the server makes the database."""

    def has_tables(self, connection: Connection) -> bool:
        """See `Database`."""
        return inspect(connection).has_table(info.name)

    def lock_making(self, connection: Connection) -> None:
        """See `Database`."""
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({MAKING})")

    def lock_writing(self, connection: Connection) -> None:
        """See `Database`."""
        connection.execute(
            select(info.c.value).where(info.c.key == "generation").with_for_update()
        ).scalar_one_or_none()

    def install(self, connection: Connection) -> None:
        """See `Database`."""
        server_metadata.create_all(connection)
        for statement in FUNCTIONS:
            connection.exec_driver_sql(statement)
        full_text.install(connection)

    @contextmanager
    def hold_writing(self, *, shared: bool) -> Iterator[None]:
        """See `Database`. The server lets go of it when this process is gone."""
        suffix = "_shared" if shared else ""
        with self.errors():
            connection = self.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            try:
                if not connection.exec_driver_sql(
                    f"SELECT pg_try_advisory_lock{suffix}({WRITING})"
                ).scalar_one():
                    raise IndexBusyError(
                        f"Another process is writing to the catalogue {self._url}: wait until it "
                        "is done, or stop it."
                    )
                yield
            finally:
                # Not back to the pool, whose next user would hold the lock.
                connection.invalidate()
                connection.close()

    def patch_tokens(self, fingerprint: str) -> ServerPatchTokens:
        """See `Database`."""
        from retrieval.catalog.postgres.patch_tokens import ServerPatchTokens

        return ServerPatchTokens(self, fingerprint)

    def put_patch_tokens(
        self, connection: Connection, fingerprint: str, ids: Sequence[int], tokens: Tokens
    ) -> bool:
        """See `Database`."""
        from retrieval.catalog.postgres.patch_tokens import put_tokens

        put_tokens(connection, fingerprint, ids, tokens)
        return True

    def refresh_words(self, connection: Connection) -> None:
        """See `Database`."""
        full_text.refresh(connection, lambda sql, values: self.rows(connection, sql, values))

    def full_text(self, rows: Rows) -> FullText:
        """See `Database`."""
        return full_text.PostgresFullText(rows)

    def rows(
        self, connection: Connection, statement: str, values: Sequence[Any]
    ) -> list[tuple[Any, ...]]:
        """See `Database`."""
        mine = statement.replace(_SQLITE_IDS, _POSTGRES_IDS)
        mine = mine.replace("%", "%%").replace("?", "%s")
        return [tuple(row) for row in connection.exec_driver_sql(mine, tuple(values))]

    def work_queue(self, root_id: int, below: str) -> WorkQueue:
        """See `Database`."""
        from retrieval.catalog.postgres.work_queue import WorkQueue

        return WorkQueue(self, root_id, below)

    def complaints(self, connection: Connection, *, quickly: bool) -> list[str]:
        """None: whether its files are sound is the server's own business."""
        return []

    def _places(self) -> list[tuple[int, float, float]]:
        statement = select(items.c.id, items.c.latitude, items.c.longitude).where(
            items.c.latitude.is_not(None), items.c.longitude.is_not(None)
        )
        with self.reading.connect() as connection:
            return [(row[0], row[1], row[2]) for row in connection.execute(statement)]


def _limit_writing(connection: Connection) -> None:
    """Have the server undo a transaction of a process that was held up in it.

    Others would wait for its locks for as long; the end of a process lets go of them at once.
    """
    if connection.get_execution_options().get("isolation_level") is None:
        limit_ms = int(1000 * lease.LEASE_S)
        connection.exec_driver_sql(f"SET LOCAL idle_in_transaction_session_timeout = {limit_ms}")
