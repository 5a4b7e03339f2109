"""A backup holds one committed state, and an index made from it is as the old one was."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from indexer import back_up, check_index, fix_index, index_folders, restore
from retrieval.catalog import Catalog
from retrieval.errors import CatalogError, IndexBusyError, IndexMissingError, MmsearchError
from retrieval.search.engine import SearchEngine
from retrieval.storage.index_dir import IndexDir
from retrieval.storage.writer_lock import writer_lock
from tests.indexer.test_check_and_mend import paint
from tests.support.rows import bound_catalog, pictures
from tests.support.small_encoder import ColorEncoder

STORED = Path(__file__).parents[1] / "data" / "catalogs"


@pytest.fixture
def library(tmp_path: Path) -> Path:
    for seed in range(4):
        paint(tmp_path / "library" / f"{seed}.png", seed)
    return tmp_path / "library"


@pytest.fixture
def index(library: Path, tmp_path: Path) -> Path:
    index_folders([library], tmp_path / "index", encoder=ColorEncoder())
    return tmp_path / "index"


def names(index: Path) -> set[str]:
    with SearchEngine.open(index, encoder=ColorEncoder()) as engine:
        return {hit.path.name for hit in engine.search("anything", k=100)}


def findings(index: Path) -> list[str]:
    report = check_index(index, encoder=ColorEncoder())
    return [finding.kind for finding in report.findings]


def test_a_restored_index_answers_as_before_and_reranks_again_once_mended(
    index: Path, tmp_path: Path
) -> None:
    assert back_up(tmp_path / "b", index) == 4
    before = SearchEngine.open(index, encoder=ColorEncoder())
    with before, SearchEngine.open(index, encoder=ColorEncoder()) as engine:
        answers = engine.search("anything", k=4)
    shutil.rmtree(index)
    restored = restore(tmp_path / "b", index)
    assert (restored.images, restored.without_tokens, restored.kept) == (4, 4, None)
    with SearchEngine.open(index, encoder=ColorEncoder()) as engine:
        assert engine.search("anything", k=4) == answers
    assert findings(index) == ["no-tokens"]
    assert fix_index(index, encoder=ColorEncoder()).with_tokens == 4
    assert findings(index) == []


def test_a_backup_is_one_file_that_others_may_only_read(index: Path, tmp_path: Path) -> None:
    back_up(tmp_path / "b", index)
    (tmp_path / "b").chmod(0o400)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("b")] == ["b"]
    assert restore(tmp_path / "b", tmp_path / "other").images == 4


def test_a_backup_beside_a_writer_is_one_committed_state(tmp_path: Path) -> None:
    path = tmp_path / "index" / "catalog.sqlite"
    done = threading.Event()
    with bound_catalog(path, 48) as catalog:

        def write() -> None:
            number = 0
            while not done.is_set():
                with catalog.transaction() as change:
                    root = change.add_root(Path("/r"))
                    added = pictures([f"{number + n}.jpg" for n in range(10)])
                    change.add_files(root.id, added, np.eye(48, dtype=np.float32)[:10])
                number += 10

        writer = threading.Thread(target=write)
        writer.start()
        try:
            counts = [back_up(tmp_path / f"b{n}", tmp_path / "index") for n in range(8)]
        finally:
            done.set()
            writer.join()
    assert counts == sorted(counts)
    assert counts[-1] > counts[0]
    for number, images in enumerate(counts):
        with closing(sqlite3.connect(tmp_path / f"b{number}")) as backup:
            assert backup.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert backup.execute("SELECT count(*) FROM embeddings").fetchone() == (images,)
        # A batch is in it whole or not at all.
        assert images % 10 == 0


def test_nothing_is_overwritten_unless_told(index: Path, library: Path, tmp_path: Path) -> None:
    back_up(tmp_path / "b", index)
    with pytest.raises(MmsearchError, match="already"):
        back_up(tmp_path / "b", index)
    with pytest.raises(MmsearchError, match="already"):
        restore(tmp_path / "b", index)
    paint(library / "new.png", 50)
    index_folders([library], index, encoder=ColorEncoder())
    assert back_up(tmp_path / "b", index, replace=True) == 5
    with pytest.raises(MmsearchError):
        back_up(index / "catalog.sqlite", index, replace=True)


def test_a_replaced_index_is_kept_and_a_running_engine_follows(
    index: Path, library: Path, tmp_path: Path
) -> None:
    back_up(tmp_path / "b", index)
    paint(library / "0.png", 60)
    paint(library / "new.png", 61)
    (library / "1.png").unlink()
    index_folders([library], index, encoder=ColorEncoder())
    with SearchEngine.open(index, encoder=ColorEncoder()) as engine:
        assert {h.path.name for h in engine.search("x", k=9)} == {
            "0.png", "2.png", "3.png", "new.png",
        }  # fmt: skip
        restored = restore(tmp_path / "b", index, replace=True)
        assert {h.path.name for h in engine.search("x", k=9)} == {f"{n}.png" for n in range(4)}
        with SearchEngine.open(index, encoder=ColorEncoder()) as fresh:
            assert engine.search("x", k=9) == fresh.search("x", k=9)
    # Of 0 the tokens are those of its later content, and those of 1 are gone.
    assert restored.without_tokens == 2
    assert restored.kept is not None
    assert restored.kept.parent == index
    kept = tmp_path / "kept"
    assert restore(restored.kept, kept).images == 4
    assert names(kept) == {"0.png", "2.png", "3.png", "new.png"}


def test_an_id_given_since_the_backup_is_not_given_again(
    index: Path, library: Path, tmp_path: Path
) -> None:
    back_up(tmp_path / "b", index)
    paint(library / "new.png", 61)
    index_folders([library], index, encoder=ColorEncoder())
    with Catalog.open(index / "catalog.sqlite") as catalog:
        last = max(catalog.vector_ids().tolist())
    restore(tmp_path / "b", index, replace=True)
    index_folders([library], index, encoder=ColorEncoder())
    with Catalog.open(index / "catalog.sqlite") as catalog:
        assert max(catalog.vector_ids().tolist()) > last
    assert names(index) == {"0.png", "1.png", "2.png", "3.png", "new.png"}


@pytest.mark.parametrize("damage", [b"", b"this is no database" * 300])
def test_a_damaged_index_is_replaced_and_its_file_kept(
    index: Path, tmp_path: Path, damage: bytes
) -> None:
    back_up(tmp_path / "b", index)
    for leftover in index.glob("catalog.sqlite-*"):
        leftover.unlink()
    (index / "catalog.sqlite").write_bytes(damage)
    restored = restore(tmp_path / "b", index, replace=True)
    assert names(index) == {f"{n}.png" for n in range(4)}
    if damage:
        assert restored.kept is not None
        assert restored.kept.read_bytes() == damage
    fix_index(index, encoder=ColorEncoder())
    assert findings(index) == []


def test_a_backup_of_an_older_version_comes_to_the_present_format(tmp_path: Path) -> None:
    assert restore(STORED / "v1.sqlite", tmp_path / "index").images == 3
    with SearchEngine.open(tmp_path / "index", encoder=ColorEncoder()) as engine:
        assert len(engine.search("x", k=9)) == 3
    assert findings(tmp_path / "index") == ["no-tokens"]


def test_what_is_no_sound_backup_leaves_the_index_alone(index: Path, tmp_path: Path) -> None:
    back_up(tmp_path / "b", index)
    whole = (tmp_path / "b").read_bytes()
    (tmp_path / "cut").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text").write_text("this is no database")
    shutil.copyfile(tmp_path / "b", tmp_path / "newer")
    with closing(sqlite3.connect(tmp_path / "newer")) as connection, connection:
        connection.execute("UPDATE info SET value = '99' WHERE key = 'schema_version'")
    before = (index / "catalog.sqlite").read_bytes()
    for name in ("cut", "text", "newer", "absent"):
        with pytest.raises(CatalogError):
            restore(tmp_path / name, index, replace=True)
    assert (index / "catalog.sqlite").read_bytes() == before
    assert findings(index) == []


def test_no_backup_without_an_index_and_no_restoring_beside_a_writer(
    index: Path, tmp_path: Path
) -> None:
    with pytest.raises(IndexMissingError):
        back_up(tmp_path / "b", tmp_path / "none")
    back_up(tmp_path / "b", index)
    with writer_lock(IndexDir(index)):
        assert back_up(tmp_path / "c", index) == 4
        with pytest.raises(IndexBusyError):
            restore(tmp_path / "b", index, replace=True)
    with pytest.raises(MmsearchError, match="no folder"):
        back_up(tmp_path / "none" / "b", index)
    with pytest.raises(MmsearchError, match="is a folder"):
        back_up(tmp_path, index)
