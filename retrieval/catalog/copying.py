"""Copies of a catalogue's file, made while others read and write it, and the check of one.

SQLite's own online backup reads one committed state, whatever happens beside it.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from retrieval.errors import CatalogError

_PAGES_A_STEP = 4096
_PAUSE_S = 0.01


def copy_catalog(source: Path, target: Path) -> None:
    """Write the committed state of the catalogue `source` to `target`, replacing what is there.

    The copy appears under its name when it is complete and on the disk. Raises CatalogError.
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
        _sync(temporary)
        temporary.replace(target)
        _sync(target.parent)
    except (sqlite3.Error, OSError) as error:
        raise CatalogError(f"{source} cannot be copied to {target} ({error}).") from error
    finally:
        for suffix in ("", "-journal", "-wal", "-shm"):
            with suppress(OSError):
                temporary.with_name(temporary.name + suffix).unlink()


def _sync(path: Path) -> None:
    """Have the disk take it. Folders cannot be opened on every system."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return
    try:
        with suppress(OSError):
            os.fsync(handle)
    finally:
        os.close(handle)
