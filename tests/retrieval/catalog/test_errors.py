"""What the database's errors become: the disk's are told from the catalogue's own."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from retrieval.catalog import Catalog
from retrieval.catalog.sqlite.connection import as_mmsearch_error
from retrieval.errors import CatalogError, StorageError


def test_a_file_beside_the_catalogue_that_cannot_be_made_is_the_disk_s_fault(
    tmp_path: Path,
) -> None:
    path = tmp_path / "catalog.sqlite"
    Catalog.create(path).close()
    # In the place of the write-ahead log, so that SQLite cannot open one.
    (tmp_path / "catalog.sqlite-wal").mkdir()
    with pytest.raises(StorageError, match="unable to open database file"), Catalog.open(path):
        pass


def test_a_catalogue_that_is_not_there_or_not_ours_to_write_is_not(tmp_path: Path) -> None:
    path = tmp_path / "missing.sqlite"
    with pytest.raises(sqlite3.OperationalError) as raised:
        sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    error = as_mmsearch_error(raised.value, path)
    assert isinstance(error, CatalogError)
    assert "cannot be used" in str(error)
