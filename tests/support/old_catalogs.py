"""Catalogues as older versions of mmsearch made them, from present ones."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

_TO_VERSION_1 = """
PRAGMA foreign_keys = OFF;
DROP TABLE words; DROP TABLE names; DROP TABLE words_due;
DROP TABLE saved_searches; DROP TABLE marks;
CREATE TABLE pictures (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, root_id INTEGER NOT NULL, path BLOB NOT NULL,
    size_bytes BIGINT NOT NULL, mtime_ns BIGINT NOT NULL, content_hash BLOB NOT NULL,
    width_px INTEGER NOT NULL, height_px INTEGER NOT NULL, UNIQUE (root_id, path),
    FOREIGN KEY(root_id) REFERENCES roots (id));
CREATE INDEX pictures_by_content ON pictures (content_hash);
CREATE TABLE vectors (
    picture_id INTEGER NOT NULL, generation BIGINT NOT NULL, embedding BLOB NOT NULL,
    PRIMARY KEY (picture_id), FOREIGN KEY(picture_id) REFERENCES pictures (id));
CREATE INDEX vectors_by_generation ON vectors (generation);
INSERT INTO pictures SELECT items.id, root_id, path, size_bytes, mtime_ns, content_hash, width_px,
    height_px FROM items JOIN files ON files.id = items.file_id;
INSERT INTO vectors SELECT item_id, generation, vector FROM embeddings;
INSERT INTO info SELECT 'encoder_name', name FROM spaces;
INSERT INTO info SELECT 'encoder_dim', CAST(dim AS TEXT) FROM spaces;
INSERT INTO info SELECT 'encoder_fingerprint', fingerprint FROM spaces;
ALTER TABLE removals RENAME COLUMN item_id TO picture_id;
DROP TABLE texts; DROP TABLE tags; DROP TABLE embeddings; DROP TABLE spaces; DROP TABLE items;
DROP TABLE files;
UPDATE info SET value = '1' WHERE key = 'schema_version';
"""


def to_version_1(catalog: Path) -> None:
    """Turn a catalogue into one of version 1, which forgets what that could not hold."""
    with closing(sqlite3.connect(catalog)) as connection, connection:
        for (name,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        ).fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.executescript(_TO_VERSION_1)
