"""An index whose vectors are in a database, as a person meets it."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from indexer import index_folders
from indexer.maintenance.check import check_index
from indexer.maintenance.repair import repair_catalog
from retrieval.search.engine import SearchEngine
from tests.cli.test_command_line import mmsearch
from tests.support.postgres import PASSWORD, PostgresServer
from tests.support.vector_stores import milvus_address, pgvector_server

QUESTION = "a cup of coffee"


@pytest.fixture(scope="module")
def pgvector() -> Iterator[PostgresServer]:
    with pgvector_server() as server:
        yield server


@pytest.fixture(params=["milvus", "pgvector"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "milvus":
        return milvus_address(tmp_path)
    return str(request.getfixturevalue("pgvector").new_database())


@pytest.fixture
def index_dir(photo_index: Path, tmp_path: Path) -> Path:
    shutil.copytree(photo_index, tmp_path / "index")
    return tmp_path / "index"


def answers(index_dir: Path, **options: object) -> list[tuple[str, float]]:
    with SearchEngine.open(index_dir) as engine:
        hits = engine.search(QUESTION, k=8, rerank="off", **options)  # type: ignore[arg-type]
        return [(hit.path.name, round(float(hit.score), 3)) for hit in hits]


def test_an_index_moves_to_a_database_and_back_with_the_same_answers(
    index_dir: Path, address: str, photos: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = answers(index_dir)
    few = answers(index_dir, within=photos)
    index_folders([], index_dir, vector_store=address)
    assert answers(index_dir) == before
    assert answers(index_dir, within=photos) == few
    assert check_index(index_dir).findings == ()
    more = tmp_path / "more"
    more.mkdir()
    shutil.copyfile(photos / "coffee.png", more / "another.png")
    with SearchEngine.open(index_dir) as engine:
        engine.search(QUESTION)
        # An engine that is open sees what another process indexes, and where the vectors go.
        index_folders([more], index_dir)
        assert "another.png" in [hit.path.name for hit in engine.search(QUESTION, rerank="off")]
        index_folders([], index_dir, vector_store="faiss")
        assert "another.png" in [hit.path.name for hit in engine.search(QUESTION, rerank="off")]
    assert check_index(index_dir).findings == ()
    assert not caplog.records


def test_the_command_line_keeps_the_address_and_shows_no_password(
    photos: Path, tmp_path: Path, pgvector: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    index_dir, address = tmp_path / "index", pgvector.new_database()
    folder = tmp_path / "pictures"
    folder.mkdir()
    shutil.copyfile(photos / "coffee.png", folder / "coffee.png")
    outputs = [mmsearch("index", folder, "--vector-store", address, index_dir=index_dir)]
    monkeypatch.setenv("MMSEARCH_VECTOR_STORE_PASSWORD", PASSWORD)
    outputs.append(mmsearch("query", QUESTION, index_dir=index_dir))
    outputs.append(mmsearch("status", "--json", index_dir=index_dir))
    record = json.loads(outputs[-1].stdout)
    assert record["vector_store"].startswith("postgresql+psycopg://mmsearch@127.0.0.1")
    assert (record["vector_store_problem"], record["vector_index"]) == (None, "HNSW16,halfvec")
    outputs.append(mmsearch("status", index_dir=index_dir))
    assert b"HNSW16,halfvec" in outputs[-1].stdout
    outputs.append(mmsearch("check", "--fix", index_dir=index_dir))
    assert [done.returncode for done in outputs] == [0] * 5, outputs
    assert all(done.stderr == b"" for done in outputs)
    # Without the password nothing is lost: the vectors are in the catalogue.
    monkeypatch.delenv("MMSEARCH_VECTOR_STORE_PASSWORD")
    outputs.append(mmsearch("query", QUESTION, index_dir=index_dir))
    assert b"searched in memory instead" in outputs[-1].stderr
    assert b"coffee.png" in outputs[-1].stdout
    outputs.append(mmsearch("status", index_dir=index_dir))
    outputs.append(mmsearch("check", index_dir=index_dir))
    assert b"out of reach" in outputs[-1].stdout
    shutil.copyfile(photos / "rocket.jpg", folder / "rocket.jpg")
    outputs.append(mmsearch("index", index_dir=index_dir))
    assert outputs[-1].returncode == 0
    assert b"What was indexed is kept" in outputs[-1].stderr
    outputs.append(mmsearch("check", "--fix", index_dir=index_dir))
    assert outputs[-1].returncode == 8
    for done in outputs:
        for secret in (PASSWORD, address):
            assert secret.encode() not in done.stdout + done.stderr
    with sqlite3.connect(index_dir / "catalog.sqlite") as kept:
        assert PASSWORD not in str(kept.execute("SELECT * FROM info").fetchall())


def test_a_mistyped_address_is_told_before_anything_is_indexed(
    photos: Path, tmp_path: Path
) -> None:
    index_dir = tmp_path / "index"
    refused = mmsearch("index", photos, "--vector-store", "milvos://host", index_dir=index_dir)
    assert (refused.returncode, refused.stdout) == (8, b"")
    assert b"milvus://host:19530" in refused.stderr
    assert not (index_dir / "catalog.sqlite").exists()


def test_a_damaged_catalogue_gets_its_vectors_from_the_database(
    index_dir: Path, address: str
) -> None:
    before = answers(index_dir)
    index_folders([], index_dir, vector_store=address)
    path = index_dir / "catalog.sqlite"
    with closing(sqlite3.connect(path)) as catalog:
        catalog.execute("UPDATE embeddings SET vector = zeroblob(length(vector)) WHERE item_id = 1")
        catalog.execute("DELETE FROM embeddings WHERE item_id = 2")
        catalog.commit()
    summary = repair_catalog(index_dir)
    assert (summary.was_sound, summary.lost_pictures) == (False, 0)
    assert answers(index_dir) == before
    assert check_index(index_dir).findings == ()
