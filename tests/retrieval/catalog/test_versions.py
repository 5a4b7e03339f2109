"""An index of an older mmsearch goes on working, and comes to the present format unharmed."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine

from indexer import index_folders, move_root, remove_folder
from retrieval.catalog import Catalog
from retrieval.catalog.schema import SCHEMA_VERSION, metadata
from retrieval.errors import CatalogError, IndexBusyError
from retrieval.query.filters import Taken
from retrieval.search.engine import SearchEngine
from retrieval.storage.index_dir import IndexDir
from retrieval.storage.writer_lock import writer_lock
from tests.support.rows import bound_catalog, picture
from tests.support.small_encoder import ColorEncoder

STORED = Path(__file__).parents[2] / "data" / "catalogs"
OLD_VERSIONS = sorted(int(path.stem[1:]) for path in STORED.glob("v*.sqlite"))
TAKEN = datetime(2021, 7, 18, 16, 4, 5)


@pytest.fixture(params=OLD_VERSIONS)
def old_index(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """An index folder that an older version made; it knows three pictures in /photos."""
    index_dir = tmp_path / "index"
    index_dir.mkdir()
    shutil.copyfile(STORED / f"v{request.param}.sqlite", index_dir / "catalog.sqlite")
    return index_dir


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """The pictures of the stored catalogues, with the time stamps that they know."""
    folder = tmp_path / "photos"
    shutil.copytree(STORED / "pictures", folder)
    shutil.copyfile(folder / "undated.png", os.fsencode(folder) + b"/caf\xe9.png")
    for path in folder.iterdir():
        os.utime(path, (1_600_000_000, 1_600_000_000))
    return folder


OLD_ROWS = {
    "pictures": "SELECT id, root_id, path, size_bytes, mtime_ns, content_hash, width_px, height_px"
    " FROM pictures ORDER BY 1",
    "roots": "SELECT * FROM roots ORDER BY 1",
    "vectors": "SELECT picture_id, generation, embedding FROM vectors ORDER BY 1",
    "failures": "SELECT * FROM failures ORDER BY 1, 2",
    "removals": "SELECT picture_id, generation FROM removals ORDER BY 1",
}
PRESENT_ROWS = OLD_ROWS | {
    "pictures": "SELECT items.id, root_id, path, size_bytes, mtime_ns, content_hash, width_px,"
    " height_px FROM items JOIN files ON files.id = file_id ORDER BY 1",
    "vectors": "SELECT item_id, generation, vector FROM embeddings WHERE space_id = 1 ORDER BY 1",
    "removals": "SELECT item_id, generation FROM removals ORDER BY 1",
}


def rows(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """All that the first version kept, from the file itself."""
    asked = OLD_ROWS if version_of(path) < 3 else PRESENT_ROWS
    with closing(sqlite3.connect(path)) as connection:
        return {
            table: connection.execute(statement).fetchall() for table, statement in asked.items()
        }


def version_of(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        statement = "SELECT value FROM info WHERE key = 'schema_version'"
        return int(connection.execute(statement).fetchone()[0])


def test_every_released_version_is_stored() -> None:
    assert list(range(1, SCHEMA_VERSION)) == OLD_VERSIONS


def test_an_upgrade_keeps_every_row_and_a_copy_of_the_old_file(old_index: Path) -> None:
    path = old_index / "catalog.sqlite"
    before, old = rows(path), version_of(path)
    Catalog.create(path).close()
    assert version_of(path) == SCHEMA_VERSION
    assert rows(path) == before
    kept = old_index / f"catalog.v{old}.sqlite"
    assert version_of(kept) == old
    assert rows(kept) == before


def is_of_no_words(name: str | None, kind: str, _parents: object) -> bool:
    """Whether a table is not one that SQLite keeps for full text."""
    if kind != "table" or name is None or name in metadata.tables:
        return True
    return not name.startswith(("words", "names", "described"))


def test_an_upgraded_catalogue_has_the_tables_of_a_new_one(old_index: Path, tmp_path: Path) -> None:
    Catalog.create(old_index / "catalog.sqlite").close()
    Catalog.create(tmp_path / "new.sqlite").close()
    shapes = []
    for path in (old_index / "catalog.sqlite", tmp_path / "new.sqlite"):
        engine = create_engine(f"sqlite:///{path}")
        with engine.connect() as connection:
            context = MigrationContext.configure(
                connection,
                opts={
                    "compare_type": True,
                    "compare_server_default": True,
                    "include_name": is_of_no_words,
                },
            )
            assert compare_metadata(context, metadata) == []
        with closing(sqlite3.connect(path)) as raw:
            shapes.append(
                {
                    table: raw.execute(f"PRAGMA table_info({table})").fetchall()
                    for table in metadata.tables
                }
            )
    assert shapes[0] == shapes[1]


def test_a_question_is_answered_from_an_old_catalogue_as_it_is(old_index: Path) -> None:
    path = old_index / "catalog.sqlite"
    old = version_of(path)
    with SearchEngine.open(old_index, encoder=ColorEncoder()) as engine:
        hits = engine.search("anything", k=5)
        assert len(hits) == 3
        assert {hit.path.parent for hit in hits} == {Path("/photos")}
        if old == 1:
            with pytest.raises(CatalogError, match="does not know yet of its pictures: taken_at"):
                engine.search("anything", after=datetime(2000, 1, 1))
        else:
            (hit,) = engine.search("anything", after=datetime(2000, 1, 1))
            assert hit.taken_at == TAKEN
    assert version_of(path) == old


def test_a_reader_that_is_open_goes_on_while_the_catalogue_is_upgraded(old_index: Path) -> None:
    with SearchEngine.open(old_index, encoder=ColorEncoder()) as engine:
        before = engine.search("anything", k=5)
        Catalog.create(old_index / "catalog.sqlite").close()
        assert engine.search("anything", k=5) == before


def test_an_old_index_is_moved_and_then_learns_the_dates_without_encoding(
    old_index: Path, library: Path
) -> None:
    assert move_root("/photos", library, old_index) == 3
    encoder = ColorEncoder()
    summary = index_folders([library], old_index, encoder=encoder)
    assert (summary.unchanged, summary.new, summary.removed, encoder.seen) == (3, 0, 0, 0)
    with SearchEngine.open(old_index, encoder=encoder) as engine:
        (hit,) = engine.search("anything", after=datetime(2021, 1, 1))
        assert (hit.path, hit.taken_at) == (library / "dated.jpg", TAKEN)
    again = index_folders([library], old_index, encoder=encoder)
    assert again.unchanged == 3
    with Catalog.open(old_index / "catalog.sqlite") as catalog:
        assert not any(
            f.lacks_facts for f in dict(catalog.known_files(catalog.roots()[0].id)).values()
        )


def test_a_folder_is_forgotten_in_an_old_index(old_index: Path) -> None:
    assert remove_folder("/photos", old_index) == 3
    assert version_of(old_index / "catalog.sqlite") == SCHEMA_VERSION


def test_nothing_is_upgraded_while_another_process_writes(old_index: Path) -> None:
    old = version_of(old_index / "catalog.sqlite")
    with writer_lock(IndexDir(old_index)), pytest.raises(IndexBusyError):
        remove_folder("/photos", old_index)
    assert version_of(old_index / "catalog.sqlite") == old


KILLED_IN_THE_MIDDLE = """
import sys, time
from pathlib import Path
from retrieval.catalog import Catalog, migrations

steps = migrations.take_step

def step_and_wait(connection, number):
    steps(connection, number)
    print("changed", flush=True)
    time.sleep(60)

migrations.take_step = step_and_wait
Catalog.create(Path(sys.argv[1]))
"""


def test_an_upgrade_that_is_killed_leaves_the_old_catalogue(old_index: Path) -> None:
    path = old_index / "catalog.sqlite"
    before, old = rows(path), version_of(path)
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED_IN_THE_MIDDLE, os.fspath(path)], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    with process:
        assert process.stdout.readline() == b"changed\n"
        process.send_signal(signal.SIGKILL)
    assert version_of(path) == old
    assert rows(path) == before
    with SearchEngine.open(old_index, encoder=ColorEncoder()) as engine:
        assert len(engine.search("anything", k=5)) == 3
    Catalog.create(path).close()
    assert version_of(path) == SCHEMA_VERSION
    assert rows(path) == before


def test_an_upgrade_that_cannot_keep_a_copy_changes_nothing(old_index: Path) -> None:
    path = old_index / "catalog.sqlite"
    old = version_of(path)
    # Where the copy is to stand there is a folder, which no file can replace.
    (old_index / f"catalog.v{old}.sqlite" / "inside").mkdir(parents=True)
    with pytest.raises(CatalogError, match="cannot be copied"):
        Catalog.create(path)
    assert version_of(path) == old
    assert not list(old_index.glob("*.tmp*"))


def test_only_pictures_of_the_asked_time_are_found(tmp_path: Path) -> None:
    with bound_catalog(tmp_path / "catalog.sqlite") as catalog:
        moments = [None, datetime(2020, 12, 31, 23, 59, 59), datetime(2021, 1, 1), TAKEN]
        with catalog.transaction() as change:
            root = change.add_root(Path("/r"))
            added = [picture(f"{n}.jpg", n, taken_at=moment) for n, moment in enumerate(moments)]
            ids = change.add_files(root.id, added, np.eye(4, dtype=np.float32))
        year = datetime(2021, 1, 1)
        assert catalog.ids_matching(Taken()).tolist() == ids[1:]
        assert catalog.ids_matching(Taken(after=year)).tolist() == ids[2:]
        assert catalog.ids_matching(Taken(before=year)).tolist() == ids[1:2]
        assert catalog.ids_matching(Taken(year, TAKEN)).tolist() == ids[2:3]
        assert catalog.items(ids)[ids[3]].metadata.taken_at == TAKEN
