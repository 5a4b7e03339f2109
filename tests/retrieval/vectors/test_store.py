"""The index file is a copy that can always be made again from the catalogue."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from retrieval.catalog import Catalog
from retrieval.encoders.space import EmbeddingSpace
from retrieval.errors import IndexMissingError
from retrieval.vectors.faiss.store import MANIFEST, FaissStore
from tests.support.rows import pictures

DIM = 16


def unit_vectors(count: int, seed: int) -> NDArray[np.float32]:
    drawn = np.random.default_rng(seed).standard_normal((count, DIM)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def add_images(catalog: Catalog, names: list[str], vectors: NDArray[np.float32]) -> list[int]:
    with catalog.transaction() as change:
        change.set_encoder(EmbeddingSpace("test", DIM, "f" * 32))
        root = change.add_root(Path("/photos"))
        return change.add_files(root.id, pictures(names), vectors)


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    catalog = Catalog.create(tmp_path / "catalog.sqlite")
    add_images(catalog, [f"{number}.jpg" for number in range(100)], unit_vectors(100, 0))
    return catalog


def answers(store: FaissStore, catalog: Catalog) -> list[list[int]]:
    index = store.load(catalog).index
    return [index.search(unit_vectors(100, 0)[n : n + 1], 3)[1][0].tolist() for n in range(100)]


def index_file(folder: Path) -> Path:
    (path,) = folder.glob("vectors-*.faiss")
    return path


def test_a_catalogue_without_vectors_says_what_to_run(tmp_path: Path) -> None:
    with (
        Catalog.create(tmp_path / "catalog.sqlite") as empty,
        pytest.raises(IndexMissingError, match="Nothing has been indexed"),
    ):
        FaissStore(tmp_path).load(empty)


def test_refresh_leaves_one_file_that_shows_the_present_generation(
    tmp_path: Path, catalog: Catalog
) -> None:
    store = FaissStore(tmp_path)
    store.refresh(catalog)
    ids = add_images(catalog, ["new.jpg"], unit_vectors(1, 9))
    store.refresh(catalog)
    manifest = store.manifest()
    assert manifest is not None
    assert (manifest.generation, manifest.count) == (catalog.generation, 101)
    assert index_file(tmp_path).name == manifest.file
    assert store.load(catalog).index.pending == 0
    assert store.load(catalog).index.search(unit_vectors(1, 9), 1)[1].tolist() == [ids]


def test_a_file_that_is_behind_catches_up_from_the_rows_it_misses(
    tmp_path: Path, catalog: Catalog
) -> None:
    store = FaissStore(tmp_path)
    store.refresh(catalog)
    added = add_images(catalog, ["new.jpg"], unit_vectors(1, 9))
    replaced = add_images(catalog, ["3.jpg"], unit_vectors(1, 10))
    removed = catalog.ids_within(Path("/photos/5.jpg"))
    with catalog.transaction() as change:
        change.remove_files(catalog.file_ids_of(removed.tolist()))
    index = store.load(catalog).index
    assert index.search(unit_vectors(1, 9), 1)[1].tolist() == [added]
    assert index.search(unit_vectors(1, 10), 1)[1].tolist() == [replaced]
    assert removed[0] not in index.search(unit_vectors(100, 0)[5:6], 100)[1]
    store.refresh(catalog)
    assert store.load(catalog).index.pending == 0
    assert store.load(catalog).index.search(unit_vectors(1, 10), 1)[1].tolist() == [replaced]


def truncate(folder: Path) -> None:
    path = index_file(folder)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip_a_bit(folder: Path) -> None:
    path = index_file(folder)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def delete_file(folder: Path) -> None:
    index_file(folder).unlink()


def delete_manifest(folder: Path) -> None:
    (folder / MANIFEST).unlink()


def garble_manifest(folder: Path) -> None:
    (folder / MANIFEST).write_bytes(b"\xff{")


@pytest.mark.parametrize(
    "harm", [truncate, flip_a_bit, delete_file, delete_manifest, garble_manifest]
)
def test_a_harmed_copy_is_made_again_and_answers_as_before(
    tmp_path: Path, catalog: Catalog, harm: object, caplog: pytest.LogCaptureFixture
) -> None:
    store = FaissStore(tmp_path)
    store.refresh(catalog)
    before = answers(store, catalog)
    assert callable(harm)
    harm(tmp_path)
    with caplog.at_level(logging.WARNING):
        snapshot = store.load(catalog)
    assert snapshot.generation == catalog.generation
    assert len(caplog.records) == (0 if harm is delete_manifest else 1)
    assert answers(store, catalog) == before


def test_a_copy_newer_than_the_catalogue_is_not_trusted(tmp_path: Path) -> None:
    newer = Catalog.create(tmp_path / "newer.sqlite")
    add_images(newer, ["a.jpg"], unit_vectors(1, 0))
    add_images(newer, ["b.jpg"], unit_vectors(1, 1))
    FaissStore(tmp_path).refresh(newer)
    older = Catalog.create(tmp_path / "older.sqlite")
    ids = add_images(older, ["c.jpg"], unit_vectors(1, 2))
    snapshot = FaissStore(tmp_path).load(older)
    assert snapshot.index.search(unit_vectors(1, 0), 5)[1].tolist() == [[*ids, -1, -1, -1, -1]]


def test_an_unfinished_write_leaves_the_old_copy_in_force(
    tmp_path: Path, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FaissStore(tmp_path)
    store.refresh(catalog)
    old = store.manifest()
    add_images(catalog, ["new.jpg"], unit_vectors(1, 9))

    def full_disk(_path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("retrieval.vectors.faiss.store.sync_file", full_disk)
    with pytest.raises(OSError, match="No space"):
        store.refresh(catalog)
    monkeypatch.undo()
    assert store.manifest() == old
    assert store.load(catalog).index.search(unit_vectors(1, 9), 1)[0][0, 0] > 0.99
    assert not list(tmp_path.glob("*.tmp"))


def test_damage_to_a_file_too_large_to_be_checked_at_each_start_is_not_carried_over(
    tmp_path: Path, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FaissStore(tmp_path)
    store.refresh(catalog)
    times = index_file(tmp_path).stat()
    flip_a_bit(tmp_path)
    os.utime(index_file(tmp_path), ns=(times.st_atime_ns, times.st_mtime_ns))
    monkeypatch.setattr("retrieval.vectors.faiss.store._looks_sound", lambda _path, _manifest: True)
    add_images(catalog, ["new.jpg"], unit_vectors(1, 9))
    store.refresh(catalog)
    monkeypatch.undo()
    assert store.load(catalog).index.pending == 0
    (tmp_path / "fresh").mkdir()
    assert answers(store, catalog) == answers(FaissStore(tmp_path / "fresh"), catalog)


def test_a_change_of_no_vector_leaves_the_file_and_moves_its_generation_on(
    tmp_path: Path, catalog: Catalog
) -> None:
    store = FaissStore(tmp_path)
    store.refresh(catalog)
    before = index_file(tmp_path)
    with catalog.transaction() as change:
        change.add_root(Path("/elsewhere"))
    store.refresh(catalog)
    manifest = store.manifest()
    assert manifest is not None
    assert manifest.generation == catalog.generation
    assert index_file(tmp_path) == before
