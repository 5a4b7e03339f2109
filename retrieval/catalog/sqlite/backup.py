"""Copies of a catalogue's file, made while others read and write it, and the check of one.

SQLite's own online backup reads one committed state, whatever happens beside it.
"""

from __future__ import annotations

import secrets
import sqlite3
from contextlib import closing
from pathlib import Path

from retrieval.catalog.schema import SCHEMA_VERSION
from retrieval.errors import CatalogError, StorageError
from retrieval.storage.disk import (
    FULL_DISK_ERRORS,
    delete_database,
    is_nearly_full,
    sync_file,
    sync_folder,
)

_PAGES_A_STEP = 4096
_PAUSE_S = 0.01


def copy_catalog(source: Path, target: Path) -> int:
    """Write the committed state of the catalogue `source` to `target`, replacing what is there.

    The copy takes its name when it is complete, checked and on the disk; returns how many
    pictures it has. Raises CatalogError, StorageError where the disk is full.
    """
    temporary = target.with_name(f"{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        with (
            closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)) as old,
            closing(sqlite3.connect(temporary)) as new,
        ):
            old.execute("PRAGMA busy_timeout = 30000")
            # One read transaction: a writer's commits would else begin the copy anew each time.
            old.execute("BEGIN")
            old.execute("SELECT count(*) FROM sqlite_master").fetchone()
            old.backup(new, pages=_PAGES_A_STEP, sleep=_PAUSE_S)
            old.execute("ROLLBACK")
            # One file that can be carried elsewhere, without a -wal beside it.
            new.execute("PRAGMA journal_mode = DELETE")
        items = verify_backup(temporary)
        sync_file(temporary)
        temporary.replace(target)
        sync_folder(target.parent)
        return items
    except (sqlite3.Error, UnicodeDecodeError, OSError) as error:
        if _is_full(error, target.parent):
            raise StorageError(
                f"The disk is full where {target} is to be written: make space and run again."
            ) from error
        raise CatalogError(f"{source} cannot be copied to {target} ({error}).") from error
    finally:
        delete_database(temporary)


def verify_backup(path: Path) -> int:
    """Check a catalogue's file from its first page to its last; returns how many pictures it has.

    Nothing is written. Raises CatalogError where it is no catalogue, is damaged, or was made by a
    newer version of mmsearch.
    """
    if not path.is_file():
        raise CatalogError(f"There is no file {path}.")
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as copy:
            lines = [row[0] for row in copy.execute("PRAGMA integrity_check")]
            if lines != ["ok"]:
                raise CatalogError(f"{path} is damaged ({lines[0]}): take another backup.")
            statement = "SELECT value FROM info WHERE key = 'schema_version'"
            version = int(copy.execute(statement).fetchone()[0])
            table = "items" if version > 2 else "pictures"
            items = int(copy.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
    except (sqlite3.Error, TypeError, ValueError) as error:
        raise CatalogError(
            f"{path} is not a catalogue of mmsearch, or is damaged ({error})."
        ) from error
    if version > SCHEMA_VERSION:
        raise CatalogError(
            f"{path} was made by a newer mmsearch (its format is {version}, this program knows "
            f"{SCHEMA_VERSION}): update mmsearch."
        )
    return items


def _is_full(error: Exception, folder: Path) -> bool:
    code = getattr(error, "sqlite_errorcode", None)
    number = getattr(error, "errno", None)
    return code == sqlite3.SQLITE_FULL or number in FULL_DISK_ERRORS or is_nearly_full(folder)
