"""The quick way to read a catalogue says what the whole one says."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from retrieval.catalog import Catalog, QuickReader
from retrieval.encoders.space import EmbeddingSpace
from retrieval.errors import CatalogError, IndexMissingError
from tests.retrieval.vectors.test_store import DIM, unit_vectors
from tests.support.rows import picture

STORED = Path(__file__).parents[2] / "data" / "catalogs"
NAMES = ["plain.jpg", "b/ünïcode.jpg", "b/not utf-8 \udcff.jpg"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with Catalog.create(tmp_path / "catalog.sqlite") as catalog, catalog.transaction() as change:
        change.set_encoder(EmbeddingSpace("test", DIM, "f" * 32))
        for folder in ("/photos", "/other"):
            root = change.add_root(Path(folder))
            times = [None, datetime(2019, 5, 4, 12, 30), datetime(2020, 1, 1, 0, 0, 0, 250_000)]
            added = [picture(name, taken_at=when) for name, when in zip(NAMES, times, strict=True)]
            change.add_files(root.id, added, unit_vectors(len(NAMES), 0))
    return tmp_path / "catalog.sqlite"


def test_the_quick_reader_says_what_the_whole_catalogue_says(path: Path) -> None:
    reader = QuickReader.open(path)
    with Catalog.open(path) as catalog:
        assert reader.is_quick
        assert reader.encoder == catalog.encoder
        for gone in (2, 4, 6):
            assert reader.generation == catalog.generation
            ids = list(range(1, 1200))
            assert reader.items(ids) == catalog.items(ids)
            asked = np.array([1200, 6, 3, 1, 5, 2, 4])
            for mine, theirs in zip(
                reader.vectors_of(asked), catalog.vectors_of(asked), strict=True
            ):
                np.testing.assert_array_equal(mine, theirs)
            with catalog.transaction() as change:
                change.remove_files([gone])
    reader.close()


def test_a_vector_of_another_size_is_left_out(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE embeddings SET vector = x'0000' WHERE item_id = 3")
    reader = QuickReader.open(path)
    held, vectors = reader.vectors_of(np.arange(1, 7))
    assert held.tolist() == [1, 2, 4, 5, 6]
    assert vectors.shape == (5, DIM)
    assert reader.vectors_of(np.empty(0, np.int64))[0].tolist() == []
    reader.close()


def test_tables_of_another_version_are_left_to_the_whole_catalogue(
    path: Path, tmp_path: Path
) -> None:
    old = tmp_path / "old.sqlite"
    shutil.copyfile(STORED / "v2.sqlite", old)
    reader = QuickReader.open(old)
    assert not reader.is_quick
    assert len(reader.items([1, 2, 3, 4])) == 3
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE info SET value = '999' WHERE key = 'schema_version'")
    with pytest.raises(CatalogError, match="newer mmsearch"):
        QuickReader.open(path)


def test_what_is_no_catalogue_is_the_same_error_as_ever(tmp_path: Path) -> None:
    with pytest.raises(IndexMissingError):
        QuickReader.open(tmp_path / "catalog.sqlite")
    (tmp_path / "catalog.sqlite").write_bytes(b"no database" * 1000)
    with pytest.raises(CatalogError):
        QuickReader.open(tmp_path / "catalog.sqlite")


def test_a_question_in_words_needs_neither_sqlalchemy_nor_pillow(photo_index: Path) -> None:
    code = (
        "import sys; from retrieval import SearchEngine\n"
        f"with SearchEngine.open({str(photo_index)!r}) as engine:\n"
        "    assert engine.search('a cat', k=3)\n"
        "print(*sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert not {"sqlalchemy", "PIL", "torch"} & set(found.stdout.split())
