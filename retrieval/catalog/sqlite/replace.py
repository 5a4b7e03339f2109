"""Putting another catalogue in the place of one that is in use.

Vector indexes and patch tokens are copies by picture id and generation, in files and in the memory
of programs that are just running. So the successor counts on from its predecessor: whatever was
made from the old catalogue sees a change like any other and catches up.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from retrieval.errors import CatalogError
from retrieval.storage.disk import sync_file, sync_folder

_FINGERPRINT = """(
    SELECT fingerprint FROM {0}spaces WHERE id = coalesce(
        (SELECT CAST(value AS INTEGER) FROM {0}info WHERE key = 'space'), 1
    )
)"""
_SAME = f"""
SELECT new.id FROM items new JOIN files new_file ON new_file.id = new.file_id
JOIN old.items former ON former.id = new.id AND former.position = new.position
JOIN old.files former_file ON former_file.id = former.file_id
WHERE former_file.content_hash = new_file.content_hash
  AND {_FINGERPRINT.format("main.")} = {_FINGERPRINT.format("old.")}
"""
_FOLLOW_ON = """
BEGIN;
UPDATE info SET value = 1 + max(
    CAST(value AS INTEGER),
    (SELECT CAST(value AS INTEGER) FROM old.info WHERE key = 'generation')
) WHERE key = 'generation';
UPDATE embeddings SET generation =
    (SELECT CAST(value AS INTEGER) FROM info WHERE key = 'generation');
INSERT OR REPLACE INTO removals SELECT
    item_id, (SELECT CAST(value AS INTEGER) FROM info WHERE key = 'generation')
    FROM old.embeddings WHERE item_id NOT IN (SELECT item_id FROM embeddings);
DELETE FROM removals WHERE item_id IN (SELECT item_id FROM embeddings);
INSERT INTO sqlite_sequence SELECT name, 0 FROM old.sqlite_sequence
    WHERE name NOT IN (SELECT name FROM sqlite_sequence);
UPDATE sqlite_sequence SET seq = max(
    seq,
    coalesce(
        (SELECT former.seq FROM old.sqlite_sequence former
         WHERE former.name = sqlite_sequence.name),
        0
    )
);
COMMIT;
"""


def follow_on(successor: Path, predecessor: Path) -> set[int]:
    """Number a catalogue that is to replace another on from it.

    Its generation comes after both, and no id of the predecessor will be given again. Returns the
    ids that stand for the same content, encoded by the same encoder, in both. Both catalogues are
    of the present format.

    Raises CatalogError where the predecessor cannot be read.
    """
    try:
        with closing(sqlite3.connect(successor, isolation_level=None)) as connection:
            connection.execute("PRAGMA busy_timeout = 30000")
            connection.execute("ATTACH ? AS old", (os.fspath(predecessor),))
            same = {row[0] for row in connection.execute(_SAME)}
            connection.executescript(_FOLLOW_ON)
            return same
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise CatalogError(f"The catalogue {predecessor} cannot be read ({error}).") from error


def overwrite(target: Path, source: Path) -> None:
    """Make the catalogue `target` what `source` is, in one transaction that its readers see whole.

    Raises CatalogError where the target cannot be written; it is then as it was.
    """
    try:
        with closing(sqlite3.connect(source)) as new, closing(sqlite3.connect(target)) as old:
            old.execute("PRAGMA busy_timeout = 30000")
            old.execute("PRAGMA synchronous = FULL")
            new.backup(old)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise CatalogError(f"The catalogue {target} cannot be replaced ({error}).") from error


def name_aside(catalog: Path, stem: str) -> Path:
    """A free name beside a catalogue, with the time: `STEM-20210718-160405.sqlite`."""
    stamped = f"{stem}-{time.strftime('%Y%m%d-%H%M%S')}"
    path = catalog.with_name(f"{stamped}.sqlite")
    number = 1
    while path.exists():
        number += 1
        path = catalog.with_name(f"{stamped}-{number}.sqlite")
    return path


def set_aside(catalog: Path, kept: Path) -> None:
    """Give a damaged catalogue a second name, and the log that belongs to it."""
    for suffix in ("-wal", ""):
        source = catalog.with_name(catalog.name + suffix)
        if not source.exists():
            continue
        target = kept.with_name(kept.name + suffix)
        try:
            os.link(source, target)
        except OSError:
            # Some file systems know no second names.
            shutil.copyfile(source, target)
            sync_file(target)


def take_place(successor: Path, catalog: Path) -> None:
    """Rename a catalogue to that of another, whose log must not reach it."""
    for suffix in ("-wal", "-shm"):
        catalog.with_name(catalog.name + suffix).unlink(missing_ok=True)
    sync_folder(catalog.parent)
    successor.replace(catalog)
    sync_folder(catalog.parent)
