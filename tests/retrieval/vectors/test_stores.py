"""All vector stores answer as exact search over the catalogue does, whatever happened to them."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from retrieval.catalog import Catalog
from retrieval.catalog.sqlite.backup import copy_catalog
from retrieval.errors import IndexMissingError, VectorStoreError
from retrieval.vectors.choice import FAISS, StoreChoice
from retrieval.vectors.database.store import DatabaseStore, StoreState
from retrieval.vectors.registry import store_of
from tests.retrieval.vectors.followed import Followed, recall, unit_vectors

QUESTIONS = unit_vectors(20, 77)
# Of what exact search finds, on tables of the sizes here.
LEAST_RECALL = 0.99


def answers_rightly(followed: Followed, catalog: Catalog | None = None) -> None:
    catalog = catalog or followed.catalog
    index = followed.store.load(catalog).index
    assert recall(index, catalog, QUESTIONS) >= LEAST_RECALL


def test_a_catalogue_without_vectors_has_nothing_to_load(followed: Followed) -> None:
    with pytest.raises(IndexMissingError, match="Nothing has been indexed"):
        followed.store.load(followed.catalog)
    followed.store.refresh(followed.catalog)
    assert followed.store.defects(followed.catalog).unusable is None


def test_adds_changes_and_removals_are_seen_before_and_after_a_refresh(followed: Followed) -> None:
    first = followed.add(120)
    followed.store.refresh(followed.catalog)
    answers_rightly(followed)
    followed.add(40, root=1)
    followed.write(["3.jpg", "4.jpg"], unit_vectors(2, 5))
    followed.remove(first[10:20])
    answers_rightly(followed)
    followed.store.refresh(followed.catalog)
    followed.store = followed.reopened()
    facts = followed.store.facts(followed.catalog)
    assert facts is not None
    assert (facts.generation, facts.count) == (followed.catalog.generation, 150)
    assert followed.store.load(followed.catalog).index.pending == 0  # type: ignore[attr-defined]
    answers_rightly(followed)
    defects = followed.store.defects(followed.catalog)
    assert (defects.unusable, defects.lacking, defects.foreign) == (None, 0, 0)


def test_restrictions_hold_in_the_copy_and_in_what_came_since(followed: Followed) -> None:
    followed.add(150)
    scans = followed.add(60, root=1)
    followed.store.refresh(followed.catalog)
    followed.add(20, root=1)
    index = followed.store.load(followed.catalog).index
    ids = followed.ids()
    for within in (
        ids[:50],
        ids[::2],
        np.array(scans),
        ids[[0, 1, 2, 100, 101, 180, 229]],
        np.array([10**6]),
        ids[:0],
    ):
        assert recall(index, followed.catalog, QUESTIONS, within=within) >= LEAST_RECALL
        hidden = ids[::3]
        assert (
            recall(index, followed.catalog, QUESTIONS, within=within, without=hidden)
            >= LEAST_RECALL
        )
    assert recall(index, followed.catalog, QUESTIONS, without=ids[::2]) >= LEAST_RECALL
    assert recall(index, followed.catalog, QUESTIONS, k=300) >= LEAST_RECALL
    scores, found = index.search(QUESTIONS[:0], 5)
    assert scores.shape == found.shape == (0, 5)


def test_a_snapshot_catches_up_and_follows_a_copy_that_was_written_meanwhile(
    followed: Followed,
) -> None:
    followed.add(60)
    followed.store.refresh(followed.catalog)
    reader = followed.reopened()
    snapshot = reader.load(followed.catalog)
    for step in range(3):
        followed.add(20, seed=step)
        if step == 1:
            followed.store.refresh(followed.catalog)
        if step == 2:
            followed.store.rebuild(followed.catalog)
        before, snapshot = snapshot, snapshot.caught_up(followed.catalog)
        assert snapshot.generation == followed.catalog.generation
        assert recall(snapshot.index, followed.catalog, QUESTIONS) >= LEAST_RECALL
        assert before.index.search(QUESTIONS, 5)[1].shape == (20, 5)
    reader.close()


def test_a_copy_that_is_ahead_of_its_catalogue_is_not_trusted(
    followed: Followed, tmp_path: Path
) -> None:
    followed.add(50)
    followed.store.refresh(followed.catalog)
    copy_catalog(followed.folder / "catalog.sqlite", tmp_path / "older.sqlite")
    followed.add(50, seed=1)
    followed.store.refresh(followed.catalog)
    with Catalog.open(tmp_path / "older.sqlite") as older:
        assert followed.store.defects(older).unusable == "of another catalogue"
        answers_rightly(followed, older)
        # As a catalogue that goes another way from there on does.
        with older.transaction() as change:
            change.remove_files(older.file_ids_of(older.item_ids().tolist()[:5]))
        followed.store.refresh(older)
        answers_rightly(followed, older)


@pytest.fixture
def in_database(followed: Followed) -> Followed:
    if followed.address == FAISS:
        pytest.skip("FAISS files have these tests in test_store.py")
    return followed


class CutOffError(Exception):
    pass


@contextmanager
def halting_at(store: object, call: str, after: int) -> Iterator[None]:
    """A call to the database raises CutOffError, once it has been made `after` times."""
    assert isinstance(store, DatabaseStore)
    database = store._database
    whole, left = getattr(database, call), [after]

    def halting(*arguments: object) -> object:
        if not left[0]:
            raise CutOffError
        left[0] -= 1
        return whole(*arguments)

    setattr(database, call, halting)
    try:
        yield
    finally:
        delattr(database, call)


@contextmanager
def cut_off(store: object, call: str, after: int) -> Iterator[None]:
    """The process ends at a call to the database, once it has made that call `after` times."""
    with halting_at(store, call, after), pytest.raises(CutOffError):
        yield


@pytest.mark.parametrize("call", ["put", "remove", "settle", "write_state"])
def test_changes_that_were_cut_off_are_neither_lost_nor_doubled(
    in_database: Followed, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retrieval.catalog.embeddings.ROWS_A_CHUNK", 8)
    followed = in_database
    first = followed.add(60)
    followed.store.refresh(followed.catalog)
    followed.add(20, root=1)
    followed.write([f"{number}.jpg" for number in range(5)], unit_vectors(5, 9))
    followed.remove(first[-10:])
    with cut_off(followed.store, call, 1 if call in ("put", "remove") else 0):
        followed.store.refresh(followed.catalog)
    followed.store.close()
    followed.store = followed.reopened()
    answers_rightly(followed)
    assert followed.store.defects(followed.catalog).unusable is None
    followed.remove(first[20:25])
    answers_rightly(followed)
    followed.store.refresh(followed.catalog)
    answers_rightly(followed)
    defects = followed.store.defects(followed.catalog)
    assert (defects.unusable, defects.lacking, defects.foreign) == (None, 0, 0)


@pytest.mark.parametrize("call", ["put", "write_state", "drop"])
def test_a_rebuild_that_was_cut_off_leaves_the_former_copy_or_the_new_one(
    in_database: Followed, call: str
) -> None:
    followed = in_database
    followed.add(40)
    followed.store.rebuild(followed.catalog)
    followed.store.rebuild(followed.catalog)
    followed.add(10)
    with cut_off(followed.store, call, 0):
        followed.store.rebuild(followed.catalog)
    answers_rightly(followed)
    followed.store.rebuild(followed.catalog)
    answers_rightly(followed)
    assert isinstance(followed.store, DatabaseStore)
    name = StoreChoice.of(followed.catalog.vector_store).name
    # The one in force, the one before it, and in Milvus the state.
    tables = followed.store._database.tables(name)
    assert len([table for table in tables if not table.endswith("_state")]) == 2


def test_a_copy_that_is_lost_is_done_without_and_made_again(
    in_database: Followed, caplog: pytest.LogCaptureFixture
) -> None:
    followed = in_database
    followed.add(40)
    followed.store.refresh(followed.catalog)
    assert isinstance(followed.store, DatabaseStore)
    name = StoreChoice.of(followed.catalog.vector_store).name
    state = followed.store.usable_state(followed.catalog)
    assert state is not None
    followed.store._database.drop(state.table)
    with caplog.at_level(logging.WARNING):
        answers_rightly(followed)
    assert [record.message for record in caplog.records] == [
        f"The vector store at {followed.store._database.place} has no copy of this index: "
        "its vectors are searched in memory instead."
    ]
    assert followed.store.defects(followed.catalog).unusable == "missing"
    assert followed.store.facts(followed.catalog) is None
    followed.store.refresh(followed.catalog)
    answers_rightly(followed)
    assert followed.store.defects(followed.catalog).unusable is None
    followed.store._database.write_state(f"{name}_state", "{half")
    answers_rightly(followed)
    assert followed.store.defects(followed.catalog).unusable == "missing"
    followed.store.refresh(followed.catalog)
    answers_rightly(followed)


def test_a_reader_goes_on_where_the_copy_is_made_again_beneath_it(in_database: Followed) -> None:
    in_database.add(40)
    in_database.store.refresh(in_database.catalog)
    snapshot = in_database.store.load(in_database.catalog)
    for _ in range(3):
        in_database.store.rebuild(in_database.catalog)
    snapshot = snapshot.caught_up(in_database.catalog)
    assert snapshot.index.pending == 0  # type: ignore[attr-defined]
    assert recall(snapshot.index, in_database.catalog, QUESTIONS) >= LEAST_RECALL


def test_a_reader_goes_on_while_its_database_fails(
    in_database: Followed, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    followed = in_database
    first = followed.add(40)
    followed.store.refresh(followed.catalog)
    snapshot = followed.store.load(followed.catalog)
    followed.remove(first[:5])
    followed.add(10, root=1)
    snapshot = snapshot.caught_up(followed.catalog)
    assert isinstance(followed.store, DatabaseStore)
    database, asked = followed.store._database, []

    def fails(*_arguments: object, **_options: object) -> None:
        asked.append(None)
        raise VectorStoreError("The vector store does not answer.")

    monkeypatch.setattr(database, "search", fails)
    for within in (None, followed.ids()[::2]):
        found = recall(snapshot.index, followed.catalog, QUESTIONS, within=within)
        assert found >= LEAST_RECALL
    assert [record.message for record in caplog.records] == [
        "The vector store does not answer: its vectors are searched in memory instead."
    ]
    assert len(asked) == 1, "a database that fails is not asked again at once"
    monkeypatch.undo()
    monkeypatch.setattr("time.monotonic", lambda: float("inf"))
    calls = []
    search = database.search
    monkeypatch.setattr(
        database, "search", lambda *some, **more: calls.append(1) or search(*some, **more)
    )
    assert recall(snapshot.index, followed.catalog, QUESTIONS) >= LEAST_RECALL
    assert calls, "a database that is back is asked again"


def test_too_many_pictures_are_not_searched_without_their_store(
    in_database: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_database.add(40)
    monkeypatch.setattr("retrieval.vectors.database.store.LARGEST_WITHOUT", 30)
    with pytest.raises(VectorStoreError, match="40 pictures are too many without it"):
        in_database.store.load(in_database.catalog)


def test_two_copies_of_an_index_do_not_take_each_others_vectors(
    in_database: Followed, tmp_path: Path
) -> None:
    followed = in_database
    followed.add(40)
    followed.store.refresh(followed.catalog)
    shutil.copytree(followed.folder, tmp_path / "copy")
    with Catalog.open(tmp_path / "copy" / "catalog.sqlite") as other:
        store = store_of(other, tmp_path / "copy")
        followed.add(10, seed=3)
        with other.transaction() as change:
            change.remove_files(other.file_ids_of(other.item_ids().tolist()[:10]))
        assert other.generation == followed.catalog.generation
        followed.store.refresh(followed.catalog)
        assert recall(store.load(other).index, other, QUESTIONS) >= LEAST_RECALL
        store.refresh(other)
        assert recall(store.load(other).index, other, QUESTIONS) >= LEAST_RECALL
        answers_rightly(followed)
        assert StoreChoice.of(other.vector_store).name != (
            StoreChoice.of(followed.catalog.vector_store).name
        )
        store.close()


def test_a_copy_gives_the_vectors_back_as_they_were(in_database: Followed) -> None:
    followed = in_database
    followed.add(40)
    followed.store.refresh(followed.catalog)
    assert followed.store.exact_copy(followed.catalog, None) is None
    copy = followed.store.exact_copy(followed.catalog, followed.catalog.generation)
    assert copy is not None
    ids, vectors = copy.vectors_of(np.array([10**6, *followed.ids()[::-2].tolist()]))
    assert ids.tolist() == sorted(followed.ids()[::-2].tolist())
    stored = followed.catalog.vectors(ids.tolist())
    np.testing.assert_array_equal(vectors, [stored[id_] for id_ in ids.tolist()])


def test_a_state_names_every_root_that_an_id_may_be_under() -> None:
    state = StoreState("t", 4, "f", 1, 9, "s", {1: (1, 10), 2: (8, 20), 3: (30, 30)})
    assert StoreState.of(state.text) == state
    assert state.roots_of(np.array([9])) == (1, 2)
    assert state.roots_of(np.array([5, 40])) == (1, 2, 3)
    assert state.roots_of(np.array([25])) == ()
    for text in (None, "", "[]", "{}", '{"roots": 3}', "null"):
        assert StoreState.of(text) is None
