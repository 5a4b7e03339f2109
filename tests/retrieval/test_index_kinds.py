"""Above some size the index looks at a part of its vectors, and knows what that costs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from retrieval.catalog import Catalog, PictureFacts
from retrieval.encoders.base import EncoderIdentity
from retrieval.vectors import kinds
from retrieval.vectors.faiss_index import EXACT, FaissIndex
from retrieval.vectors.store import VectorStore

DIM = 32
COUNT = 6000


def clustered_vectors(count: int, seed: int) -> NDArray[np.float32]:
    """Unit vectors that gather around 100 centres, as pictures of the same things do."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(0).standard_normal((100, DIM))
    drawn = centres[random.integers(0, 100, count)] + random.standard_normal((count, DIM))
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def large_catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Catalog:
    monkeypatch.setattr(kinds, "LARGEST_EXACT", 2000)
    catalog = Catalog.create(tmp_path / "catalog.sqlite")
    facts = [PictureFacts(1, 2, bytes(16), 3, 4)] * COUNT
    with catalog.transaction() as change:
        change.set_encoder(EncoderIdentity("test", DIM, "f" * 32))
        root = change.add_root(Path("/photos"))
        names = [f"{'new' if n % 10 == 0 else 'old'}/{n}.jpg" for n in range(COUNT)]
        change.add_pictures(root.id, names, facts, clustered_vectors(COUNT, 1))
    return catalog


@given(st.integers(0, 10**9))
def test_the_chosen_kind_is_not_outgrown_at_once(count: int) -> None:
    assert not kinds.is_outgrown(kinds.choose_kind(count), count)


def test_small_collections_are_searched_exactly() -> None:
    assert kinds.choose_kind(200_000) == EXACT
    assert kinds.choose_kind(1_000_000) == "IVF4096,SQ8"


def test_a_large_index_reaches_its_target_recall_and_says_so(
    tmp_path: Path, large_catalog: Catalog
) -> None:
    store = VectorStore(tmp_path)
    store.refresh(large_catalog)
    manifest = store.manifest()
    assert manifest is not None
    assert manifest.kind.startswith("IVF")
    assert manifest.recall >= kinds.TARGET_RECALL
    exact = FaissIndex.empty(DIM)
    vectors = clustered_vectors(COUNT, 1)
    exact.add(np.arange(1, COUNT + 1), vectors)
    questions = kinds.make_questions(vectors, seed=7)
    _scores, truth = exact.search(questions, 10)
    _scores, found = store.load(large_catalog).index.search(questions, 10)
    recall = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(truth, found, strict=True)])
    assert recall >= kinds.TARGET_RECALL - 0.03


def test_a_search_restricted_to_a_folder_keeps_its_recall(
    tmp_path: Path, large_catalog: Catalog
) -> None:
    store = VectorStore(tmp_path)
    within = large_catalog.ids_within(Path("/photos/new"))
    assert len(within) == COUNT // 10
    vectors = clustered_vectors(COUNT, 1)
    questions = kinds.make_questions(vectors, seed=8)
    exact = questions @ vectors[within - 1].T
    truth = within[np.argsort(-exact, axis=1)[:, :10]]
    _scores, found = store.load(large_catalog).index.search(questions, 10, within=within)
    assert np.isin(found, within).all()
    recall = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(truth, found, strict=True)])
    assert recall >= kinds.TARGET_RECALL - 0.03


def test_a_large_index_takes_additions_and_removals(tmp_path: Path, large_catalog: Catalog) -> None:
    store = VectorStore(tmp_path)
    store.refresh(large_catalog)
    before = store.manifest()
    fresh = clustered_vectors(200, 3)
    with large_catalog.transaction() as change:
        change.remove_pictures(list(range(1, 201)))
        root = large_catalog.roots()[0]
        facts = [PictureFacts(1, 2, bytes(16), 3, 4)] * 200
        added = change.add_pictures(root.id, [f"later/{n}.jpg" for n in range(200)], facts, fresh)
    for _ in range(2):
        index = store.load(large_catalog).index
        _scores, ids = index.search(fresh, 1)
        assert np.mean(ids[:, 0] == np.array(added)) > 0.9
        _scores, ids = index.search(clustered_vectors(COUNT, 1)[:200], 10)
        assert not np.isin(ids, np.arange(1, 201)).any()
        store.refresh(large_catalog)
    after = store.manifest()
    assert before is not None
    assert after is not None
    assert (before.kind, after.kind) == (after.kind, before.kind)
    assert after.count == COUNT
