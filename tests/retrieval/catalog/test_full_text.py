"""What can be found by words is what the rows say, after whatever changes them."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.catalog import Catalog, QuickReader
from retrieval.catalog.full_text import as_document, as_words
from retrieval.images.facts import ImageMetadata
from retrieval.storage.catalog_url import CatalogUrl
from tests.support.catalog_places import CatalogPlaces, examples
from tests.support.old_catalogs import to_version_1
from tests.support.rows import bound_catalog, picture

STORED = Path(__file__).parents[2] / "data" / "catalogs"
FACTS = ImageMetadata(
    title="Hafen am Abend",
    caption="Two fishing boats",
    keywords=("Elbe", "iPhone 12", "東京タワー"),
)


@pytest.fixture
def where(places: CatalogPlaces) -> Path | CatalogUrl:
    return places.fresh()


@pytest.fixture
def catalog(where: Path | CatalogUrl) -> Iterator[Catalog]:
    """Three pictures: 1 with words of its own, 2 with a telling name, 3 with neither."""
    with filled(where) as catalog:
        yield catalog


@pytest.fixture
def file_catalog(tmp_path: Path) -> Iterator[Catalog]:
    """The same in an SQLite file."""
    with filled(tmp_path / "catalog.sqlite") as catalog:
        yield catalog


@contextmanager
def filled(where: Path | CatalogUrl) -> Iterator[Catalog]:
    with bound_catalog(where) as catalog:
        with catalog.transaction() as change:
            root = change.add_root(Path("/home/me/Urlaub"))
            added = [
                picture("2019/Nordsee/a.jpg", 0, metadata=FACTS),
                picture("2019/BeachAtNoon_DSC01234.JPG", 1),
                picture("café.png", 2),
            ]
            change.add_files(root.id, added, np.eye(4, dtype=np.float32)[:3])
        yield catalog


def found(catalog: Catalog, word: str) -> list[int]:
    """What both readers find alike."""
    ids = catalog.full_text.ids_with(word, 100).tolist()
    if catalog._database.file is not None:
        with QuickReader.open(catalog._database.file) as reader:
            assert reader.full_text.ids_with(word, 100).tolist() == ids
    return ids


@pytest.mark.parametrize(
    ("word", "ids"),
    [
        ("Hafen", [1]), ("boat", [1]), ("FISHING", [1]), ("elbe", [1]), ("Elbes", [1]), ("El", []),
        ("iphone", [1]), ("iPhone", [1]), ("iPhone 12", [1]), ("iphone12", [1]), ("12 iphone", []),
        ("東京", [1]), ("京", [1]), ("タワー", [1]), ("京東", []),
        ("Nordsee", [1]), ("2019", [1, 2]), ("Urlaub", [1, 2, 3]), ("home", []),
        ("beach", [2]), ("BeachAtNoon", [2]), ("beachatnoon", [2]), ("01234", [2]),
        ("DSC01234", [2]), ("dsc01234.jpg", [2]), ("cafe", [3]), ("Café", [3]), ("png", [3]),
        ('"', []), ("-", []), ("a OR b", []), ("name:beach", []), ("\0", []), ("\udcff", []),
    ],
)  # fmt: skip
def test_a_word_finds_the_items_that_have_it(catalog: Catalog, word: str, ids: list[int]) -> None:
    assert found(catalog, word) == ids


def test_parts_of_names_are_found_as_they_stand(catalog: Catalog) -> None:
    parts = catalog.full_text.names_with_part
    assert parts("c0123", 10) == {2: "BeachAtNoon_DSC01234.JPG"}
    assert parts("eachat", 10) == {2: "BeachAtNoon_DSC01234.JPG"}
    # Both stand for other letters in LIKE.
    assert parts("Noon_DS", 10) and not parts("Beach_tNoon", 10) and not parts("Bea%oon", 10)
    assert not any(parts(part, 10) for part in ("ch", 'ea"ch', "ea\\ch", "ea\0ch", "hAtB"))
    # SQLite 3.40 crashed on it.
    assert parts("\xe5v_\xe7P\U0001589f\U00059896", 10) == {}
    assert catalog.full_text.names_with_words("DSC01234.jpg", 10) == parts("c0123", 10)


def test_what_changes_is_found_as_it_is_then(catalog: Catalog) -> None:
    root = catalog.roots()[0]
    file, items = picture("2019/Nordsee/a.jpg", 9, metadata=ImageMetadata(caption="A lighthouse"))
    with catalog.transaction() as change:
        change.touch_file(1, file, items[0].metadata)
    assert (found(catalog, "boats"), found(catalog, "lighthouse")) == ([], [1])
    with catalog.transaction() as change:
        change.move_file(1, root.id, picture("2020/b.jpg", 9)[0])
    assert (found(catalog, "Nordsee"), found(catalog, "lighthouse")) == ([], [1])
    assert found(catalog, "2020") == [1]
    with catalog.transaction() as change:
        change.set_root_path(root.id, Path("/mnt/Holiday"))
    assert (found(catalog, "Urlaub"), found(catalog, "Holiday")) == ([], [1, 2, 3])
    with catalog.transaction() as change:
        (pair,) = change.copy_file(1, root.id, picture("c/twin.jpg", 9)[0])
    assert found(catalog, "lighthouse") == sorted(pair)
    with catalog.transaction() as change:
        change.remove_files([1])
    assert found(catalog, "lighthouse") == [pair[1]]


def test_what_is_undone_is_not_found(catalog: Catalog) -> None:
    with pytest.raises(RuntimeError), catalog.transaction() as change:
        change.remove_files([1])
        raise RuntimeError
    assert found(catalog, "boats") == [1]


def test_words_of_a_program_are_no_keywords(catalog: Catalog) -> None:
    with catalog.transaction() as change:
        change._connection.exec_driver_sql(
            "INSERT INTO tags VALUES (3, 'ship', 'labels', 0.8), (3, 'harbour', 'me', NULL)"
        )
    assert (found(catalog, "ship"), found(catalog, "harbour")) == ([], [3])


def test_no_text_breaks_the_tables_or_a_question(places: CatalogPlaces) -> None:
    @given(caption=st.text(max_size=30), word=st.text(max_size=30))
    def check(caption: str, word: str) -> None:
        clean = caption.encode("utf-8", "replace").decode()
        with bound_catalog(places.fresh()) as catalog:
            with catalog.transaction() as change:
                root = change.add_root(Path("/r"))
                one = picture("x.jpg", metadata=ImageMetadata(caption=f"{clean} lighthouse"))
                change.add_files(root.id, [one], np.eye(4, dtype=np.float32)[:1])
            assert catalog.full_text.ids_with("lighthouse", 5).tolist() in ([1], [])
            catalog.full_text.ids_with(word, 5)
            catalog.full_text.names_with_words(word, 5)
            catalog.full_text.names_with_part(word, 5)
            assert catalog.check_integrity() == []

    examples(places, 60)(check)()


@settings(deadline=None)
@given(st.text())
def test_words_are_the_same_whether_they_are_asked_for_or_kept(text: str) -> None:
    assert as_document(text).startswith(as_words(text)) or as_document(text) == as_words(text)
    assert as_words(as_words(text)) == as_words(text)


@pytest.mark.parametrize("version", [2, 3])
def test_an_older_catalogue_has_words_once_it_is_written_to(tmp_path: Path, version: int) -> None:
    path = tmp_path / "catalog.sqlite"
    shutil.copyfile(STORED / f"v{version}.sqlite", path)
    with QuickReader.open(path) as reader:
        assert not reader.full_text.is_there
    with Catalog.create(path) as catalog:
        assert catalog.full_text.is_there
        assert found(catalog, "dated") == [2]
        assert found(catalog, "quay") == ([2] if version == 3 else [])


def test_a_catalogue_without_the_tables_is_filled_when_it_is_written_to(
    file_catalog: Catalog,
) -> None:
    catalog = file_catalog
    path = Path(str(catalog._engine.url.database))
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("DROP TABLE words; DROP TABLE names;")
    assert not catalog.full_text.is_there
    with catalog.transaction() as change:
        change.remove_files([3])
    assert found(catalog, "boats") == [1]
    assert found(catalog, "2019") == [1, 2]


def test_a_catalogue_of_old_shape_is_still_one(file_catalog: Catalog) -> None:
    path = Path(str(file_catalog._engine.url.database))
    to_version_1(path)
    with Catalog.create(path) as upgraded:
        assert found(upgraded, "Nordsee") == [1]
