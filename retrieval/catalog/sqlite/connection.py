"""The connection to the catalogue's database, and its errors as sentences."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool, QueuePool

from retrieval.catalog.filters import register_functions
from retrieval.errors import CatalogError, DamagedCatalogError, MmsearchError
from retrieval.storage.disk import disk_failing, disk_full, is_nearly_full

# An extended code of SQLite has the primary one in its low byte.
_PRIMARY = 0xFF
_DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT})
# How SQLite words the damage of its list of tables, under its most general code.
_DAMAGE_WORDS = ("no such table", "no such column", "unsupported file format", "malformed")


def sqlite_engine(path: Path) -> Engine:
    """An engine on the SQLite file at `path`, which is made where it is missing."""
    engine = create_engine(
        URL.create("sqlite", database=os.fspath(path)),
        connect_args={"check_same_thread": False, "timeout": 30},
        poolclass=QueuePool if os.name != "nt" else NullPool,
    )

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        # Python's own transaction handling would let reads run outside of a transaction.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.execute("PRAGMA journal_mode = WAL")
        # FULL, not NORMAL: what was committed survives a power cut.
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.close()
        register_functions(connection)

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine


def raw_connection(connection: Connection) -> sqlite3.Connection | None:
    """The standard library's connection below one of SQLAlchemy; None where it is no SQLite."""
    raw = connection.connection.driver_connection
    return raw if isinstance(raw, sqlite3.Connection) else None


@contextmanager
def database_errors(engine: Engine) -> Iterator[None]:
    """Database errors as a CatalogError that names the file, or as a StorageError."""
    try:
        yield
    except DBAPIError as error:
        raise as_mmsearch_error(error.orig, Path(engine.url.database or "")) from error
    except sqlite3.Error as error:
        # Of a statement that did not go through SQLAlchemy.
        raise as_mmsearch_error(error, Path(engine.url.database or "")) from error
    except UnicodeDecodeError as error:
        # Of a message of SQLite's own, which quotes what it cannot make sense of.
        raise damaged(Path(engine.url.database or ""), "it has garbled text") from error


def as_mmsearch_error(error: BaseException | None, path: Path) -> MmsearchError:
    """What an error of the database at `path` means for a person."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & _PRIMARY
    folder = path.parent
    cannot_write = code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)
    if code == sqlite3.SQLITE_FULL or (cannot_write and is_nearly_full(folder)):
        return disk_full(folder)
    # SQLite does not say why a file beside the catalogue cannot be made; where we may, it is the
    # disk.
    if code == sqlite3.SQLITE_IOERR or (code == sqlite3.SQLITE_CANTOPEN and _may_write(path)):
        return disk_failing(folder, str(error))
    if code in _DAMAGE or (
        code == sqlite3.SQLITE_ERROR and any(words in str(error) for words in _DAMAGE_WORDS)
    ):
        return damaged(path, str(error))
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return CatalogError(
            f"The catalogue {path} was in use by another program for too long: run again."
        )
    return CatalogError(f"The catalogue {path} cannot be used ({error}).")


def damaged(path: Path, reason: str) -> DamagedCatalogError:
    """The error for a catalogue that is damaged."""
    return DamagedCatalogError(f"The catalogue {path} is damaged ({reason}).", reason)


def _may_write(path: Path) -> bool:
    return os.access(path, os.R_OK | os.W_OK) and os.access(path.parent, os.W_OK | os.X_OK)
