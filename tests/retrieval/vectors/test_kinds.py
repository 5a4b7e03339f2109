"""Above some size the index looks at a part of its vectors, and knows what that costs."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from retrieval.catalog import Catalog
from retrieval.encoders.space import EmbeddingSpace
from retrieval.errors import MmsearchError
from retrieval.vectors.base import Ids, VectorIndex
from retrieval.vectors.faiss import kinds
from retrieval.vectors.faiss.index import FaissIndex
from retrieval.vectors.faiss.refined import RefinedIndex
from retrieval.vectors.faiss.store import FaissStore
from retrieval.vectors.faiss.tuning import (
    TARGET_RECALL,
    TunableIndex,
    make_questions,
    merge_nearest,
    tune,
)
from tests.support.rows import pictures

DIM = 32
COUNT = 3000
CENTRES = np.random.default_rng(0).standard_normal((100, DIM))


def clustered_vectors(count: int, seed: int) -> NDArray[np.float32]:
    """Unit vectors that gather around 100 centres, as pictures of the same things do."""
    random = np.random.default_rng(seed)
    drawn = CENTRES[random.integers(0, 100, count)] + random.standard_normal((count, DIM))
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)


VECTORS = clustered_vectors(COUNT, 1)
IDS = np.arange(1, COUNT + 1)


def recall(index: VectorIndex, within: Ids, seed: int) -> float:
    """Recall@10 among these ids against plain arithmetic."""
    questions = make_questions(VECTORS, seed)
    exact = questions @ VECTORS[within - 1].T
    truth = within[np.argsort(-exact, axis=1)[:, :10]]
    _scores, found = index.search(questions, 10, within=within)
    assert np.isin(found, within).all()
    return float(np.mean([len(set(a) & set(b)) / 10 for a, b in zip(truth, found, strict=True)]))


@pytest.fixture
def large_catalog(tmp_path: Path) -> Catalog:
    catalog = Catalog.create(tmp_path / "catalog.sqlite")
    with catalog.transaction() as change:
        change.set_encoder(EmbeddingSpace("test", DIM, "f" * 32))
        root = change.add_root(Path("/photos"))
        change.add_files(root.id, pictures([f"{n}.jpg" for n in range(COUNT)]), VECTORS)
    return catalog


def choose(catalog: Catalog, choice: str) -> None:
    with catalog.transaction() as change:
        change.set_vector_index_choice(choice)


@given(count=st.integers(1, 10**9), choice=st.sampled_from(kinds.CHOICES))
def test_the_chosen_kind_is_not_outgrown_at_once(count: int, choice: str) -> None:
    kind = kinds.choose_kind(count, choice)
    assert not kinds.is_outgrown(kind, count, count, choice)
    assert choice in (kinds.AUTO, kinds.family_of(kind))


@given(count=st.integers(1, 10**8), other=st.sampled_from(kinds.CHOICES))
def test_another_choice_calls_for_another_index(count: int, other: str) -> None:
    kind = kinds.choose_kind(count, kinds.HNSW)
    assert kinds.is_outgrown(kind, count, count, other) == (other != kinds.HNSW)


def test_the_larger_a_collection_the_smaller_the_part_that_is_looked_at() -> None:
    assert kinds.choose_kind(20_000) == "SQfp16"
    assert kinds.choose_kind(60_000) == "SQ8"
    assert kinds.choose_kind(1_000_000) == "IVF2048,SQ8"
    assert kinds.choose_kind(20_000_000) == "RR,IVF8192,RaBitQ"


def test_what_was_learnt_from_a_small_collection_is_learnt_again_from_a_large_one() -> None:
    assert not kinds.is_outgrown("SQ8", 399, trained_on=100, choice=kinds.SQ8)
    assert kinds.is_outgrown("SQ8", 400, trained_on=100, choice=kinds.SQ8)


def test_an_unknown_kind_is_an_error_that_names_those_there_are() -> None:
    with pytest.raises(MmsearchError, match="exact, sq8, ivf, hnsw, rabitq"):
        kinds.choose_kind(10, "annoy")


@pytest.mark.parametrize("choice", ["exact", "sq8", "ivf", "hnsw", "rabitq"])
@pytest.mark.parametrize("count", [1, 2, 40, 300])
def test_every_kind_serves_a_collection_however_small(choice: str, count: int) -> None:
    index = _built(kinds.choose_kind(count, choice), VECTORS[:count], IDS[:count])
    index.effort = index.largest_effort
    _scores, ids = index.search(VECTORS[:count], 1)
    assert np.mean(ids[:, 0] == IDS[:count]) > 0.95


@pytest.mark.parametrize("choice", ["exact", "sq8", "ivf", "hnsw", "rabitq"])
def test_a_large_index_reaches_its_target_recall_and_says_so(
    tmp_path: Path, large_catalog: Catalog, choice: str
) -> None:
    choose(large_catalog, choice)
    store = FaissStore(tmp_path)
    store.refresh(large_catalog)
    manifest = store.manifest()
    assert manifest is not None
    assert kinds.family_of(manifest.kind) == choice
    assert manifest.recall >= TARGET_RECALL
    assert (manifest.effort > 0) == (choice in ("ivf", "hnsw", "rabitq"))
    assert recall(store.load(large_catalog).index, IDS, seed=7) >= TARGET_RECALL - 0.03


def test_effort_is_not_spent_on_ties_that_the_codes_cannot_tell_apart() -> None:
    random = np.random.default_rng(0)
    # Sixty pictures of each scene, closer to each other than one byte a number can show.
    scenes = random.standard_normal((100, DIM)).repeat(60, axis=0)
    vectors = scenes + 1e-3 * random.standard_normal(scenes.shape)
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    ids = np.arange(len(vectors))
    index = FaissIndex.trained(kinds.choose_kind(len(vectors), kinds.IVF), vectors)
    index.add(ids, vectors)
    questions = make_questions(vectors)
    exact = merge_nearest(None, questions, ids, vectors)[1]
    reached = tune(index, questions, exact)
    assert reached < TARGET_RECALL
    assert index.effort < index.largest_effort
    index.effort = index.largest_effort
    found = index.search(questions, 10)[1]
    shared = [len(np.intersect1d(a, b)) for a, b in zip(found, exact, strict=True)]
    assert reached >= 0.98 * sum(shared) / exact.size


def test_questions_for_tuning_are_unit_vectors_near_but_not_at_what_is_stored() -> None:
    questions = make_questions(VECTORS)
    assert np.allclose(np.linalg.norm(questions, axis=1), 1, atol=1e-5)
    nearest = (questions @ VECTORS.T).max(axis=1)
    assert nearest.min() >= 0.6 - 1e-5
    assert nearest.max() < 0.95


@pytest.mark.parametrize("choice", ["sq8", "ivf", "hnsw", "rabitq"])
@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.95])
def test_a_restricted_search_keeps_its_recall_at_any_selectivity(choice: str, share: float) -> None:
    index = _large(choice)
    some = np.sort(np.random.default_rng(2).choice(IDS, int(COUNT * share), replace=False))
    assert recall(index, some, seed=8) >= 0.95


@pytest.mark.parametrize("choice", ["ivf", "hnsw", "rabitq"])
def test_a_folder_that_holds_nothing_like_the_question_still_gives_its_best(
    choice: str,
) -> None:
    index = _large(choice)
    question = VECTORS[:1]
    far = np.sort(np.argsort(question[0] @ VECTORS.T)[: COUNT // 2] + 1)
    _scores, found = index.search(question, 10, within=far)
    similarity = VECTORS @ question[0]
    # So near to each other that one byte a number cannot always tell them apart.
    assert np.allclose(similarity[found[0] - 1], np.sort(similarity[far - 1])[:-11:-1], atol=0.01)


@pytest.mark.parametrize("choice", ["sq8", "ivf", "hnsw", "rabitq"])
def test_a_search_without_some_still_finds_as_many_as_asked_for(choice: str) -> None:
    hidden = IDS[::3]
    _scores, found = _large(choice).search(VECTORS[:50], 10, without=hidden)
    assert (found > 0).all()
    assert not np.isin(found, hidden).any()


@pytest.mark.parametrize("choice", ["sq8", "ivf", "hnsw", "rabitq"])
def test_a_large_index_takes_additions_and_removals(
    tmp_path: Path, large_catalog: Catalog, choice: str
) -> None:
    choose(large_catalog, choice)
    store = FaissStore(tmp_path)
    store.refresh(large_catalog)
    before = store.manifest()
    fresh = clustered_vectors(200, 3)
    with large_catalog.transaction() as change:
        change.remove_files(list(range(1, 201)))
        root = large_catalog.roots()[0]
        added = change.add_files(root.id, pictures([f"later/{n}.jpg" for n in range(200)]), fresh)
    for _ in range(2):
        index = store.load(large_catalog).index
        _scores, ids = index.search(fresh, 1)
        assert np.mean(ids[:, 0] == np.array(added)) > 0.9
        _scores, ids = index.search(VECTORS[:200], 10)
        assert (ids >= 0).all()
        assert not np.isin(ids, np.arange(1, 201)).any()
        store.refresh(large_catalog)
    after = store.manifest()
    assert before is not None
    assert after is not None
    assert (before.kind, before.effort) == (after.kind, after.effort)
    assert after.count == COUNT
    assert store.load(large_catalog).index.pending == 0


def test_a_graph_with_many_removed_nodes_is_made_anew(
    tmp_path: Path, large_catalog: Catalog
) -> None:
    choose(large_catalog, kinds.HNSW)
    store = FaissStore(tmp_path)
    store.refresh(large_catalog)
    with large_catalog.transaction() as change:
        change.remove_files(IDS[: COUNT // 4].tolist())
    store.refresh(large_catalog)
    manifest = store.manifest()
    assert manifest is not None
    assert (manifest.count, manifest.trained_on) == (COUNT - COUNT // 4, COUNT - COUNT // 4)


def test_the_choice_outlives_the_index_file(tmp_path: Path, large_catalog: Catalog) -> None:
    choose(large_catalog, kinds.SQ8)
    store = FaissStore(tmp_path)
    store.refresh(large_catalog)
    for path in tmp_path.glob("vectors*"):
        path.unlink()
    with Catalog.open(tmp_path / "catalog.sqlite") as again:
        store.refresh(again)
    manifest = store.manifest()
    assert manifest is not None
    assert manifest.kind == "SQ8"


@cache
def _large(choice: str) -> TunableIndex:
    index = _built(kinds.choose_kind(COUNT, choice), VECTORS, IDS)
    index.effort = {"sq8": 0, "ivf": 6, "hnsw": 32, "rabitq": 10}[choice]
    return index


def _built(kind: str, vectors: NDArray[np.float32], ids: Ids) -> TunableIndex:
    if kind == kinds.FLAT_HALVES:
        index = FaissIndex.empty(vectors.shape[1])
    else:
        index = FaissIndex.trained(kind, vectors)
    index.add(ids, vectors)
    if kinds.family_of(kind) == kinds.RABITQ:
        exact = FaissIndex.empty(vectors.shape[1])
        exact.add(ids, vectors)
        return RefinedIndex(index, exact)
    return index
