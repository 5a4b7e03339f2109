"""What differs between the databases that a catalogue may lie in.

The tables are the same, and so is almost every statement; what is not stands behind this seam, once
for SQLite (`sqlite.database`) and once for PostgreSQL (`postgres.database`).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from sqlalchemy import Connection, Engine

from retrieval.catalog.filters import Expressions
from retrieval.catalog.full_text import FullText, Rows
from retrieval.errors import DamagedCatalogError, IndexMissingError
from retrieval.storage.catalog_url import CatalogUrl
from retrieval.storage.patch_tokens import Tokens

if TYPE_CHECKING:
    from retrieval.catalog.postgres.patch_tokens import ServerPatchTokens
    from retrieval.catalog.postgres.work_queue import WorkQueue


class Database(Protocol):
    """One catalogue's database. Thread-safe.

    Attributes:
        engine: For writing; a transaction of it sees what others have committed meanwhile.
        reading: For reading; all statements of a transaction of it see one state.
        asking: For reading with one statement, without the round trips of a transaction.
        file: Where it is one; None on a server.
        expressions: How filters are written in its SQL.
    """

    engine: Engine
    reading: Engine
    asking: Engine
    file: Path | None
    expressions: Expressions

    def errors(self) -> AbstractContextManager[None]:
        """Its errors as a CatalogError that names it, or as a StorageError."""
        ...

    def damaged(self, reason: str) -> DamagedCatalogError:
        """The error for a catalogue that is damaged."""
        ...

    def missing(self) -> IndexMissingError:
        """The error where there is no catalogue."""
        ...

    def exists(self) -> bool:
        """False where there is certainly no catalogue, without connecting to one."""
        ...

    def make_room(self) -> None:
        """Make the place of a new catalogue; raises CatalogError where that cannot be done."""
        ...

    def has_tables(self, connection: Connection) -> bool:
        """False for one that is just being made; CatalogError for one that was emptied."""
        ...

    def lock_making(self, connection: Connection) -> None:
        """Let no other process make or change the tables until the transaction ends."""
        ...

    def lock_writing(self, connection: Connection) -> None:
        """Let no other transaction write until this one ends, so that generations follow on."""
        ...

    def install(self, connection: Connection) -> None:
        """Make what it has beside the tables; have changes noted for `full_text`."""
        ...

    def hold_writing(self, *, shared: bool) -> AbstractContextManager[None]:
        """Keep others from writing for the length of the block, unless all of them share.

        Raises IndexBusyError where another holds it. Of a file, the folder's lock does that.
        """
        ...

    def patch_tokens(self, fingerprint: str) -> ServerPatchTokens | None:
        """The patch tokens of an encoder where it keeps them; None where a file does."""
        ...

    def put_patch_tokens(
        self, connection: Connection, fingerprint: str, ids: Sequence[int], tokens: Tokens
    ) -> bool:
        """Keep tokens within the transaction that is open; False where a file keeps them."""
        ...

    def refresh_words(self, connection: Connection) -> None:
        """Write the words of what has changed, within the transaction that is open."""
        ...

    def full_text(self, rows: Rows) -> FullText:
        """What can be asked of the items' words, through what runs a statement."""
        ...

    def rows(
        self, connection: Connection, statement: str, values: Sequence[Any]
    ) -> list[tuple[Any, ...]]:
        """What a statement in SQL finds, its values in the places of its question marks."""
        ...

    def work_queue(self, root_id: int, below: str) -> WorkQueue | None:
        """What is to be read there, shared out among all who index; None where only one may."""
        ...

    def complaints(self, connection: Connection, *, quickly: bool) -> list[str]:
        """What it finds wrong with its own file; empty where it is sound, or not ours to check."""
        ...


def database_at(where: Path | CatalogUrl) -> Database:
    """The database of an SQLite file, or of an address on a server; opens nothing yet.

    Raises CatalogError where what it needs is not installed.
    """
    if isinstance(where, CatalogUrl):
        # Here, since few have one.
        from retrieval.catalog.postgres.database import PostgresDatabase

        return PostgresDatabase(where)
    from retrieval.catalog.sqlite.database import SqliteDatabase

    return SqliteDatabase(where)
