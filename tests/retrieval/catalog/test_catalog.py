"""The catalogue is the one truth: what is committed is there, nothing else is."""

from __future__ import annotations

import os
import posixpath
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from numpy.typing import NDArray

from retrieval.catalog import Catalog, KnownFile
from retrieval.encoders.space import EmbeddingSpace
from retrieval.errors import CatalogError, IndexMissingError
from retrieval.storage.catalog_url import CatalogUrl
from tests.support.catalog_places import CatalogPlaces, examples
from tests.support.rows import bound_catalog, picture, pictures

DIM = 4
ENCODER = EmbeddingSpace("test", DIM, "f" * 32)

# What a file system may hold: any bytes but / and NUL, as Python spells them.
names = (
    st.binary(min_size=1, max_size=6)
    .map(lambda raw: os.fsdecode(raw.replace(b"/", b"_").replace(b"\0", b"_")))
    .filter(lambda name: name not in (".", ".."))
)
file_paths = st.lists(names, min_size=1, max_size=3).map("/".join)


def content(number: int) -> bytes:
    return number.to_bytes(16, "big")


def vectors_of(*seeds: int) -> NDArray[np.float32]:
    drawn = np.stack([np.random.default_rng(seed).standard_normal(DIM) for seed in seeds])
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def where(places: CatalogPlaces) -> Path | CatalogUrl:
    return places.fresh()


@pytest.fixture
def catalog(where: Path | CatalogUrl) -> Iterator[Catalog]:
    with bound_catalog(where) as catalog:
        yield catalog


def add(catalog: Catalog, root: Path, *paths: str) -> list[int]:
    with catalog.transaction() as change:
        root_id = change.add_root(root).id
        return change.add_files(root_id, pictures(paths), vectors_of(*range(len(paths))))


def test_a_missing_catalogue_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(IndexMissingError, match="There is no index in"):
        Catalog.open(tmp_path / "catalog.sqlite")
    (tmp_path / "catalog.sqlite").touch()
    with pytest.raises(IndexMissingError, match="There is no index in"):
        Catalog.open(tmp_path / "catalog.sqlite")


def test_a_file_that_is_no_database_is_a_catalogue_error(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    path.write_bytes(b"not a database" * 1000)
    for opening in (Catalog.open, Catalog.create):
        with pytest.raises(CatalogError, match=r"catalog\.sqlite"):
            opening(path)


def test_a_catalogue_of_a_newer_program_is_not_touched(tmp_path: Path) -> None:
    bound_catalog(tmp_path / "catalog.sqlite").close()
    with sqlite3.connect(tmp_path / "catalog.sqlite") as connection:
        connection.execute("UPDATE info SET value = '99' WHERE key = 'schema_version'")
    with pytest.raises(CatalogError, match="update mmsearch"):
        Catalog.open(tmp_path / "catalog.sqlite")


def test_a_folder_that_cannot_be_made_is_a_catalogue_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CatalogError, match="cannot be made"):
        Catalog.create(tmp_path / "file" / "index" / "catalog.sqlite")


def test_a_transaction_that_fails_leaves_no_trace(catalog: Catalog) -> None:
    add(catalog, Path("/photos"), "a.jpg")
    with pytest.raises(ZeroDivisionError), catalog.transaction() as change:
        root = change.add_root(Path("/other"))
        change.add_files(root.id, [picture("b.jpg")], vectors_of(1))
        raise ZeroDivisionError
    assert catalog.count_items() == 1
    assert [root.path for root in catalog.roots()] == [Path("/photos")]
    assert catalog.generation == 2


def test_what_was_written_is_read_back(catalog: Catalog, where: Path | CatalogUrl) -> None:
    ids = add(catalog, Path("/photos"), "a.jpg", "b/c.jpg")
    catalog.close()
    with Catalog.open(where) as again:
        assert again.encoder == ENCODER
        assert again.generation == 2
        assert [again.items(ids)[id_].path for id_ in ids] == [
            Path("/photos/a.jpg"),
            Path("/photos/b/c.jpg"),
        ]
        for id_, vector in zip(ids, vectors_of(0, 1), strict=True):
            np.testing.assert_allclose(again.vectors([id_])[id_], vector, atol=1e-3)
        assert again.check_integrity() == []


def test_a_path_that_is_known_keeps_its_id_and_takes_the_new_vector(catalog: Catalog) -> None:
    first = add(catalog, Path("/photos"), "a.jpg")
    with catalog.transaction() as change:
        root = change.add_root(Path("/photos"))
        second = change.add_files(root.id, [picture("a.jpg", 9)], vectors_of(9))
    assert first == second
    np.testing.assert_allclose(catalog.vectors(first)[first[0]], vectors_of(9)[0], atol=1e-3)
    assert catalog.files_with_content([content(9), content(0)]) == {
        content(9): catalog.file_ids_of(first)
    }


def test_an_id_is_never_given_twice(catalog: Catalog) -> None:
    ids = add(catalog, Path("/photos"), "a.jpg", "b.jpg")
    with catalog.transaction() as change:
        change.remove_files(catalog.file_ids_of(ids))
    assert min(add(catalog, Path("/photos"), "c.jpg")) > max(ids)


def test_a_failure_is_forgotten_when_the_picture_is_added(catalog: Catalog) -> None:
    with catalog.transaction() as change:
        root = change.add_root(Path("/photos"))
        for path in ("a.jpg", "b.jpg"):
            change.record_failure(
                root.id, path, size_bytes=1, mtime_ns=2, kind="damaged", reason="it is damaged"
            )
    assert [(f.path, f.kind) for f in catalog.failures()] == [
        (Path("/photos/a.jpg"), "damaged"),
        (Path("/photos/b.jpg"), "damaged"),
    ]
    assert dict(catalog.known_files(root.id))["a.jpg"] == KnownFile(1, 2, None, "damaged")
    (item_id,) = add(catalog, Path("/photos"), "a.jpg")
    assert [f.path for f in catalog.failures()] == [Path("/photos/b.jpg")]
    assert dict(catalog.known_files(root.id))["a.jpg"] == KnownFile(10, 20, item_id)


def test_a_kept_picture_whose_file_fails_now_says_both(catalog: Catalog) -> None:
    (item_id,) = add(catalog, Path("/photos"), "a.jpg")
    root = catalog.roots()[0]
    with catalog.transaction() as change:
        change.record_failure(
            root.id, "a.jpg", size_bytes=1, mtime_ns=2, kind="unreadable", reason="not permitted"
        )
    assert dict(catalog.known_files(root.id))["a.jpg"] == KnownFile(10, 20, item_id, "unreadable")


def test_a_root_taken_in_by_another_keeps_ids_and_failures(catalog: Catalog) -> None:
    ids = add(catalog, Path("/photos/inner"), "a.jpg", "b/c.jpg")
    with catalog.transaction() as change:
        inner = change.add_root(Path("/photos/inner"))
        for path in ("", "x.jpg"):
            change.record_failure(
                inner.id, path, size_bytes=0, mtime_ns=0, kind="unreadable", reason="r"
            )
        change.merge_root(inner, change.add_root(Path("/photos")))
    assert [root.path for root in catalog.roots()] == [Path("/photos")]
    assert [catalog.items(ids)[id_].path for id_ in ids] == [
        Path("/photos/inner/a.jpg"),
        Path("/photos/inner/b/c.jpg"),
    ]
    assert [f.path for f in catalog.failures()] == [Path("/photos/inner/x.jpg")]


def test_a_large_number_of_rows_can_be_asked_for_at_once(catalog: Catalog) -> None:
    count = 12_000
    with catalog.transaction() as change:
        root = change.add_root(Path("/photos"))
        many = np.repeat(vectors_of(0), count, axis=0)
        ids = change.add_files(root.id, pictures([f"{n}.jpg" for n in range(count)]), many)
    assert len(catalog.items(ids)) == len(catalog.vectors(ids)) == count
    held, vectors = catalog.vectors_of(np.array([*reversed(ids), max(ids) + 1]))
    assert held.tolist() == sorted(ids)
    assert vectors.shape == (count, vectors_of(0).shape[1])
    assert len(catalog.files_with_content([content(n) for n in range(count)])) == count
    with catalog.transaction() as change:
        change.remove_files(catalog.file_ids_of(ids))
    assert catalog.count_items() == 0


def test_what_lies_below_a_folder_is_found_whatever_the_names(places: CatalogPlaces) -> None:
    @given(paths=st.lists(file_paths, unique=True, min_size=1, max_size=12), data=st.data())
    def check(paths: list[str], data: st.DataObject) -> None:
        with bound_catalog(places.fresh()) as catalog:
            ids = dict(zip(paths, add(catalog, Path("/r"), *paths), strict=True))
            chosen = data.draw(st.sampled_from(paths))
            for below in {chosen, *[str(parent) for parent in Path(chosen).parents]}:
                expected = {p for p in paths if below in (".", p) or p.startswith(below + "/")}
                known = [path for path, _ in catalog.known_files(catalog.roots()[0].id, below)]
                assert known == sorted(expected, key=os.fsencode)
                within = catalog.ids_within(Path(posixpath.join("/r", below)))
                assert sorted(ids[path] for path in expected) == within.tolist()

    examples(places, 60)(check)()


class CatalogueAndCopy(RuleBasedStateMachine):
    """Any sequence of changes: the catalogue shows them, and a copy that catches up does too."""

    def __init__(self, places: CatalogPlaces) -> None:
        super().__init__()
        self.catalog = bound_catalog(places.fresh())
        self.truth: dict[str, tuple[int, int]] = {}
        self.copy: dict[int, NDArray[np.float16]] = {}
        self.copied = 0

    def teardown(self) -> None:
        self.catalog.close()

    @rule(paths=st.lists(file_paths, unique=True, max_size=4), seed=st.integers(0, 99))
    def add(self, paths: list[str], seed: int) -> None:
        seeds = range(seed, seed + len(paths))
        with self.catalog.transaction() as change:
            root = change.add_root(Path("/r"))
            embeddings = vectors_of(*seeds) if paths else np.empty((0, DIM), np.float32)
            added = [picture(path, seed) for path, seed in zip(paths, seeds, strict=True)]
            ids = change.add_files(root.id, added, embeddings)
        for path, item_id, own in zip(paths, ids, seeds, strict=True):
            assert self.truth.get(path, (item_id, 0))[0] == item_id
            self.truth[path] = (item_id, own)

    @precondition(lambda self: self.truth)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        path = data.draw(st.sampled_from(sorted(self.truth)))
        with self.catalog.transaction() as change:
            gone = self.catalog.file_ids_of([self.truth.pop(path)[0]])
            change.remove_files(gone)

    @precondition(lambda self: self.truth)
    @rule(data=st.data(), to=file_paths)
    def move(self, data: st.DataObject, to: str) -> None:
        path = data.draw(st.sampled_from(sorted(self.truth)))
        if to in self.truth:
            return
        item_id, seed = self.truth.pop(path)
        self.truth[to] = (item_id, seed)
        with self.catalog.transaction() as change:
            (file_id,) = self.catalog.file_ids_of([item_id])
            change.move_file(file_id, change.add_root(Path("/r")).id, picture(to, seed)[0])

    @rule()
    def catch_up(self) -> None:
        with self.catalog.changes_since(self.copied) as (generation, gone, chunks):
            for item_id in gone.tolist():
                self.copy.pop(item_id, None)
            for ids, halves in chunks:
                self.copy.update(zip(ids.tolist(), halves, strict=True))
        self.copied = generation
        assert set(self.copy) == {item_id for item_id, _ in self.truth.values()}
        for item_id, seed in self.truth.values():
            np.testing.assert_allclose(self.copy[item_id], vectors_of(seed)[0], atol=1e-3)

    @invariant()
    def shows_the_truth(self) -> None:
        ids = [item_id for item_id, _ in self.truth.values()]
        found = self.catalog.items(ids)
        assert self.catalog.count_items() == len(self.truth)
        assert {os.fspath(found[i].path): i for i in ids} == {
            os.fspath(Path("/r") / path): i for path, (i, _) in self.truth.items()
        }


def test_any_sequence_of_changes_is_shown_and_can_be_followed(places: CatalogPlaces) -> None:
    run_state_machine_as_test(
        lambda: CatalogueAndCopy(places),
        settings=settings(examples(places, 30), stateful_step_count=15),
    )
