"""A catalogue on a server is an index like any other, and its password is nobody's business."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import inspect, make_url

from indexer import back_up, check_index, index_folders, remove_folder, repair_catalog
from retrieval import SearchEngine
from retrieval.catalog import Catalog
from retrieval.errors import CatalogError, IndexBusyError
from retrieval.index import Index
from retrieval.storage import catalog_url
from retrieval.storage.catalog_url import CatalogUrl
from retrieval.storage.index_dir import IndexDir
from samples.photos import copy_photos
from tests.support.postgres import PASSWORD
from tests.support.program import mmsearch
from tests.support.rows import bound_catalog, picture


@pytest.fixture
def library(tmp_path: Path) -> Path:
    copy_photos(tmp_path / "photos")
    return tmp_path / "photos"


def test_an_index_on_a_server_answers_as_one_in_a_file_does(
    library: Path, photo_index: Path, photos: Path, tmp_path: Path, postgres_url: str
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    summary = index_folders([library], here, catalog=postgres_url)
    with SearchEngine.open(photo_index) as engine:
        expected = [(hit.path.name, hit.score) for hit in engine.search("a cat", k=5)]
    with SearchEngine.open(here) as engine:
        found = [(hit.path.name, hit.score) for hit in engine.search("a cat", k=5)]
    assert [name for name, _ in found] == [name for name, _ in expected]
    assert [score for _, score in found] == pytest.approx([score for _, score in expected])
    assert check_index(here).findings == ()
    # Another machine's folder: no picture is encoded again, and it answers alike.
    again = index_folders([library], there, catalog=postgres_url)
    assert (again.unchanged, again.new, again.encoded) == (summary.new, 0, 0)
    with SearchEngine.open(there) as engine:
        assert [(h.path.name, h.score) for h in engine.search("a cat", k=5)] == found
        # What another writes is seen by the next question.
        assert remove_folder(library / found[0][0], here) == 1
        assert engine.search("a cat", k=1)[0].path.name != found[0][0]
    assert (here / "catalog.url").read_text().strip() == str(CatalogUrl.parse(postgres_url))
    assert not (here / "catalog.sqlite").exists() and not (here / "tokens.sqlite").exists()


def test_what_a_server_does_better_is_left_to_it(tmp_path: Path, postgres_url: str) -> None:
    copy_photos(tmp_path / "photos")
    index_folders([tmp_path / "photos" / "chelsea.png"], tmp_path / "i", catalog=postgres_url)
    with pytest.raises(CatalogError, match="pg_dump"):
        back_up(tmp_path / "copy.sqlite", tmp_path / "i")
    with pytest.raises(CatalogError, match="PostgreSQL"):
        repair_catalog(tmp_path / "i")
    with pytest.raises(CatalogError, match="elsewhere"):
        index_folders([], tmp_path / "i", catalog="postgresql+psycopg://u@h/other")


def test_who_moves_a_folder_does_so_alone(tmp_path: Path, postgres_url: str) -> None:
    (tmp_path / "photos").mkdir()
    index_folders([tmp_path / "photos"], tmp_path / "one", catalog=postgres_url)
    with (
        Index.writing(tmp_path / "two", create=True, catalog=postgres_url, shared=True),
        Index.writing(tmp_path / "one", shared=True),
        pytest.raises(IndexBusyError),
        Index.writing(tmp_path / "one"),
    ):
        pass
    with Index.writing(tmp_path / "one"):
        pass


@pytest.mark.parametrize("way", ["PGPASSWORD", "pgpass", "url"])
def test_a_password_is_taken_from_three_places_and_told_nowhere(
    way: str,
    tmp_path: Path,
    postgres_url: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(catalog_url, "_told", {})
    address = make_url(postgres_url)
    bare = address.set(password=None).render_as_string(hide_password=False)
    if way == "PGPASSWORD":
        monkeypatch.setenv("PGPASSWORD", PASSWORD)
    if way == "pgpass":
        escaped = PASSWORD.replace("\\", "\\\\").replace(":", "\\:")
        file = tmp_path / "pgpass"
        file.write_text(f"*:*:*:*:{escaped}\n")
        file.chmod(0o600)
        monkeypatch.setenv("PGPASSFILE", str(file))
    folder = tmp_path / "index"
    (tmp_path / "photos").mkdir()
    index_folders([tmp_path / "photos"], folder, catalog=postgres_url if way == "url" else bare)
    with Catalog.open(IndexDir(folder).address) as catalog:
        told = [repr(catalog._engine), repr(catalog._engine.url), repr(IndexDir(folder).address)]
    written = "".join(file.read_text(errors="replace") for file in folder.iterdir())
    encoded = address.render_as_string(hide_password=False).split("@")[0].split(":")[-1]
    for text in (*told, written, caplog.text):
        assert PASSWORD not in text and encoded not in text


def test_without_its_password_the_program_says_what_to_do_and_not_what_it_was(
    tmp_path: Path, postgres_url: str
) -> None:
    (tmp_path / "photos").mkdir()
    done = mmsearch(
        "index", tmp_path / "photos", "--catalog", postgres_url, index_dir=tmp_path / "i"
    )
    assert done.returncode == 0, done.stderr
    asked = mmsearch("status", index_dir=tmp_path / "i")
    assert asked.returncode == 6 and "~/.pgpass" in asked.stderr
    wrong = postgres_url.replace("secret", "sesame")
    refused = mmsearch(
        "index", tmp_path / "photos", "--catalog", wrong, index_dir=tmp_path / "other"
    )
    assert refused.returncode == 6
    for run in (done, asked, refused):
        assert "secret" not in run.stdout + run.stderr
        assert "sesame" not in run.stdout + run.stderr


def test_a_server_that_is_not_there_and_an_address_that_is_none_are_one_sentence(
    tmp_path: Path,
) -> None:
    with pytest.raises(CatalogError, match=r"cannot be reached"):
        Catalog.open(CatalogUrl.parse("postgresql://u:hidden@127.0.0.1:1/db"))
    for address in ("mysql://u:hidden@h/db", "postgresql://u:hidden@h:port/db", "hidden"):
        with pytest.raises(CatalogError) as raised:
            CatalogUrl.parse(address)
        assert "hidden" not in str(raised.value)


def test_a_catalogue_of_an_older_format_is_brought_to_the_present_one(postgres_url: str) -> None:
    where = CatalogUrl.parse(postgres_url)
    with bound_catalog(where) as catalog:
        with catalog.transaction() as change:
            root = change.add_root(Path("/r"))
            (item_id,) = change.add_files(root.id, [picture("a.jpg")], np.eye(4)[:1])
        present = inspect(catalog._engine).get_columns("marks")
        with catalog._engine.begin() as connection:
            # As version 4 had it.
            connection.exec_driver_sql("DROP TABLE marks")
            connection.exec_driver_sql("UPDATE info SET value = '4' WHERE key = 'schema_version'")
    with pytest.raises(CatalogError, match="older format"):
        Catalog.open(where)
    with Catalog.create(where) as catalog:
        columns = inspect(catalog._engine).get_columns("marks")
        assert [column["name"] for column in columns] == [column["name"] for column in present]
        with catalog.transaction() as change:
            change.mark("a dog", [item_id], is_right=True)
        assert catalog.marks("a dog") == {item_id: True}
