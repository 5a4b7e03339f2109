"""rclip's database: one table of paths with their vectors."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np

from indexer.importing.source import ROWS_A_BATCH, ForeignBatch, ForeignPicture, unusable

# By the version of its tables, the highest first.
_MODELS = ((3, "ViT-B-32-256/datacomp_s34b_b86k"), (1, "ViT-B-32-quickgelu/openai"))
_THERE = "FROM images WHERE deleted IS NULL ORDER BY id"


class RclipSource:
    """The file `db.sqlite3` in rclip's data folder, read as it is."""

    name = "rclip"

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with closing(self._connected()) as database:
                version = database.execute("SELECT version FROM db_version").fetchone()
                first = database.execute(f"SELECT length(vector) {_THERE} LIMIT 1").fetchone()
        except sqlite3.Error as error:
            raise unusable(path, f"it is no database of rclip ({error})") from error
        if first is None:
            raise unusable(path, "it holds no pictures")
        self.model: str | None = next(
            model for since, model in _MODELS if (version[0] if version else 1) >= since
        )
        self.dim = first[0] // 4

    def names(self) -> Iterator[str]:
        """See `Source`."""
        with closing(self._connected()) as database:
            for (path,) in database.execute(f"SELECT filepath {_THERE}"):
                yield path

    def batches(self) -> Iterator[ForeignBatch]:
        """See `Source`; raises MmsearchError where vectors are not of one length."""
        statement = f"SELECT filepath, size, modified_at, vector {_THERE}"
        with closing(self._connected()) as database:
            found = database.execute(statement)
            while rows := found.fetchmany(ROWS_A_BATCH):
                if {len(row[3]) for row in rows} != {4 * self.dim}:
                    raise unusable(self._path, "its vectors are not of one length")
                vectors = np.frombuffer(b"".join(row[3] for row in rows), "<f4")
                yield ForeignBatch(
                    [
                        ForeignPicture(path, size_bytes=size, mtime_ns=int(modified_at * 1e9))
                        for path, size, modified_at, _ in rows
                    ],
                    vectors.reshape(len(rows), self.dim),
                )

    def _connected(self) -> sqlite3.Connection:
        return sqlite3.connect(f"{self._path.resolve().as_uri()}?mode=ro", uri=True)
